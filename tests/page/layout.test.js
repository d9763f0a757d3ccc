// The pure half of the flame graph page, without a browser: data → tree → views → rectangles → words.
// Run with `node --test layout.test.js`. The modules are imported as they are; expected numbers are literals.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import test from 'node:test';

const assets = new URL('../../crates/report/assets/', import.meta.url);
const load = (name) => import(new URL(name, assets).href);
const words = await load('words.js');
const { readPage } = await load('data.js');
const calls = await load('calls.js');
const { inverted, nodeAt, pathOf, topDown } = await load('views.js');
const { indexAt, layoutRows, neighbour, placeOf } = await load('layout.js');
const { firstLook, fromAddress, toAddress } = await load('address.js');
const colors = await load('colors.js');
const timeline = await load('timeline.js');
const { Model } = await load('model.js');
const { without } = await import('./made.js');
const { describe, callPath } = await load('described.js');
const { searchResult } = await load('found.js');

// main ─┬─ parse (12 345 bytes in 3 blocks) ── read (55 in 1)
//       └─ read (1 000 in 1; before: 1 500 in 2)
// The text is the one that html/tests.rs expects from the Rust side.
const rustTest = readFileSync(new URL('../src/html/tests.rs', assets), 'utf8');
const lines = rustTest.slice(rustTest.indexOf('let expected = concat!(')).split(');')[0];
const TINY = [...lines.matchAll(/r#"(.*?)"#,/g)].map((match) => match[1]).join('');

/** A page from "parent frame bytes counts" per node; parent − for none. Frames are one letter. */
function page(text, { before, kinds = {}, lines = {}, inverted = false } = {}) {
  const rows = text.trim().split('\n').map((row) => row.trim().split(/\s+/));
  const names = [...new Set(rows.map((row) => row[1]))];
  const amounts = (list) => ({ cell: list.map((_, i) => i), bytes: list.map((row) => +row[0]), counts: list.map((row) => +row[1]) });
  return readPage(JSON.stringify({
    version: 3, title: 't', facts: [], warnings: [],
    strings: [...names.map((name) => name[0]), 'file.py', ''],
    frames: {
      function: names.map((_, i) => i), file: names.map(() => names.length),
      package: names.map((_, i) => i), source: names.map(() => names.length + 1),
      line: names.map((name) => lines[name] ?? 7), kind: names.map((name) => kinds[name] ?? 0),
    },
    nodes: { back: rows.map((row, i) => (row[0] === '-' ? 0 : i - row[0])), frame: rows.map((row) => names.indexOf(row[1])) },
    ...without(rows.length),
    metrics: [{ key: 'peak', label: 'Peak', ...amounts(rows.map((row) => [row[2], row[3]])), before: before ? amounts(before) : null }],
    default_metric: 0, inverted, temporary_within: 1, timeline: { seconds: [], live: [], rss: [] }, peak_at_seconds: null,
  }));
}

/** The whole view as text: "name bytes(children)", widest first. */
function outline(view, frames, column = 0, id = 0) {
  const name = view.frame[id] < 0 ? 'all' : frames.name[view.frame[id]];
  const below = [...view.children(id, column)].map((child) => outline(view, frames, column, child));
  return `${name} ${view.columns[column][id]}${below.length ? `(${below.join(' ')})` : ''}`;
}

function treeOf(data, options = {}) {
  const tree = calls.mergeNodes(data.nodes, calls.sameFrames(data.frames, options.byLine ?? true), options.hidden);
  return { tree, own: calls.ownColumns(tree, data.cells, data.metrics[0]) };
}

const TWO_BRANCHES = `
  - m 0 0
  0 a 10 1
  1 r 30 3
  0 b 5 1
  3 r 20 2
  4 r 2 1`;

// ---- data ---------------------------------------------------------------------------------------------------

test('data of the Rust side are read', () => {
  const data = readPage(TINY);
  assert.deepEqual(data.frames.name, ['main', 'parse', 'read']);
  assert.deepEqual(data.frames.package, ['job', 'job', 'job']);
  assert.deepEqual(data.frames.source, ['', 'rows = []', '']);
  assert.deepEqual([...data.nodes.parent], [-1, 0, 1, 0]);
  assert.deepEqual([...data.metrics[0].after.bytes], [0, 12345, 55, 1000]);
  assert.deepEqual([...data.metrics[0].before.counts], [0, 0, 0, 2]);
  assert.equal(data.peakAt, 0.5);
  assert.deepEqual([data.title, data.inverted, data.temporaryWithin], ['heaptide: job.py', true, 5]);
  // One look, and the highest instants of the course: the first before it, the second below it.
  assert.deepEqual([[...data.timeline.seconds], [...data.timeline.live], [...data.timeline.rss]], [[0.24, 0.3, 0.5], [13000, 13345, 13400], [0, 0, 40960]]);
});

const broken = (change, message) => {
  const raw = JSON.parse(TINY);
  change(raw);
  assert.throws(() => readPage(JSON.stringify(raw)), { message });
};

test('damaged data are refused with a sentence', () => {
  broken((raw) => { raw.version = 4; }, 'The data of this page have version 4; its script reads version 3.');
  broken((raw) => { raw.nodes.back[1] = 2; }, 'The data of this page are damaged: node 1 has no parent before it.');
  broken((raw) => { raw.nodes.frame[0] = 3; }, 'The data of this page are damaged: "nodes.frame" leads to 3, which is not there.');
  broken((raw) => { raw.frames.file[0] = 9; }, 'The data of this page are damaged: "frames.file" leads to 9, which is not there.');
  broken((raw) => { raw.metrics[0].cell[0] = 4; }, 'The data of this page are damaged: "metric.cell" leads to 4, which is not there.');
  broken((raw) => { raw.cells.node[3] = 4; }, 'The data of this page are damaged: "cells.node" leads to 4, which is not there.');
  broken((raw) => { raw.cells.thread[3] = -2; }, 'The data of this page are damaged: "cells.thread" leads to -2, which is not there.');
  broken((raw) => { raw.course.lives.died[0] = 3; }, 'The data of this page are damaged: "course.lives.died" leads to 3, which is not there.');
  broken((raw) => { raw.course.flows.bytes[0] = null; }, 'The data of this page are damaged: "course.flows.bytes" holds what is no number, or none that can be.');
  broken((raw) => { delete raw.course.peaks; }, 'The data of this page are damaged: "course.peaks.cell" is missing.');
  broken((raw) => { raw.metrics = []; }, 'The data of this page are damaged: there is no metric.');
  broken((raw) => { delete raw.inverted; }, 'The data of this page are damaged: "inverted" is missing.');
  broken((raw) => { delete raw.temporary_within; }, 'The data of this page are damaged: "temporary_within" is missing.');
  broken((raw) => { raw.timeline.live = []; }, 'The data of this page are damaged: "timeline.live" has 0 values instead of 1.');
  assert.throws(() => readPage(TINY.slice(0, 100)), /not complete JSON; the file may be cut short/);
});

// ---- tree ---------------------------------------------------------------------------------------------------

test('totals are own values and those of the callees', () => {
  const data = page(TWO_BRANCHES);
  const { tree, own } = treeOf(data);
  // m: 10 + 30 + 5 + 20 + 2 = 67; a: 10 + 30; b: 5 + 20 + 2.
  assert.equal(outline(topDown(tree, own), data.frames), 'all 67(m 67(a 40(r 30) b 27(r 22(r 2))))');
  assert.equal(outline(topDown(tree, own), data.frames, 1), 'all 8(m 8(a 4(r 3) b 4(r 3(r 1))))');
});

test('siblings of the same frame are one', () => {
  const data = page(`
    - m 0 0
    0 a 10 1
    0 b 1 1
    0 a 100 1
    3 b 5 1
    1 b 7 1`);
  const { tree, own } = treeOf(data);
  assert.equal(outline(topDown(tree, own), data.frames), 'all 123(m 123(a 122(b 12) b 1))');
});

test('hidden frames give their values to their caller', () => {
  const data = page(`
    - i 3 1
    0 m 1 1
    1 i 10 1
    2 a 100 1
    1 a 1000 1`, { kinds: { i: 3 } });
  const { tree, own } = treeOf(data, { hidden: (frame) => data.frames.kind[frame] === 3 });
  // The outer i's 3 bytes stay with "all", the inner i's 10 with m; both a are now siblings: 1 100.
  assert.equal(outline(topDown(tree, own), data.frames), 'all 1114(m 1111(a 1100))');
});

test('lines of a function are apart or together', () => {
  const data = page(`
    - a1 1 1
    - a2 10 1
    1 b 100 1`, { lines: { a1: 1, a2: 2 } });
  const apart = treeOf(data);
  assert.equal(outline(topDown(apart.tree, apart.own), data.frames), 'all 111(a 110(b 100) a 1)');
  const together = treeOf(data, { byLine: false });
  assert.equal(outline(topDown(together.tree, together.own), data.frames), 'all 111(a 111(b 100))');
});

// ---- inverted -----------------------------------------------------------------------------------------------

test('inverted: first who allocated, below the callers', () => {
  const data = page(TWO_BRANCHES);
  const { tree, own } = treeOf(data);
  // r: 30 + 20 + 2 = 52, of which 30 called from a, 20 from b, 2 from r (and that from b).
  assert.equal(
    outline(inverted(tree, own), data.frames),
    'all 67(r 52(a 30(m 30) b 20(m 20) r 2(b 2(m 2))) a 10(m 10) b 5(m 5))',
  );
});

test('inverted: what is only made when looked at is the same in any order', () => {
  const data = page(TWO_BRANCHES);
  const { tree, own } = treeOf(data);
  const view = inverted(tree, own);
  const names = (id) => pathOf(view, id).map((frame) => data.frames.name[frame]).join('');
  const deep = nodeAt(view, [2, 3, 0]); // r, b, m
  assert.equal(names(deep), 'rbm');
  assert.equal(view.columns[0][deep], 20);
  assert.equal(outline(view, data.frames), outline(inverted(tree, own), data.frames));
});

// ---- search -------------------------------------------------------------------------------------------------

test('nested matches count once', () => {
  const data = page(TWO_BRANCHES);
  const { tree, own } = treeOf(data);
  const found = (text) => calls.matchTotals(tree, own, calls.matchFrames(data.frames, calls.matcher(text)));
  assert.deepEqual(found('r'), [52, 6]); // not 54: the inner r is inside an r
  assert.deepEqual(found('R'), [52, 6]);
  assert.deepEqual(found('/^(b|r)$/'), [57, 7]); // all of b (27) and the r under a (30)
  assert.deepEqual(found('/^R$/'), [0, 0]);
  assert.deepEqual(found('/^R$/i'), [52, 6]);
  assert.deepEqual(found('file.py:7'), [67, 8]);
  assert.equal(calls.matcher(''), null);
  assert.throws(() => calls.matcher('/(/'), SyntaxError);
});

test('the table counts a recursive function once per path', () => {
  const data = page(TWO_BRANCHES);
  const { tree, own } = treeOf(data);
  const rows = calls.frameTotals(tree, own, calls.totalColumns(tree, own));
  const text = rows.map((row) => `${data.frames.name[row.frame]} ${row.own[0]} ${row.total[0]}`).sort();
  assert.deepEqual(text, ['a 10 40', 'b 5 27', 'm 0 67', 'r 52 52']);
});

// ---- difference ---------------------------------------------------------------------------------------------

const MONDAY = [[0, 0], [40, 4], [30, 3], [0, 0], [8, 1], [2, 1]];

test('difference: a path is as wide as its larger side, and children fit', () => {
  const data = page(TWO_BRANCHES, { before: MONDAY });
  const { tree, own } = treeOf(data);
  const width = calls.widthColumn(own, calls.BYTES);
  assert.equal(width, 4);
  assert.equal(calls.widthColumn(own, calls.COUNTS), 5);
  // a: max(10, 40) + max(30, 30) = 70; b: 5 + max(20, 8) + 2 = 27. All 97, though neither side has more than 80.
  assert.equal(outline(topDown(tree, own), data.frames, width), 'all 97(m 97(a 70(r 30) b 27(r 22(r 2))))');
  assert.equal(topDown(tree, own).columns[calls.BEFORE][0], 80);
  assert.equal(inverted(tree, own).columns[width][0], 97);
});

test('change is relative to the larger side', () => {
  assert.equal(calls.change(0, 5), 1);
  assert.equal(calls.change(5, 0), -1);
  assert.equal(calls.change(50, 100), 0.5);
  assert.equal(calls.change(100, 75), -0.25);
  assert.equal(calls.change(0, 0), 0);
});

test('red grew, blue shrank, grey stayed', () => {
  assert.equal(colors.changeColor(1, false), 'rgb(232 108 102)');
  assert.equal(colors.changeColor(-1, false), 'rgb(96 158 226)');
  assert.equal(colors.changeColor(0, false), 'rgb(232 232 230)');
});

test('packages have colours of their own, in the legend those that hold the most', () => {
  const data = page(TWO_BRANCHES);
  data.frames.package = ['one', 'two', 'one', 'two'];
  data.frames.source[1] = 'x = 1';
  const model = new Model(data);
  // m 0, a 10, r 30 + 20 + 2, b 5: own bytes of "one" are m's and r's.
  assert.deepEqual(model.packages(8), ['one', 'two']);
  assert.deepEqual(model.packages(1), ['one']);
  const a = nodeAt(model.view, [0, 1]);
  assert.equal(describe(model, a).source, 'x = 1');
  assert.equal(describe(model, a).place, 'file.py:7  ·  two  ·  Project');
  const byKind = model.fill(a);
  model.show({ ...model.look, colours: 'packages', byLine: false });
  assert.equal(model.fill(a), colors.packageColor('two', false));
  assert.notEqual(model.fill(a), byKind);
  assert.notEqual(colors.packageColor('one', false), colors.packageColor('two', false));
  // Several lines are one frame now.
  assert.equal(describe(model, a).source, '');
});

// ---- rectangles ---------------------------------------------------------------------------------------------

const boxes = (rows, view, frames) =>
  rows.map((row) => row.id.map((id, i) => `${view.frame[id] < 0 ? 'all' : frames.name[view.frame[id]]}@${row.x[i]}+${row.width[i]}`).join(' '));

test('rectangles: widest first, from the left, inside the parent', () => {
  const data = page(TWO_BRANCHES);
  const { tree, own } = treeOf(data);
  const view = topDown(tree, own);
  assert.deepEqual(boxes(layoutRows(view, 0, 0, 670), view, data.frames), [
    'all@0+670', 'm@0+670', 'a@0+400 b@400+270', 'r@0+300 r@400+220', 'r@400+20',
  ]);
});

test('zoom: the node and its callers have the whole width', () => {
  const data = page(TWO_BRANCHES);
  const { tree, own } = treeOf(data);
  const view = topDown(tree, own);
  const b = nodeAt(view, [0, 3]);
  assert.deepEqual(boxes(layoutRows(view, 0, b, 270), view, data.frames), [
    'all@0+270', 'm@0+270', 'b@0+270', 'r@0+220', 'r@0+20',
  ]);
});

test('what is too narrow to be seen is left out', () => {
  const data = page(TWO_BRANCHES);
  const { tree, own } = treeOf(data);
  const view = topDown(tree, own);
  // 67 bytes on 67 pixels: the innermost r is 2 wide.
  assert.equal(layoutRows(view, 0, 0, 67, 2.5).length, 4);
  assert.equal(layoutRows(view, 0, 0, 67, 2).length, 5);
});

test('a tree of nothing is one row', () => {
  const data = page('- m 0 0');
  const { tree, own } = treeOf(data);
  assert.equal(layoutRows(topDown(tree, own), 0, 0, 100).length, 1);
});

test('points find their rectangle', () => {
  const row = { id: [4, 9], x: [10, 30], width: [20, 5] };
  assert.deepEqual([9.9, 10, 29.9, 30, 34.9, 35].map((x) => indexAt(row, x)), [-1, 0, 0, 1, 1, -1]);
  assert.equal(indexAt(undefined, 1), -1);
});

test('arrow keys', () => {
  const data = page(TWO_BRANCHES);
  const { tree, own } = treeOf(data);
  const view = topDown(tree, own);
  const rows = layoutRows(view, 0, 0, 670);
  const name = (path) => pathOf(view, path).map((frame) => data.frames.name[frame]).join('');
  const go = (from, way) => name(neighbour(rows, view, nodeAt(view, from), way));
  assert.equal(go([0], 'down'), 'ma');
  assert.equal(go([0, 1], 'right'), 'mb');
  assert.equal(go([0, 3], 'left'), 'ma');
  assert.equal(go([0, 3], 'right'), 'mb');
  assert.equal(go([0, 1, 2], 'right'), 'mbr'); // a cousin
  assert.equal(go([0], 'up'), '');
  assert.equal(go([0, 3, 2, 2], 'down'), 'mbrr');
  assert.deepEqual(placeOf(rows, view, nodeAt(view, [0, 3])), { depth: 2, index: 1 });
});

test('a hundred thousand nodes are laid out in well under a second', () => {
  const n = 100_000;
  const parent = Int32Array.from({ length: n }, (_, i) => (i === 0 ? -1 : Math.max(0, i - 1 - ((i * 7919) % 37))));
  const frame = Int32Array.from({ length: n }, (_, i) => (i * 31) % 500);
  const data = { nodes: { parent, frame, length: n } };
  const bytes = Float64Array.from({ length: n }, (_, i) => (i * 2654435761) % 1000);
  const metric = { after: { bytes, counts: bytes }, before: null };
  const start = performance.now();
  const tree = calls.mergeNodes(data.nodes, Int32Array.from({ length: 500 }, (_, i) => i));
  const own = calls.ownColumns(tree, { node: Int32Array.from({ length: n }, (_, i) => i) }, metric);
  layoutRows(topDown(tree, own), 0, 0, 1400);
  layoutRows(inverted(tree, own), 0, 0, 1400);
  // Some 0.3 s; the bound is for slow machines and still far from what a reader would call stuck.
  assert.ok(performance.now() - start < 3000, `${performance.now() - start} ms`);
});

// ---- addresses ----------------------------------------------------------------------------------------------

const VIEWS = ['calls', 'inverted', 'table'];

test('addresses come back as they were', () => {
  const look = { ...firstLook('peak'), metric: 'leaked', unit: 'blocks', view: 'inverted', byLine: false, interpreter: true, colours: 'packages', search: '/a&b=#c/', zoom: [3, 14] };
  const address = toAddress(look, firstLook('peak'));
  assert.equal(address, '#metric=leaked&unit=blocks&view=inverted&lines=merged&interpreter=shown&colours=packages&search=%2Fa%26b%3D%23c%2F&zoom=3.14');
  assert.deepEqual(fromAddress(address, firstLook('peak'), ['peak', 'leaked'], VIEWS), look);
  assert.equal(toAddress(firstLook('peak'), firstLook('peak')), '#');
});

test('an address that makes no sense is the first look', () => {
  for (const address of ['', '#', '#zoom=x', '#metric=none', '#%', '#search=%E0%A4%A', '#=&&=', '#view=none', '#view=constructor']) {
    assert.deepEqual(fromAddress(address, firstLook('peak'), ['peak'], VIEWS), firstLook('peak'));
  }
});

test('a page that opens inverted', () => {
  const first = firstLook('peak', true);
  assert.equal(fromAddress('', first, ['peak'], VIEWS).view, 'inverted');
  assert.equal(fromAddress('#unit=blocks', first, ['peak'], VIEWS).view, 'inverted');
  assert.equal(toAddress(first, first), '#');
  const turned = { ...first, view: 'calls' };
  assert.equal(toAddress(turned, first), '#view=calls');
  assert.deepEqual(fromAddress('#view=calls', first, ['peak'], VIEWS), turned);
  assert.deepEqual(fromAddress('#view=table', first, ['peak'], VIEWS), { ...first, view: 'table' });
  const model = new Model(page(TWO_BRANCHES, { inverted: true }));
  assert.equal(outline(model.view, model.frames), 'all 67(r 52(a 30(m 30) b 20(m 20) r 2(b 2(m 2))) a 10(m 10) b 5(m 5))');
});

test('a path leads as far as it can', () => {
  const data = page(TWO_BRANCHES);
  const { tree, own } = treeOf(data);
  const view = topDown(tree, own);
  assert.deepEqual(pathOf(view, nodeAt(view, [0, 3, 999])), [0, 3]);
  assert.equal(nodeAt(view, [999]), 0);
});

// ---- words --------------------------------------------------------------------------------------------------

test('bytes in words', () => {
  const said = [0, 1, 1023, 1024, 1536, 12_345, 1_048_575, 1_048_576, 13_421_773, 5e12, -2048].map(words.humanBytes);
  assert.deepEqual(said, ['0 B', '1 B', '1023 B', '1 KiB', '1.5 KiB', '12.1 KiB', '1 MiB', '1 MiB', '12.8 MiB', '4.55 TiB', '−2 KiB']);
});

test('counts, shares, times, differences in words', () => {
  assert.equal(words.exact(1234567), '1,234,567');
  assert.equal(words.counted(1, 'block'), '1 block');
  assert.equal(words.counted(0, 'allocation'), '0 allocations');
  assert.deepEqual([[0, 5], [1, 3], [1, 20], [1, 1e6], [5, 5], [999999, 1e6], [0, 0]].map(([a, b]) => words.percent(a, b)),
    ['0.00%', '33.3%', '5.00%', '<0.01%', '100%', '>99.99%', '–']);
  assert.deepEqual([0, 0.0005, 0.85, 12.345, 245, 7380].map(words.duration), ['0 s', '0.5 ms', '850 ms', '12.3 s', '4 min 05 s', '2 h 03 min']);
  assert.deepEqual([1536, 0, -1536].map((n) => words.signed(n, words.humanBytes)), ['+1.5 KiB', '±0', '−1.5 KiB']);
});

test('when a run began', () => {
  process.env.TZ = 'UTC';
  assert.equal(words.dayAndTime(1_795_307_594), '2026-11-22 00:33:14');
  assert.equal(words.dayAndTime(0), '');
});

test('temporary is explained by its number', () => {
  const start = 'freed soon after: by the thread that allocated it, with ';
  assert.deepEqual([0, 1, 5].map(words.temporaryPhrase), [
    `${start}no other allocation of that thread between`,
    `${start}at most 1 other allocation of that thread between`,
    `${start}at most 5 other allocations of that thread between`,
  ]);
});

test('marks that turn or hide text are written out', () => {
  assert.equal(words.visible('txt.\u202egpj\u2066\u200b\u0007\n'), 'txt.\\u202egpj\\u2066\\u200b\\u0007\\u000a');
  assert.equal(words.visible('a\u{e0041}'), 'a\\u{e0041}');
  assert.equal(words.visible('operator<, 名前 🌊'), 'operator<, 名前 🌊');
});

test('places', () => {
  assert.equal(words.fileAndLine('/a/b.py', 3), '/a/b.py:3');
  assert.equal(words.fileAndLine('/a/b.py', 0), '/a/b.py');
  assert.equal(words.baseName('C:\\x\\y.py'), 'y.py');
  assert.equal(words.tellingName('/lib/flask/app.py:7'), 'app.py:7');
  assert.equal(words.tellingName('/lib/flask/__init__.py:16'), 'flask/__init__.py:16');
  assert.equal(words.tellingName('C:\\x\\job\\__main__.py'), 'job\\__main__.py');
  assert.equal(words.tellingName('__init__.py'), '__init__.py');
  assert.equal(words.tellingName('<frozen runpy>'), '<frozen runpy>');
});

// ---- timeline -----------------------------------------------------------------------------------------------

test('round numbers on the axes', () => {
  assert.equal(timeline.roundTop(470 * 2 ** 20), 500 * 2 ** 20);
  assert.equal(timeline.roundTop(1000), 1000);
  assert.equal(timeline.roundTop(1010), 1024);
  assert.equal(timeline.roundTop(1), 1);
  assert.deepEqual(timeline.timelineTicks(0, 2.31, 6), [0, 0.5, 1, 1.5, 2]);
  assert.deepEqual(timeline.timelineTicks(0, 400, 5), [0, 120, 240, 360]);
});

test('a peak among many points is not lost', () => {
  const n = 10_000;
  const seconds = Float64Array.from({ length: n }, (_, i) => i);
  const live = Float64Array.from({ length: n }, (_, i) => (i === 5000 ? 100 : 10));
  const scale = { from: 0, to: n - 1, top: 100, left: 0, right: 200, y0: 100, y1: 0 };
  const points = timeline.timelineShape({ seconds, live, rss: live, length: n }, live, scale);
  assert.ok(points.length <= 402, `${points.length} points`);
  assert.equal(Math.min(...points.map((point) => point.y)), 0);
});

// ---- all together -------------------------------------------------------------------------------------------

test('one block from the data to its rectangle and words', () => {
  const model = new Model(readPage(TINY));
  model.show({ ...model.look, view: 'calls', zoom: [0, 1] });
  // Sides: before 1 500, after 13 400; widths: 12 345 + 55 + max(1 000, 1 500).
  assert.equal(model.view.columns[model.column][0], 13_900);
  assert.equal(model.nameOf(model.zoomed), 'parse');
  assert.deepEqual(describe(model, model.zoomed).lines.map(({ text }) => text), [
    '0 B (0 bytes) in 0 blocks', '12.1 KiB (12,400 bytes) in 4 blocks', '+12.1 KiB, +4 blocks',
  ]);
  assert.equal(model.headline().number, '+11.6 KiB');
  model.show({ ...model.look, search: 'read' });
  assert.equal(searchResult(model), '2 frames: 1.46 KiB → 1.03 KiB (−445 B)');
});

test('interpreter frames are shown on request only', () => {
  const model = new Model(page(`
    - m 0 0
    0 i 10 1
    1 a 100 1`, { kinds: { i: 3 } }));
  assert.equal(outline(model.view, model.frames), 'all 110(m 110(a 100))');
  model.show({ ...model.look, interpreter: true });
  assert.equal(outline(model.view, model.frames), 'all 110(m 110(i 110(a 100)))');
});

test('the words of a metric: blocks are held, allocations flow', () => {
  const model = new Model(page(TWO_BRANCHES));
  assert.deepEqual(model.headline(), { number: '67 B', words: 'live at the peak, 8 blocks' });
  model.show({ ...model.look, search: 'r' });
  assert.equal(searchResult(model), '3 frames: 52 B, 77.6% of all');
  model.show({ ...model.look, search: 'r', unit: 'blocks' });
  assert.equal(searchResult(model), '3 frames: 6 blocks, 75.0% of all');
  assert.match(callPath(model, nodeAt(model.view, [0, 1])), /^m \(file.py:7\)\na \(file.py:7\)$/);
  model.show({ ...model.look, search: '/(/' });
  assert.match(model.searchError, /Invalid regular expression/);
});
