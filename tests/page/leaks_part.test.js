// The leaks of a part of the run, without a browser. The data are those of html/tests.rs, two parts divided by the mark "loaded" at
// 0.25 s, with more that was left: parse 12 000 of the first part and 345 of the second, read 1 000 of the first (another path: the
// last cell), and of the second 55 by the worker. Of those 55 no site tells.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import test from 'node:test';
import { load } from './made.js';

const { readPage } = await load('data.js');
const { Model } = await load('model.js');
const { leaksPart, partSentences } = await load('leaks_part.js');
const { chosenSites, firstLeaksChoice, verdictCounts } = await load('leaks.js');

const rustTest = readFileSync(new URL('../../crates/report/src/html/tests.rs', import.meta.url), 'utf8');
const lines = rustTest.slice(rustTest.indexOf('let expected = concat!(')).split(');')[0];
const TINY = JSON.parse([...lines.matchAll(/r#"(.*?)"#,/g)].map((match) => match[1]).join(''));
const none = [0, 0, 0];
const PAGE = {
  ...TINY, inverted: false, metrics: [{ ...TINY.metrics[0], before: null }],
  course: { ...TINY.course, leaked: { cell: [1, 1, 3, 2], born: [0, 1, 0, 1], bytes: [12_000, 345, 1_000, 55], counts: [2, 1, 2, 1] } },
  leaks: {
    headline: 'memory live at the end: 13.1 KiB in 6 blocks', judged: { newest: 0.1, from_ns: 0, step_ns: 250_000_000, parts: 2 },
    origins: [['program', 12_345, 3], ['import', 1_000, 2]], suppressed: [['known', false, 55, 1]], left_out: [0, 0, 0],
    sites: {
      node: [1, 3, 0], origin: [0, 1, 0], bytes: [12_345, 1_000, 0], blocks: [3, 2, 0], verdict: ['grows', 'start_up', 'one_off'], score: [50, 0, 0],
      bytes_per_second: [10, 0, 0], bytes_per_1000_events: none, garbage_bytes: none, garbage_blocks: none, highest: [12_345, 1_000, 0],
      curve: [{ at: [], bytes: [] }, { at: [], bytes: [] }, { at: [], bytes: [] }],
      stacks: [[[1, 12_345, 3]], [[3, 1_000, 2]], []], stack_count: [1, 1, 0], nodes: [[1], [3], []],
    },
  },
};

const partOf = (look, raw = PAGE) => {
  const page = readPage(JSON.stringify(raw));
  const model = new Model(page);
  model.show({ ...model.look, ...look });
  return leaksPart(model, page.leaks);
};
const sites = (part) => part.leaks.sites.map(({ index, bytes, blocks, all }) => [index, bytes, blocks, all.bytes]);

test('of a window what came in it and was left', () => {
  const first = partOf({ from: '0', to: 'mark:loaded' });
  assert.deepEqual(sites(first), [[0, 12_000, 2, 12_345], [1, 1_000, 2, 1_000]]);
  assert.deepEqual([first.total, first.unlisted], [{ bytes: 13_000, blocks: 4 }, { bytes: 0, blocks: 0 }]);
  assert.equal(first.words, 'from 0 s to 250 ms (mark “loaded”)');
  const second = partOf({ from: 'mark:loaded', to: '0.5' });
  assert.deepEqual(sites(second), [[0, 345, 1, 12_345]]);
  assert.deepEqual([second.total, second.unlisted], [{ bytes: 400, blocks: 2 }, { bytes: 55, blocks: 1 }]);
  assert.deepEqual(second.leaks.origins, [{ name: 'program', bytes: 345, blocks: 1 }, { name: 'import', bytes: 0, blocks: 0 }]);
});

test('all of the run is what leaks says of it', () => {
  const whole = partOf({ from: '0', to: '0.5' });
  assert.deepEqual(sites(whole), [[0, 12_345, 3, 12_345], [1, 1_000, 2, 1_000]]);
  assert.deepEqual(whole.leaks.sites.map(({ stacks, stackCount }) => [stacks, stackCount]), [
    [[{ node: 1, bytes: 12_345, blocks: 3 }], 1], [[{ node: 3, bytes: 1_000, blocks: 2 }], 1],
  ]);
});

test('without a window, at an instant and without a course nothing is taken away', () => {
  assert.equal(partOf({}), null);
  assert.equal(partOf({ from: '0.3', to: '0.3' }), null);
  assert.equal(partOf({ from: '0', to: '0.5' }, { ...PAGE, course: null }), null);
});

test('of a thread what it left, at any time or in a window', () => {
  const worker = partOf({ thread: 1 });
  assert.deepEqual([sites(worker), worker.total, worker.words], [[], { bytes: 55, blocks: 1 }, 'at any time, only thread worker (4002)']);
  const main = partOf({ thread: 0, from: 'mark:loaded', to: '0.5' });
  assert.deepEqual([sites(main), main.words], [[[0, 345, 1, 12_345]], 'from 250 ms (mark “loaded”) to 500 ms, only thread 4001']);
});

test('it is listed and said as the whole is', () => {
  const { leaks, ...part } = partOf({ from: 'mark:loaded', to: '0.5' });
  const chosen = firstLeaksChoice(leaks);
  assert.deepEqual(chosenSites(leaks, chosen).map(({ verdict, bytes }) => [verdict, bytes]), [['grows', 345]]);
  assert.deepEqual(verdictCounts(leaks, ''), [{ verdict: 'grows', count: 1 }]);
  assert.deepEqual(partSentences({ leaks, ...part }), [
    'Listed is what came from 250 ms (mark “loaded”) to 500 ms and was live at the end. Verdicts, curves and what is said of growth are of the whole run.',
    '55 B in 1 block of it are not listed: known to suppressions, of smaller sites, or without a stack.',
  ]);
  assert.equal(partSentences(partOf({ from: '0', to: 'mark:loaded' })).length, 1);
  assert.match(partSentences(partOf({ from: '0', to: 'mark:loaded' }, { ...PAGE, span: [0, 0.5] }))[0], /live at the end of that which the page is of\. .* of the page’s whole window\.$/);
});

test('nodes of a site that are not there are said to be damage', () => {
  for (const nodes of [[[4], [], []], [[0.5], [], []], [[1]], undefined]) {
    const raw = structuredClone(PAGE);
    raw.leaks.sites.nodes = nodes;
    assert.throws(() => readPage(JSON.stringify(raw)), /^Error: The data of this page are damaged: /, JSON.stringify(nodes));
  }
});
