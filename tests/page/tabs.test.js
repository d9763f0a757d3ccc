// The pure half of the page's lists, without a browser: leaks and types, data → rows → words and curves.
// Run with `node --test tabs.test.js`. Expected numbers are literals.
//
//     DIFF=/path/to/folder node --test tabs.test.js
//
// also compares the changes of folder/diff.html with folder/stack.json, line.json, … package.json, which `heaptide diff --json --limit 0
// --by stack` and so on wrote of the same captures. Without DIFF that is skipped and said.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import test from 'node:test';

import { load, without } from './made.js';

const { readPage, unpackPage } = await load('data.js');
const { readLeaks } = await load('data_leaks.js');
const { readTypes } = await load('data_types.js');
const leaks = await load('leaks.js');
const types = await load('types.js');
const plot = await load('plot.js');
const choices = await load('choices.js');
const changes = await load('changes.js');
const { Model } = await load('model.js');
const { matcher, matchFrames } = await load('calls.js');
const { DATA_VERSION } = await load('data.js');

// ---- leaks --------------------------------------------------------------------------------------------------

/** Three sites: 5 000 bytes that grow, 9 000 of the start, 40 that an import left. Nodes 0 to 2. */
const LEAKS = {
  headline: 'memory live at the end: 13.7 KiB in 9 blocks',
  judged: { newest: 0.1, from_ns: 500_000_000, step_ns: 20_000_000, parts: 10 },
  origins: [['program', 14000, 8], ['import', 40, 1], ['interpreter', 0, 0], ['other', 0, 0]],
  suppressed: [['^_nl_', true, 300, 2], ['known', false, 12, 1]],
  left_out: [3, 30, 3],
  sites: {
    node: [2, 1, 0], origin: [0, 0, 1], bytes: [9000, 5000, 40], blocks: [3, 5, 1], verdict: ['start_up', 'never_freed', 'one_off'],
    score: [0, 95, 0], bytes_per_second: [70000, 2500, 0], bytes_per_1000_events: [0, 12.5, 0], garbage_bytes: [0, 0, 0],
    garbage_blocks: [0, 0, 0], highest: [9000, 5500, 40],
    curve: [{ at: [0], bytes: [9000] }, { at: [2, 5, 9], bytes: [1000, 3000, 5000] }, { at: [4], bytes: [40] }],
    stacks: [[[2, 9000, 3]], [[2, 4000, 4], [1, 1000, 1]], [[0, 40, 1]]], stack_count: [1, 7, 1],
    nodes: [[2], [1, 2], [0]],
  },
};
const read = (change = () => {}) => {
  const raw = structuredClone(LEAKS);
  change(raw);
  return readLeaks(raw, 3);
};
const chosen = (change = {}) => {
  const all = read();
  return leaks.chosenSites(all, { ...leaks.firstLeaksChoice(all), ...change }).map(({ bytes }) => bytes);
};

test('leaks come first, then what is larger', () => {
  assert.deepEqual(chosen(), [5000, 9000]);
  assert.deepEqual(chosen({ origin: '' }), [5000, 40, 9000]);
  assert.deepEqual(chosen({ sort: 'bytes' }), [9000, 5000]);
  assert.deepEqual(chosen({ sort: 'blocks' }), [5000, 9000]);
  assert.deepEqual(chosen({ sort: 'highest' }), [9000, 5000]);
  // The start-up one rose by more, but that says nothing of it.
  assert.deepEqual(chosen({ sort: 'rate' }), [5000, 9000]);
  assert.deepEqual(chosen({ sort: 'no such' }), [9000, 5000]);
  assert.deepEqual(chosen({ verdict: 'start_up' }), [9000]);
  assert.deepEqual(chosen({ verdict: 'one_off' }), []);
  assert.deepEqual(leaks.chosenSites(read(), { verdict: '', origin: '', sort: 'bytes' }, (site) => site.node === 0).map(({ bytes }) => bytes), [40]);
});

