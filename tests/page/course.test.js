// The course of a run, without a browser: what a window and an instant come to. The data are those of html/tests.rs: two parts,
// divided by the mark "loaded" at 0.25 s; 12 000 bytes that stay, 1 000 that go in the second part (600 of them temporary),
// 345 that come and go in the second. The program ends in the second part.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import test from 'node:test';
import { load } from './made.js';

const { readPage } = await load('data.js');
const course = await load('course.js');
const { Model } = await load('model.js');
const { metricKeys } = await load('selection.js');
const { firstLook, fromAddress, toAddress } = await load('address.js');
const { overTime, askedBy } = await load('function_cells.js');

const rustTest = readFileSync(new URL('../../crates/report/src/html/tests.rs', import.meta.url), 'utf8');
const lines = rustTest.slice(rustTest.indexOf('let expected = concat!(')).split(');')[0];
const TINY = JSON.parse([...lines.matchAll(/r#"(.*?)"#,/g)].map((match) => match[1]).join(''));
/** The page as one of a run, not of a difference. */
const tiny = () => readPage(JSON.stringify({ ...TINY, inverted: false, metrics: [{ ...TINY.metrics[0], before: null }] }));

const sum = (values) => values.reduce((a, b) => a + b, 0);

test('what was live at each point', () => {
  const page = tiny();
  const at = (point) => [...course.liveAtPoint(page.course, 4, point).bytes];
  assert.deepEqual(at(0), [0, 0, 0, 0]);
  assert.deepEqual(at(1), [0, 12_000, 0, 1_000]);
  assert.deepEqual(at(2), [0, 12_000, 0, 1_000]);
  assert.deepEqual(at(3), [0, 12_345, 0, 1_000]);
  assert.deepEqual(at(4), [0, 12_000, 0, 0]);
});

test('what happened in each window', () => {
  const page = tiny();
  const bytes = (key, from, to) => sum(course.windowMetric(page, key, from, to).after.bytes);
  const counts = (key, from, to) => sum(course.windowMetric(page, key, from, to).after.counts);
  assert.deepEqual([bytes('peak', 0, 2), bytes('peak', 0, 1), bytes('peak', 1, 2)], [13_345, 13_000, 13_345]);
  assert.deepEqual([bytes('allocated', 0, 2), bytes('allocated', 0, 1), bytes('allocated', 1, 2)], [13_345, 13_000, 345]);
  // Up to the mark both are kept. The program ends in the second part: what it leaves counts, and came in the first.
  assert.deepEqual([bytes('leaked', 0, 1), bytes('leaked', 0, 2), bytes('leaked', 1, 2)], [13_000, 12_000, 0]);
  assert.deepEqual([bytes('temporary', 0, 2), bytes('temporary', 0, 1), bytes('temporary', 1, 2)], [945, 0, 345]);
  assert.deepEqual([counts('peak', 0, 2), counts('temporary', 0, 2)], [5, 2]);
  const { before, after } = course.windowMetric(page, 'growth', 1, 2);
  assert.deepEqual([sum(before.bytes), sum(after.bytes)], [13_000, 12_000]);
});

test('a time leads to the nearest point', () => {
  const page = tiny();
  const { course: of } = page;
  assert.equal(course.nearestPoint(of, 0), 0);
  assert.equal(course.nearestPoint(of, 244_000_000), 1);
  assert.equal(course.nearestPoint(of, 249_000_000), 2);
  assert.equal(course.nearestPoint(of, 9e9), 4);
  assert.deepEqual([0, 1, 2, 3, 4].map((point) => course.pointName(page, point)), ['0', '0.24', 'mark:loaded', '0.3', '0.5']);
  const span = (from, to) => course.spanOf(page, { from, to });
  assert.equal(span('', ''), null);
  assert.deepEqual(span('0.3', '0.3'), { point: 3 });
  assert.deepEqual(span('mark:loaded', 'mark:loaded'), { point: 2 });
  assert.deepEqual(span('0.5', '0'), { from: 0, to: 2 });
  assert.deepEqual(span('mark:loaded', '0.5'), { from: 1, to: 2 });
  // A window is never empty.
  assert.deepEqual(span('0.5', '0.499'), { from: 1, to: 2 });
  for (const none of ['x', 'mark:', 'mark:none', 'mark:loaded#2', '-1', 'loaded']) assert.equal(span(none, none), null);
  assert.equal(course.spanOf({ ...page, course: null }, { from: '0.3', to: '0.3' }), null);
});

test('marks of one name and of one time are told apart', () => {
  const page = readPage(JSON.stringify({
    ...TINY,
    marks: { seconds: [0.1, 0.1, 0.1], name: ['tick', 'tick', 'c#'] },
    course: { ...TINY.course, instants: { nanos: [1e8, 1e8, 1e8], live: [0, 13_000, 0], mark: [0, 1, 2] } },
  }));
  const names = [0, 2, 4].map((point) => course.pointName(page, point));
  assert.deepEqual(names, ['mark:tick', 'mark:tick#2', 'mark:c#']);
  assert.deepEqual(names.map((name) => course.spanOf(page, { from: name, to: name })), [{ point: 0 }, { point: 2 }, { point: 4 }]);
});

test('size over time, of all and of one function', () => {
  const page = tiny();
  assert.deepEqual([...course.bytesOverTime(page.course, Uint8Array.of(1, 1, 1, 1))], [0, 13_000, 13_000, 13_345, 12_000]);
  const model = new Model(page);
  const read = overTime(model, 2);
  assert.deepEqual([...read.values], [0, 1_000, 1_000, 1_000, 0]);
  assert.deepEqual([...read.times], [0, 0.24, 0.25, 0.3, 0.5]);
});

test('the model follows the span and the filters', () => {
  const model = new Model(tiny());
  const look = (change) => {
    model.show({ ...model.look, ...change });
    const { number, words } = model.headline();
    return `${number} ${words}`;
  };
  assert.equal(look({}), '13.1 KiB live at the peak, 5 blocks');
  assert.equal(look({ from: 'mark:loaded', to: 'mark:loaded' }), '12.7 KiB live at 250 ms (mark “loaded”), 4 blocks');
  assert.deepEqual(model.chosen.metrics.map(({ key }) => key), ['live']);
  assert.equal(look({ from: '0', to: '0.5' }), '13 KiB live at the highest instant from 0 s to 500 ms, 300 ms, 5 blocks');
  assert.equal(look({ metric: 'growth' }), '+11.7 KiB 0 B before, 11.7 KiB after, live, from 0 s to 500 ms');
  assert.equal(model.difference, true);
  // A metric that the whole run has not is passed over there, and comes back.
  assert.equal(look({ from: '', to: '' }), '13.1 KiB live at the peak, 5 blocks');
  assert.equal(look({ thread: 1 }), '55 B live at the peak, only thread worker (4002), 1 block');
  assert.equal(look({ thread: -1, allocator: 'malloc', process: 0 }), '13.1 KiB live at the peak, only process 4001, malloc, 5 blocks');
  assert.equal(look({ thread: 7, allocator: 'none', process: 9 }), '13.1 KiB live at the peak, 5 blocks');
});

test('which threads asked for what a function has, and by what', () => {
  const model = new Model(tiny());
  // main: parse 12 345 and read 1 000 by the first thread, read 55 by the worker.
  assert.deepEqual(askedBy(model, 0), { threads: [['4001', 13_345], ['worker (4002)', 55]], allocators: [['malloc', 13_400]] });
  assert.deepEqual(askedBy(model, 2).threads, [['4001', 1_000], ['worker (4002)', 55]]);
  model.show({ ...model.look, unit: 'blocks', thread: 1 });
  assert.deepEqual(askedBy(model, 0).threads, [['worker (4002)', 1]]);
});

test('growth has a colour without a difference', () => {
  const model = new Model(tiny());
  // The second half: read (1 000 bytes) goes. Both "read" are one function; main is what is left of 13 000.
  model.show({ ...model.look, from: 'mark:loaded', to: '0.5', metric: 'peak', colours: 'growth' });
  const byName = Object.fromEntries([1, 2, 3, 4].map((id) => [`${model.nameOf(id)} ${id}`, Number(model.growth(id).toFixed(4))]));
  assert.deepEqual(byName, { 'main 1': -0.0769, 'parse 2': 0, 'read 3': 0, 'read 4': -1 });
});

test('times in addresses', () => {
  const keys = metricKeys(tiny());
  assert.deepEqual(keys, ['peak', 'leaked', 'allocated', 'temporary', 'growth']);
  const first = firstLook('peak');
  const there = (address) => fromAddress(address, first, keys, ['calls']);
  const look = { ...first, metric: 'growth', from: '1.234567891', to: 'mark:a&b', process: 2, thread: 3, allocator: 'mmap (file)' };
  const address = toAddress(look, first);
  assert.equal(address, '#metric=growth&from=1.234567891&to=mark%3Aa%26b&process=2&thread=3&allocator=mmap%20(file)');
  assert.deepEqual(there(address), look);
  assert.deepEqual(there('#at=0.25'), { ...first, from: '0.25', to: '0.25' });
  for (const none of ['#at=', '#from=3', '#to=3', '#thread=-1', '#process=a']) assert.deepEqual(there(none), first);
});

test('growth is offered from the first mark to the last', () => {
  const page = tiny();
  assert.equal(course.markedWindow(page), null);
  page.course.mark = Int32Array.of(-1, 0, 1);
  page.marks.name = ['loaded', 'loaded'];
  assert.deepEqual(course.markedWindow(page), { from: 'mark:loaded', to: 'mark:loaded#2', words: 'from mark “loaded” to mark “loaded”' });
});
