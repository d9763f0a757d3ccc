// The plot's line: what was looked at while recording, and the highest instants between.

import assert from 'node:assert/strict';
import test from 'node:test';
import { load } from './made.js';

const { withHighest } = await load('highest.js');
const { bytesBeside } = await load('words.js');

const columns = ({ seconds, live, rss, length }) => [length, [...seconds], [...live], [...rss]];
const looked = (rows) => ({
  seconds: Float64Array.from(rows, (row) => row[0]), live: Float64Array.from(rows, (row) => row[1]), rss: Float64Array.from(rows, (row) => row[2]), length: rows.length,
});
const course = (nanos, live, highest) => ({
  parts: highest.length, nanos: Float64Array.from(nanos), live: Float64Array.from(live),
  peakNanos: Float64Array.from(highest, ([at]) => at), peakBytes: Float64Array.from(highest, ([, bytes]) => bytes),
});

test('a spike between two looks is in the line, with the RSS of the look before', () => {
  const line = withHighest(looked([[1, 100, 500], [2, 200, 600]]), course([0, 3e9], [0, 0], [[1.5e9, 9_000]]));
  assert.deepEqual(columns(line), [3, [1, 1.5, 2], [100, 9_000, 200], [500, 500, 600]]);
});

test('an instant that the line shows already is no point of its own', () => {
  // At 1.5 s the line is at 150.
  for (const bytes of [80, 150]) {
    const line = withHighest(looked([[1, 100, 0], [2, 200, 0]]), course([0, 3e9], [0, 0], [[1.5e9, bytes]]));
    assert.deepEqual(columns(line), [2, [1, 2], [100, 200], [0, 0]]);
  }
  // At the time of a look itself.
  assert.deepEqual(columns(withHighest(looked([[1, 100, 0], [2, 200, 0]]), course([0, 3e9], [0, 0], [[2e9, 200]])))[1], [1, 2]);
  assert.deepEqual(columns(withHighest(looked([[1, 100, 0], [2, 200, 0]]), course([0, 3e9], [0, 0], [[2e9, 300]])))[2], [100, 200, 300]);
});

test('before the first look and after the last one', () => {
  const line = withHighest(looked([[1, 100, 7], [2, 50, 8]]), course([0, 1e9, 2e9, 3e9], [0, 0, 0, 0], [[0.5e9, 40], [1.5e9, 70], [2.5e9, 60]]));
  assert.deepEqual(columns(line), [4, [0.5, 1, 2, 2.5], [40, 100, 50, 60], [0, 7, 8, 8]]);
});

test('what was not looked at by itself, one process of several, has the line of its course', () => {
  const line = withHighest(looked([]), course([0, 1e9, 2e9], [0, 300, 0], [[0.5e9, 400], [1.2e9, 310]]));
  assert.deepEqual(columns(line), [5, [0, 0.5, 1, 1.2, 2], [0, 400, 300, 310, 0], [0, 0, 0, 0, 0]]);
});

test('without a course it is as it was looked at', () => {
  const line = looked([[1, 100, 500]]);
  assert.equal(withHighest(line, null), line);
  assert.equal(withHighest(line, course([0], [0], [])), line);
});

test('numbers at the axis are in one unit', () => {
  const GiB = 2 ** 30;
  assert.deepEqual([0.75, 1.5].map((n) => bytesBeside(n * GiB, 1.5 * GiB)), ['0.75 GiB', '1.5 GiB']);
  assert.equal(bytesBeside(512, 1024), '0.5 KiB');
  assert.equal(bytesBeside(150 * 2 ** 20, 300 * 2 ** 20), '150 MiB');
});