test('where the program left nothing, all is listed; without verdicts by size', () => {
  assert.deepEqual(leaks.firstLeaksChoice(read((raw) => { raw.sites.origin = [1, 1, 1]; })), { verdict: '', origin: '', sort: 'verdict' });
  const quick = read((raw) => {
    raw.judged = null;
    raw.sites.verdict = [null, null, null];
    for (const curve of raw.sites.curve) curve.at = curve.bytes = [];
  });
  assert.equal(leaks.firstLeaksChoice(quick).sort, 'bytes');
  assert.match(leaks.leftOutSentences(quick).join(' '), /How the sites grew was not looked at/);
});

test('verdicts are counted as they are listed, and each has its words', () => {
  assert.deepEqual(leaks.verdictCounts(read(), 'program'), [{ verdict: 'never_freed', count: 1 }, { verdict: 'start_up', count: 1 }]);
  assert.equal(leaks.verdictCounts(read(), '').length, 3);
  for (const verdict of ['never_freed', 'grows', 'garbage', 'recent', 'saw_tooth', 'bounded', 'one_off', 'start_up', '']) {
    const [word, meaning] = leaks.VERDICT_WORDS[verdict];
    assert.ok(word && meaning.endsWith('.'), verdict);
    assert.equal(meaning.startsWith('A leak.'), leaks.isLeak(verdict), verdict);
  }
});

test('what is not listed is told', () => {
  assert.deepEqual(leaks.leftOutSentences(read()), [
    'Known to suppressions and not listed: 312 B in 3 blocks (^_nl_, known).',
    '3 smaller sites not in this page: 30 B in 3 blocks.',
  ]);
});

test('a curve has a value for each part', () => {
  const dense = (at, bytes) => [...leaks.denseCurve({ at, bytes }, 6)];
  assert.deepEqual(dense([1, 3], [10, 20]), [0, 10, 10, 20, 20, 20]);
  assert.deepEqual(dense([0, 5], [7, 0]), [7, 7, 7, 7, 7, 0]);
  assert.deepEqual(dense([], []), [0, 0, 0, 0, 0, 0]);
});

test('damaged leaks are refused with a sentence', () => {
  const broken = (change, message) => assert.throws(() => read(change), { message: `The data of this page are damaged: ${message}.` });
  broken((raw) => { raw.sites.node[0] = 3; }, '"leaks.sites.node" leads to 3, which is not there');
  broken((raw) => { raw.sites.origin[0] = 4; }, '"leaks.sites.origin" leads to 4, which is not there');
  broken((raw) => { raw.sites.bytes.pop(); }, '"leaks.sites.bytes" has 2 values instead of 3');
  broken((raw) => { raw.sites.bytes[0] = '9'; }, '"leaks.sites.bytes" holds what is no number, or none that can be');
  broken((raw) => { raw.sites.verdict[1] = 'constructor'; }, 'a site has an unknown verdict');
  broken((raw) => { raw.sites.curve[1].at[2] = 10; }, '"leaks.sites.curve.at" leads to 10, which is not there');
  broken((raw) => { raw.sites.curve[1].at[2] = 5; }, 'a curve goes back');
  broken((raw) => { raw.sites.stacks[0][0][0] = 3; }, 'there is no node 3');
  broken((raw) => { raw.judged.step_ns = 0; }, 'the leaks were judged over no time');
  broken((raw) => { delete raw.suppressed; }, '"leaks.suppressed" is missing');
  assert.equal(readLeaks(undefined, 0), null);
});

test('names in leaks that turn text are written out', () => {
  const { headline, suppressed } = read((raw) => { raw.headline = 'a\u202eb'; raw.suppressed[0][0] = 'x\u0007'; });
  assert.deepEqual([headline, suppressed[0].pattern], ['a\\u202eb', 'x\\u0007']);
});

