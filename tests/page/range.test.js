// Which part of the time the plot shows, without a browser: zooming, moving, its name in the address, and the words of its axis.

import assert from 'node:assert/strict';
import test from 'node:test';
import { load } from './made.js';

const range = await load('range.js');
const timeline = await load('timeline.js');
const words = await load('words.js');
const { firstLook, fromAddress, toAddress } = await load('address.js');

const WHOLE = { from: 0.5, to: 100.5 };
const points = (rows) => ({
  seconds: Float64Array.from(rows, ([at]) => at), live: Float64Array.from(rows, ([, live]) => live),
  rss: Float64Array.from(rows, ([, , rss]) => rss ?? 0), length: rows.length,
});

test('a plot is zoomed around an instant, which stays where it was', () => {
  assert.deepEqual(range.zoomedAt(WHOLE, WHOLE, 2, 50.5), { from: 25.5, to: 75.5 });
  assert.deepEqual(range.zoomedAt(WHOLE, WHOLE, 4, 0.5), { from: 0.5, to: 25.5 });
  const near = range.zoomedAt(WHOLE, { from: 25.5, to: 75.5 }, 2, 35.5);
  assert.deepEqual(near, { from: 30.5, to: 55.5 });
  // (35.5 − 25.5) / 50 = (35.5 − 30.5) / 25
  assert.deepEqual(range.zoomedAt(WHOLE, near, 0.5, 35.5), { from: 25.5, to: 75.5 });
  assert.equal(range.zoomedAt(WHOLE, near, 0.1, 35.5), WHOLE);
  // The beginning stays in sight when more is shown than there is before it.
  assert.deepEqual(range.zoomedAt(WHOLE, { from: 0.5, to: 10.5 }, 0.5, 5.5), { from: 0.5, to: 20.5 });
});

test('nothing shorter than a millisecond is shown', () => {
  assert.deepEqual(range.zoomedAt(WHOLE, WHOLE, 1e9, 50.5), { from: 50.4995, to: 50.5005 });
  assert.deepEqual(range.rangeAround(WHOLE, { from: 7, to: 7 }), { from: 6.9995, to: 7.0005 });
  const short = { from: 0, to: 0.0008 };
  assert.equal(range.zoomedAt(short, short, 2, 0.0004), short);
});

test('a window has something beside it, as far as there is anything', () => {
  assert.deepEqual(range.rangeAround(WHOLE, { from: 10, to: 20 }), { from: 9.4, to: 20.6 });
  assert.deepEqual(range.rangeAround(WHOLE, { from: 0.5, to: 10.5 }), { from: 0.5, to: 11.7 });
  assert.equal(range.rangeAround(WHOLE, { from: 0.5, to: 100.5 }), WHOLE);
});

test('what leaves the plot is followed, and no more', () => {
  const near = { from: 30, to: 40 };
  assert.equal(range.rangeWith(WHOLE, near, 40), near);
  assert.deepEqual(range.rangeWith(WHOLE, near, 40.2), { from: 30.8, to: 40.8 });
  assert.deepEqual(range.rangeWith(WHOLE, near, 20), { from: 19.4, to: 29.4 });
  assert.deepEqual(range.rangeWith(WHOLE, near, 100.5), { from: 90.5, to: 100.5 });
  assert.deepEqual(range.rangeWithin(WHOLE, -3, 10), { from: 0.5, to: 10.5 });
});

test('a range in an address', () => {
  assert.equal(range.rangeName(WHOLE, WHOLE), '');
  const near = { from: 30.123456789, to: 40 };
  assert.equal(range.rangeName(WHOLE, near), '30.123456789..40');
  assert.deepEqual(range.rangeNamed(WHOLE, '30.123456789..40'), near);
  assert.deepEqual(range.rangeNamed({ from: 0, to: 1 }, '0..1e-3'), { from: 0, to: 0.001 });
  for (const none of ['', '40..30', '30', '30..', '101..102', '0..0.4', 'a..b', '-1..5', '30..40..50', '1e999..2']) assert.equal(range.rangeNamed(WHOLE, none), WHOLE, none);
  // Longer than all is all.
  assert.equal(range.rangeNamed(WHOLE, '0..1000'), WHOLE);
  const first = firstLook('peak');
  const look = { ...first, from: '31', to: '32', plot: '30.5..40' };
  assert.equal(toAddress(look, first), '#from=31&to=32&plot=30.5..40');
  assert.deepEqual(fromAddress('#from=31&to=32&plot=30.5..40', first, ['peak'], ['calls']), look);
  for (const none of ['#plot=', '#plot=3', '#plot=<script>', '#plot=1..2x']) assert.deepEqual(fromAddress(none, first, ['peak'], ['calls']), first);
});

