// The rows of the table by thread, process and function that allocates, without a browser. The data are those of html/tests.rs with
// a second process, which the thread "worker" is of, and a second function that allocates, which the last cell asked.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import test from 'node:test';
import { load, looking } from './made.js';

const { readPage } = await load('data.js');
const { Model } = await load('model.js');
const { askerRows, askersByBytes, hasGroup, onlyAsker } = await load('asked.js');
const { filterRows, sortRows } = await load('rows.js');
const { tableRecords } = await load('records.js');
const { firstLook, fromAddress } = await load('address.js');

const rustTest = readFileSync(new URL('../../crates/report/src/html/tests.rs', import.meta.url), 'utf8');
const lines = rustTest.slice(rustTest.indexOf('let expected = concat!(')).split(');')[0];
const TINY = JSON.parse([...lines.matchAll(/r#"(.*?)"#,/g)].map((match) => match[1]).join(''));
/** Cells: main 0, parse 12 345 in 3, read by the worker 55 in 1, read of another path 1 000 in 1 by mmap. */
const page = () => readPage(JSON.stringify({
  ...TINY, inverted: false, metrics: [{ ...TINY.metrics[0], before: null }],
  processes: { pid: [4001, 77], command: ['python job.py', 'sh -c make'], ended: [1, null] },
  threads: { ...TINY.threads, process: [0, 1] },
  allocators: ['malloc', 'mmap'], cells: { ...TINY.cells, allocator: [0, 0, 0, 1] },
}));

const rowsOf = (model) => sortRows(filterRows(model.tableRows(), model.look.filter, model.frames, model.look.group), model.look.sort, model);
const shown = (look, model = new Model(page())) => {
  model.show({ ...model.look, ...look });
  return rowsOf(model).map(({ names, own }) => `${names.name}|${names.where}|${own.bytes}/${own.counts}`);
};

test('a row for each who asked for something, the largest first', () => {
  assert.deepEqual(shown({ group: 'thread' }), ['4001|4001  python job.py|13345/4', 'worker (4002)|77  sh -c make|55/1']);
  assert.deepEqual(shown({ group: 'process' }), ['4001|python job.py|13345/4', '77|sh -c make|55/1']);
  assert.deepEqual(shown({ group: 'allocator' }), ['malloc||12400/4', 'mmap||1000/1']);
  assert.deepEqual(shown({ group: 'allocator', sort: 'own.turned' }), ['mmap||1000/1', 'malloc||12400/4']);
  assert.deepEqual(shown({ group: 'process', sort: 'where.turned' }).map((row) => row.slice(0, 2)), ['77', '40']);
  assert.deepEqual(shown({ group: 'thread', filter: 'make' }), ['worker (4002)|77  sh -c make|55/1']);
});

test('lists of who asked begin with who asked for the most, and have who asked for nothing', () => {
  const of = page();
  const [peak] = of.metrics;
  assert.deepEqual(askersByBytes(of, 'thread', peak), [{ key: 0, bytes: 13_345 }, { key: 1, bytes: 55 }]);
  assert.deepEqual(askersByBytes(of, 'process', peak), [{ key: 0, bytes: 13_345 }, { key: 1, bytes: 55 }]);
  assert.deepEqual(askersByBytes(of, 'allocator', peak), [{ key: 0, bytes: 12_400 }, { key: 1, bytes: 1_000 }]);
  // The worker alone, then nobody.
  assert.deepEqual(askersByBytes(of, 'thread', { after: { bytes: [0, 0, 7, 0] }, before: null }), [{ key: 1, bytes: 7 }, { key: 0, bytes: 0 }]);
  assert.deepEqual(askersByBytes(of, 'thread', { after: { bytes: [0, 0, 0, 0] }, before: null }), [{ key: 0, bytes: 0 }, { key: 1, bytes: 0 }]);
  // Of two sides the larger one counts; whom nobody knows is in no list.
  assert.deepEqual(askersByBytes(of, 'thread', { after: { bytes: [3, 2, 4, 0] }, before: { bytes: [0, 0, 9, 0] } }), [{ key: 1, bytes: 9 }, { key: 0, bytes: 5 }]);
  const unknown = readPage(JSON.stringify({ ...TINY, cells: { ...TINY.cells, thread: [-1, -1, 1, 0] } }));
  // The last cell had 1 500 before and 1 000 after.
  assert.deepEqual(askersByBytes(unknown, 'thread', unknown.metrics[0]), [{ key: 0, bytes: 1_500 }, { key: 1, bytes: 55 }]);
});

test('they are of what is looked at', () => {
  // What is live at 0.3 s: parse 12 345, and the 1 000 that mmap gave.
  assert.deepEqual(shown({ group: 'allocator', from: '0.3', to: '0.3' }), ['malloc||12345/3', 'mmap||1000/2']);
  assert.deepEqual(shown({ group: 'allocator', from: '0', to: '0.25', metric: 'allocated' }), ['malloc||12000/2', 'mmap||1000/2']);
  assert.deepEqual(shown({ group: 'allocator', thread: 1 }), ['malloc||55/1']);
  assert.deepEqual(shown({ group: 'process', allocator: 'mmap' }), ['4001|python job.py|1000/1']);
  // Nothing was live at the start.
  assert.deepEqual(shown({ group: 'thread', from: '0', to: '0' }), []);
});

test('together they are what stands at the top of the page', () => {
  const model = new Model(page());
  for (const look of [{}, { from: '0', to: '0.5', metric: 'peak' }, { from: 'mark:loaded', to: '0.5', metric: 'temporary' }, { thread: 0, metric: 'peak', from: '', to: '' }]) {
    model.show({ ...model.look, ...look });
    for (const group of ['thread', 'process', 'allocator']) {
      model.show({ ...model.look, group });
      const sum = (of) => askerRows(model).reduce((all, { own }) => all + own[of], 0);
      assert.deepEqual([sum('bytes'), sum('counts')], [model.whole.bytes, model.whole.counts], `${JSON.stringify(look)} ${group}`);
    }
  }
});

test('growth has both its sides', () => {
  const model = new Model(page());
  model.show({ ...model.look, group: 'allocator', from: 'mark:loaded', to: '0.5', metric: 'growth' });
  const row = (name) => rowsOf(model).find(({ names }) => names.name === name).own;
  assert.deepEqual(row('malloc'), { bytes: 12_000, counts: 2, beforeBytes: 12_000, beforeCounts: 2 });
  assert.deepEqual(row('mmap'), { bytes: 0, counts: 0, beforeBytes: 1_000, beforeCounts: 2 });
});

test('they are saved with what is known of each', () => {
  const saved = (group) => {
    const model = new Model(page());
    model.show({ ...model.look, group });
    const { columns, rows } = tableRecords(model, rowsOf(model));
    return [columns.join(), ...rows.map((row) => row.join())];
  };
  assert.deepEqual(saved('thread'), ['thread,tid,pid,command,bytes,blocks', ',4001,4001,python job.py,13345,4', 'worker,4002,77,sh -c make,55,1']);
  assert.deepEqual(saved('process'), ['pid,command,bytes,blocks', '4001,python job.py,13345,4', '77,sh -c make,55,1']);
  assert.deepEqual(saved('allocator'), ['allocator,bytes,blocks', 'malloc,12400,4', 'mmap,1000,1']);
});

test('a row leads to its own allocations, and an address to the rows', () => {
  const of = page();
  assert.deepEqual(onlyAsker(of, 'thread', 1), { process: 1, thread: 1 });
  assert.deepEqual(onlyAsker(of, 'process', 1), { process: 1, thread: -1 });
  assert.deepEqual(onlyAsker(of, 'allocator', 1), { allocator: 'mmap' });
  assert.equal(fromAddress('#by=allocator', firstLook('peak'), ['peak'], ['calls']).group, 'allocator');
});

test('a page has only groups that tell something', () => {
  const groups = ['function', 'package', 'thread', 'process', 'allocator'];
  assert.deepEqual(groups.filter((group) => hasGroup(page(), group)), groups);
  // A page of a difference knows neither threads nor allocators.
  assert.deepEqual(groups.filter((group) => hasGroup(looking('- main 5 1').page, group)), ['function', 'package']);
});