/** main (a.py:5) → work (b.py:7) → work (b.py:7) → alloc (b.py:70), the last with all the bytes; the second frame is hidden. */
const page = (change = {}) => readPage(JSON.stringify({
  version: DATA_VERSION, ...without(4), title: 't', facts: [], warnings: [], strings: ['main', 'work', 'alloc', 'a.py', 'b.py', '', 'x = 1'],
  frames: { function: [0, 1, 2], file: [3, 4, 4], package: [5, 5, 5], source: [5, 6, 5], line: [5, 7, 70], kind: [0, 0, 3] },
  nodes: { back: [0, 1, 1, 1], frame: [0, 1, 1, 2] },
  metrics: [{ key: 'leaked', label: 'Leaked', cell: [3], bytes: [500], counts: [5], before: null }],
  default_metric: 0, inverted: false, temporary_within: 1, timeline: { seconds: [], live: [], rss: [] }, peak_at_seconds: null, ...change,
}));

test('a site is found in the graph, where its stack has it innermost', () => {
  const data = page();
  assert.equal(leaks.siteOnStack(data, 1, 3), 2);
  assert.equal(leaks.siteOnStack(data, 0, 3), 0);
  const model = new Model(data);
  assert.deepEqual(leaks.zoomTo(model.tree, 2), [0, 1, 1]);
  model.show({ ...model.look, zoom: [0, 1, 1] });
  assert.equal(model.nameOf(model.zoomed), 'work');
  // The innermost is an interpreter's frame, which is hidden: its caller is as near as one gets.
  assert.deepEqual(leaks.zoomTo(model.tree, 3), [0, 1, 1]);
  assert.deepEqual(leaks.pathOfNode(data, 1), [{ name: 'work', place: 'b.py:7', source: 'x = 1' }, { name: 'main', place: 'a.py:5', source: '' }]);
});

test('the search for a site finds its line and no other', () => {
  const { frames } = page();
  const found = (...site) => [...matchFrames(frames, matcher(leaks.searchFor(...site)))];
  assert.deepEqual(found('work', 'b.py', 7), [0, 1, 0]);
  assert.deepEqual(found('main', '', 0), [1, 0, 0]);
  // What is an expression in a name is text.
  assert.equal(leaks.searchFor('a<b>(c)*', '', 0), '/^a<b>\\(c\\)\\*$/');
  assert.equal(matcher(leaks.searchFor('', '/x/y.py', 3))('/x/y.py:3'), true);
});

test('a page opens with the view that it names, if it has that', () => {
  const sites = Object.fromEntries(Object.keys(LEAKS.sites).map((name) => [name, []]));
  const first = (change) => new Model(page(change)).look.view;
  assert.equal(first({ view: 'leaks', leaks: { ...LEAKS, sites } }), 'leaks');
  assert.equal(first({ view: 'leaks' }), 'calls');
  assert.equal(first({ view: 'types' }), 'calls');
  assert.equal(first({ view: 'nonsense', leaks: { ...LEAKS, sites } }), 'calls');
});

// ---- types --------------------------------------------------------------------------------------------------

/** Three censuses, two types and a third without objects at the first two; of the first, 5 are new at the last. */
const TYPES = {
  frames: { function: ['grow', ''], file: ['app.py', 'b\u202e.py'], line: [6, 0] },
  processes: [{
    pid: 4000, left_out: 2,
    censuses: {
      reason: ['period', 'mark', 'exit'], time_ns: [1e9, 2e9, 4e9], objects: [110, 115, 121], bytes: [6480, 6720, 7024],
      cost_ns: [1e6, 1e6, 2e6], own_bytes: [1000, 1000, 1000], cut: [false, false, true],
    },
    types: { name: ['a.A', 'str', 'b.B'], steady: [true, false, false], at: [[0, 1, 2], [0], [2]],
      objects: [[10, 15, 20], [100], [1]], bytes: [[480, 720, 960], [6000], [64]] },
    new: [{ of: 0, census: 2, count: 5, looked_up: 4, holders: [[true, ['a.A', 'list[3]', 'module app.CACHE']]], stacks: [[4, [0, 1]]] }],
  }],
};
const readT = (change = () => {}) => {
  const raw = structuredClone(TYPES);
  change(raw);
  return readTypes(raw);
};
const rows = (change = {}, found = undefined) => {
  const processes = readT();
  return types.typeChanges(processes[0], { ...types.firstTypesChoice(processes, 0), ...change }, found)
    .map((row) => `${row.type.name} ${row.before.objects} ${row.after.objects} ${types.objectsGrown(row)} ${types.bytesGrown(row)}`);
};