test('the scale of a range is that of what is in it and of the lines that lead there', () => {
  const of = points([[0, 100], [1, 5_000], [2, 700, 900], [3, 300], [4, 9_000]]);
  assert.deepEqual(timeline.pointsIn(of.seconds, { from: 1.5, to: 2.5 }), [1, 4]);
  assert.deepEqual(timeline.pointsIn(of.seconds, { from: 2, to: 3 }), [1, 5]);
  assert.deepEqual(timeline.pointsIn(of.seconds, { from: 0, to: 4 }), [0, 5]);
  assert.deepEqual(timeline.pointsIn(of.seconds, { from: 2.2, to: 2.3 }), [2, 4]);
  const scale = timeline.timelineScale(of, 282, 72, { from: 2.2, to: 2.7 });
  // 282 − 68 − 14 = 200 pixels for half a second; 900 bytes of RSS, at the instant before, are the most.
  assert.deepEqual([scale.from, scale.to, scale.top, scale.left, scale.right], [2.2, 2.7, 1000, 68, 268]);
  assert.deepEqual(timeline.timelineShape(of, of.live, scale).map(({ x, y }) => [Math.round(x), Math.round(y)]), [[-12, 35], [388, 43]]);
  assert.equal(timeline.timelineScale(of, 282, 72).top, 10 * 1024);
});

test('instants are told from their neighbours', () => {
  const { instantWords } = words;
  assert.deepEqual([instantWords(0, 1), instantWords(0.5, 0.5), instantWords(12, 2), instantWords(7380, 60)], ['0 s', '500 ms', '12 s', '2 h 03 min']);
  assert.deepEqual([0.0005, 0.12345].map((at) => instantWords(at, 1e-5)), ['0.5 ms', '123.45 ms']);
  assert.deepEqual([12.345, 12.3456].map((at) => instantWords(at, 0.001)), ['12.345 s', '12.346 s']);
  assert.deepEqual([100.001, 119.9996].map((at) => instantWords(at, 0.001)), ['1 min 40.001 s', '2 min 00.000 s']);
  assert.deepEqual([instantWords(7385, 5), instantWords(7385.25, 0.05)], ['2 h 03 min 05 s', '2 h 03 min 05.25 s']);
  assert.deepEqual([instantWords(3, 0), instantWords(0, 0.001)], ['3 s', '0 s']);
  assert.equal(instantWords(3.1234567891234, 1e-12), '3.123456789 s');
});

test('the words of the axis stand apart and differ', () => {
  const scale = { from: 7200, to: 7200.004, top: 1, left: 0, right: 900, y0: 1, y1: 0 };
  const ticks = timeline.tickWords(scale, 0, (text) => 6 * text.length);
  assert.deepEqual(ticks.map(({ text }) => text), ['2 h 00 min 00.000 s', '2 h 00 min 00.001 s', '2 h 00 min 00.002 s', '2 h 00 min 00.003 s', '2 h 00 min 00.004 s']);
  const wide = timeline.tickWords(scale, 0, (text) => 12 * text.length);
  assert.deepEqual(wide.map(({ seconds }) => seconds), [7200, 7200.002, 7200.004]);
  assert.equal(timeline.tickWords({ ...scale, right: 90 }, 0, () => 1e9).length, 1);
});

test('the axis can have the time of day', () => {
  const started = new Date(2026, 10, 22, 14, 3, 7, 250).getTime() / 1000;
  /** @param {number} from @param {number} to */
  const axis = (from, to) => timeline.tickWords({ from, to, top: 1, left: 0, right: 500, y0: 1, y1: 0 }, started, (text) => 6 * text.length);
  // Round are the times of day, not those since the start.
  const minutes = axis(0, 600);
  assert.deepEqual(minutes.map(({ text }) => text), ['14:05', '14:10']);
  assert.deepEqual(minutes.map(({ seconds }) => Math.round(seconds * 1000) / 1000), [112.75, 412.75]);
  assert.deepEqual(axis(0, 100).map(({ text }) => text), ['14:03:30', '14:04:00', '14:04:30']);
  assert.deepEqual(axis(0.5, 2.5).map(({ text }) => text), ['14:03:08.0', '14:03:08.5', '14:03:09.0', '14:03:09.5']);
  // Behind midnight.
  assert.deepEqual(axis(0, 86_400).map(({ text }) => text), ['00:00', '12:00']);
  assert.deepEqual([words.clockTime(started, 0.5), words.clockTime(started, 0.004, 0.001), words.clockTime(0, 5)], ['14:03:08', '14:03:07.254', '']);
});

test('sizes are written as the Rust half of the page writes them', () => {
  // crates/report/src/units.rs has the same list.
  const cases = [
    [0, '0 B'], [1_023, '1023 B'], [1_024, '1 KiB'], [1_152, '1.13 KiB'], [1_311, '1.28 KiB'], [1_536, '1.5 KiB'], [10_234, '9.99 KiB'],
    [10_235, '10 KiB'], [104_805_171, '99.9 MiB'], [104_805_172, '100 MiB'], [119_432_806, '114 MiB'], [1_048_063, '1023 KiB'], [1_048_064, '1 MiB'],
    [3 * 2 ** 50, '3 PiB'],
  ];
  for (const [bytes, text] of cases) assert.equal(words.humanBytes(bytes), text);
});
