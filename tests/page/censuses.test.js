// Which censuses a chosen instant or window means, without a browser.

import assert from 'node:assert/strict';
import test from 'node:test';
import { load } from './made.js';

const { addressedTypes, censusesWithin, firstTypesChoice } = await load('types.js');
const { pageWindowWords } = await load('selection.js');

const TAKEN = [0.5, 1, 2.5, 4].map((seconds) => ({ seconds }));
const within = (from, to, words) => {
  const { sentence, ...places } = censusesWithin(TAKEN, from, to, words);
  return [places.from, places.to, sentence];
};

test('an instant means the last census not after it', () => {
  assert.deepEqual(within(2.4, 2.4, 'at 2.4 s'), [0, 1, 'Shown is the last census there was at 2.4 s: 2, after 1 s, compared with the first, after 500 ms.']);
  assert.deepEqual(within(2.5, 2.5, 'at 2.5 s'), [0, 2, 'Shown is the last census there was at 2.5 s: 3, after 2.5 s, compared with the first, after 500 ms.']);
  assert.deepEqual(within(0.7, 0.7, 'at 700 ms'), [0, 0, 'Shown is the last census there was at 700 ms: 1, after 500 ms.']);
  assert.deepEqual(within(0.1, 0.1, 'at 100 ms'), [0, 0, 'There was no census yet at 100 ms; shown is the first: 1, after 500 ms.']);
});

test('a window means the first and the last census in it', () => {
  assert.deepEqual(within(0.9, 4, 'from 900 ms to 4 s'), [1, 3, 'Compared are the first and the last census from 900 ms to 4 s: 2, after 1 s, and 4, after 4 s.']);
  assert.deepEqual(within(0, 9, 'from 0 s to 9 s').slice(0, 2), [0, 3]);
  // The ends are in it.
  assert.deepEqual(within(1, 2.5, 'from 1 s to 2.5 s').slice(0, 2), [1, 2]);
});

test('a window with one census or none says so', () => {
  assert.deepEqual(within(2, 3, 'from 2 s to 3 s'), [2, 2, 'There was one census from 2 s to 3 s: 3, after 2.5 s; growth needs two.']);
  assert.deepEqual(within(3, 3.5, 'from 3 s to 3.5 s'), [2, 2, 'There was no census from 3 s to 3.5 s; shown is the last before it: 3, after 2.5 s.']);
  assert.deepEqual(within(5, 6, 'from 5 s to 6 s').slice(0, 2), [3, 3]);
  assert.deepEqual(within(0, 0.4, 'from 0 s to 400 ms'), [0, 0, 'There was no census from 0 s to 400 ms; shown is the next: 1, after 500 ms.']);
});

test('a page of a window compares the censuses in it, until others are chosen', () => {
  const processes = [{ censuses: TAKEN }, { censuses: TAKEN.slice(0, 1) }];
  const first = (from, to, process = 0) => firstTypesChoice(processes, process, { from, to });
  assert.deepEqual(firstTypesChoice(processes, 0), { process: 0, from: 0, to: 3, sort: 'growth', only: '' });
  assert.deepEqual(first(0.9, 3), { process: 0, from: 1, to: 2, sort: 'growth', only: '' });
  // One or none in it: nothing can have grown. The nearest before its end is shown, else the next.
  assert.deepEqual(first(2, 3), { process: 0, from: 2, to: 2, sort: 'bytes', only: '' });
  assert.deepEqual(first(3, 3.5), { process: 0, from: 2, to: 2, sort: 'bytes', only: '' });
  assert.deepEqual(first(0, 0.1), { process: 0, from: 0, to: 0, sort: 'bytes', only: '' });
  // A page of an instant: what had come since the first.
  assert.deepEqual(first(3, 3), { process: 0, from: 0, to: 2, sort: 'growth', only: '' });
  assert.deepEqual(first(3, 3.5, 1), { process: 1, from: 0, to: 0, sort: 'bytes', only: '' });
  assert.deepEqual(addressedTypes('', processes, { from: 0.9, to: 3 }), first(0.9, 3));
  assert.deepEqual(addressedTypes('from:0,to:3', processes, { from: 0.9, to: 3 }), { ...first(0.9, 3), from: 0, to: 3 });
});

test('what a page is of is said to as many digits as are needed', () => {
  assert.equal(pageWindowWords({ from: 1.2, to: 3.4 }), 'from 1.2 s to 3.4 s');
  assert.equal(pageWindowWords({ from: 75.25, to: 75.75 }), 'from 1 min 15.250 s to 1 min 15.750 s');
  assert.equal(pageWindowWords({ from: 1.2345, to: 1.2345 }), 'at 1.234 s');
});