test('types between the first and the last census, those that grow steadily first', () => {
  assert.deepEqual(rows(), ['a.A 10 20 10 480', 'b.B 0 1 1 64', 'str 100 100 0 0']);
  assert.deepEqual(rows({ sort: 'bytes' }), ['str 100 100 0 0', 'a.A 10 20 10 480', 'b.B 0 1 1 64']);
  assert.deepEqual(rows({ from: 1, to: 0 }), ['a.A 15 10 -5 -240', 'str 100 100 0 0']);
  assert.deepEqual(rows({ only: 'grew' }), ['a.A 10 20 10 480', 'b.B 0 1 1 64']);
  assert.deepEqual(rows({ only: 'steady' }), ['a.A 10 20 10 480']);
  assert.deepEqual(rows({ only: 'new' }), ['a.A 10 20 10 480']);
  assert.deepEqual(rows({}, matcher('STR')), ['str 100 100 0 0']);
});

test('what is new of a type has its holders and its stacks', () => {
  const [{ types: [type], censuses }] = readT();
  assert.deepEqual(type.fresh.holders, [{ rooted: true, steps: ['a.A', 'list[3]', 'module app.CACHE'] }]);
  assert.deepEqual(type.fresh.stacks, [{ count: 4, frames: [{ name: 'grow', place: 'app.py:6' }, { name: '(unknown function)', place: 'b\\u202e.py' }] }]);
  assert.deepEqual([censuses[2].seconds, censuses[2].cost, censuses[2].cut], [4, 0.002, true]);
});

test('damaged types are refused with a sentence', () => {
  const broken = (change, message) => assert.throws(() => readT(change), { message: `The data of this page are damaged: ${message}.` });
  const [process] = ['processes'];
  broken((raw) => { raw[process][0].types.at[0][2] = 3; }, '"types.at[]" leads to 3, which is not there');
  broken((raw) => { raw[process][0].types.at[0][2] = 1; }, 'the numbers of a type go back');
  broken((raw) => { raw[process][0].types.objects[0].pop(); }, '"types.objects[]" has 2 values instead of 3');
  broken((raw) => { raw[process][0].new[0].of = 3; }, 'there is no type 3');
  broken((raw) => { raw[process][0].new[0].stacks[0][1] = [2]; }, '"types.new.stacks[][]" leads to 2, which is not there');
  broken((raw) => { raw[process][0].censuses.reason = []; }, 'a process has types without a census');
  broken((raw) => { raw[process] = []; }, 'there are types of no process');
  assert.deepEqual(readTypes(undefined), []);
});

// ---- changes ------------------------------------------------------------------------------------------------

/** main calls old (100 bytes before, gone), work at line 7 (50, then 80) and new work at line 8 (30), which calls itself (5). */
const DIFF = page({
  strings: ['main', 'old', 'work', 'app.py', 'lib.py', '', 'app', 'lib'],
  frames: { function: [0, 1, 2, 2], file: [3, 4, 4, 4], package: [6, 7, 7, 7], source: [5, 5, 5, 5], line: [5, 3, 7, 8], kind: [0, 1, 1, 1] },
  nodes: { back: [0, 1, 2, 3, 1], frame: [0, 1, 2, 3, 3] },
  ...without(5),
  metrics: [{ key: 'peak', label: 'Peak', cell: [2, 3, 4], bytes: [80, 30, 5], counts: [2, 1, 1], before: { cell: [1, 2], bytes: [100, 50], counts: [4, 2] } }],
  modules: [6, 7, 7, 7],
});
const changed = (by, choice = {}, unit = 'bytes') => changes
  .chosenChanges(changes.changeRows(DIFF, DIFF.metrics[0], by, unit), { by, only: '', sort: 'own', ...choice }, unit)
  .map((row) => `${row.name} ${row.place} ${changes.growthOf(row.own, unit)} ${changes.growthOf(row.total, unit)} ${changes.fateOf(row.own, unit)}`);

test('changes by call path are of functions, at whatever line', () => {
  // The two lines of work under main are one; the call of work by itself is another path.
  assert.deepEqual(changed('stack'), ['old lib.py -100 -100 gone', 'work lib.py 60 65 grew', 'work lib.py 5 5 new']);
  assert.deepEqual(changed('stack', { only: 'grew' }).length, 2);
  assert.deepEqual(changed('stack', { only: 'gone' }), ['old lib.py -100 -100 gone']);
  assert.deepEqual(changed('stack', { only: 'new' }), ['work lib.py 5 5 new']);
  assert.deepEqual(changed('stack', { sort: 'after' }), ['work lib.py 60 65 grew', 'work lib.py 5 5 new', 'old lib.py -100 -100 gone']);
});

test('changes by anything else count a call path once', () => {
  assert.deepEqual(changed('function'), ['old lib.py -100 -100 gone', 'work lib.py 65 65 grew']);
  assert.deepEqual(changed('line'), ['old lib.py:3 -100 -100 gone', 'work lib.py:8 35 35 new', 'work lib.py:7 30 30 grew']);
  assert.deepEqual(changed('file'), ['lib.py  -35 -35 shrank']);
  assert.deepEqual(changed('module'), ['lib  -35 -35 shrank']);
  assert.deepEqual(changed('package'), ['lib  -35 -35 shrank']);
  // Who only called what changed is there if what was called is asked for.
  assert.deepEqual(changed('file', { sort: 'total' }), ['lib.py  -35 -35 shrank', 'app.py  0 -35 same']);
  // Blocks: 4 and 2 before, 2, 1 and 1 after.
  assert.deepEqual(changed('function', {}, 'blocks'), ['old lib.py -4 -4 gone', 'work lib.py 2 2 grew']);
});

test('the graph of a difference: widths, and only what grew', () => {
  const model = new Model(DIFF);
  assert.equal(model.look.byLine, false);
  const width = (change) => {
    model.show({ ...model.look, ...change });
    return model.view.columns[model.column][0];
  };
  assert.deepEqual(['larger', 'change', 'before', 'after'].map((widths) => width({ widths })), [215, 165, 150, 115]);
  assert.deepEqual(['larger', 'change', 'before', 'after'].map((widths) => width({ widths, unit: 'blocks' })), [8, 6, 6, 4]);
  assert.equal(width({ unit: 'bytes', widths: 'larger', onlyGrew: true }), 115);
  assert.deepEqual(model.headline(), { number: '+65 B', words: '50 B before, 115 B after, live at the peak, of the call paths that grew' });
  assert.equal(width({ onlyGrew: false }), 215);
});

const diffs = process.env.DIFF;
test('changes are those of heaptide diff', { skip: diffs ? false : 'DIFF is not set' }, async () => {
  const html = readFileSync(`${diffs}/diff.html`, 'utf8');
  const start = html.indexOf('id="data">') + 'id="data">'.length;
  const data = readPage(await unpackPage(html.slice(start, html.indexOf('</script>', start))));
  const metric = data.metrics.find(({ key }) => key === 'peak');
  const sides = ({ before, after }) => [before.bytes, before.count, after.bytes, after.count].join(' ');
  const ours = ({ bytes, counts, beforeBytes, beforeCounts }) => [beforeBytes, beforeCounts, bytes, counts].join(' ');
  for (const [by] of changes.CHANGES_BY) {
    const report = JSON.parse(readFileSync(`${diffs}/${by}.json`, 'utf8'));
    const expected = by === 'stack'
      ? report.changes.map((change) => `${change.frames.map(({ function: name, file }) => `${name} ${file}`).join(' < ')}: ${sides(change)}`)
      : report.groups.map((row) => `${row.name} ${by === 'file' ? '' : row.file ?? ''}${row.line ? `:${row.line}` : ''}: ${sides(row.own)}, ${sides(row.total)}`);
    const rows = changes.changeRows(data, metric, by, 'bytes').filter(({ name }) => name !== '[no stack]' && name !== 'unknown');
    const found = by === 'stack'
      ? rows.map((row) => `${leaks.pathOfNode(data, row.node).map(({ name, place }) => `${name} ${place.replace(/:\d+$/, '')}`).join(' < ')}: ${ours(row.own)}`)
      : rows.map((row) => `${row.name} ${row.place}: ${ours(row.own)}, ${ours(row.total)}`);
    const known = expected.filter((row) => !row.startsWith('unknown '));
    assert.ok(known.length > 0, by);
    assert.deepEqual(found.sort(), known.sort(), by);
  }
});

// ---- what is chosen, in the address -------------------------------------------------------------------------

test('what is chosen above a list is in the address', () => {
  const first = { verdict: '', origin: 'program', sort: 'verdict', from: 2 };
  const there = (chosen) => choices.toListAddress({ ...first, ...chosen }, first);
  assert.equal(there({}), '');
  assert.equal(there({ verdict: 'grows', origin: '', from: 0 }), 'verdict:grows,origin:,from:0');
  const back = (text) => choices.fromListAddress(text, first);
  assert.deepEqual(back('verdict:grows,origin:,from:0'), { verdict: 'grows', origin: '', sort: 'verdict', from: 0 });
  for (const nonsense of ['', 'x', 'from:-1', 'from:1e9', 'sort:<b>', 'constructor:1', '__proto__:1', ':,:']) assert.deepEqual(back(nonsense), first, nonsense);
});

test('an address that chooses what is not there shows what is', () => {
  const processes = readT();
  const shown = (text) => types.addressedTypes(text, processes);
  assert.deepEqual(shown(''), { process: 0, from: 0, to: 2, sort: 'growth', only: '' });
  assert.deepEqual(shown('from:1,to:99,process:7,only:grew'), { process: 0, from: 1, to: 2, sort: 'growth', only: 'grew' });
  assert.deepEqual(rows({ sort: 'constructor' }), rows({ sort: 'bytes' }));
  assert.deepEqual(chosen({ sort: 'toString' }), chosen({ sort: 'bytes' }));
});

// ---- curves -------------------------------------------------------------------------------------------------

test('curves fill their width and height', () => {
  assert.equal(plot.pathData(plot.stepPoints([0, 5, 10], 10), 120, 20, false), 'M0 20L40 20L40 10L80 10L80 0L120 0');
  assert.equal(plot.pathData(plot.stepPoints([4, 4, 4, 4], 4), 100, 10, true), 'M0 0L100 0L100 10L0 10Z');
  assert.equal(plot.pathData(plot.instantPoints([1, 2, 5], [0, 8, 4], 8), 100, 10, false), 'M0 10L25 0L100 5');
  // One instant alone is a level line; nothing at all lies at the foot.
  assert.equal(plot.pathData(plot.instantPoints([3], [8], 8), 100, 10, false), 'M0 0L100 0');
  assert.equal(plot.pathData(plot.stepPoints([0, 0], 0), 100, 10, false), 'M0 10L100 10');
});
