// What stands in a rectangle, and its colour.

import assert from 'node:assert/strict';
import test from 'node:test';
import { load, made } from './made.js';

const { Model } = await load('model.js');
const words = await load('words.js');
const { remarks } = await load('described.js');

test('code at the top of a file is told by the file', () => {
  const model = new Model(made(`
    - <module>:3 30 1
    0 setup:4 20 2`));
  model.show({ ...model.look, byLine: true });
  assert.deepEqual([model.labelOf(1), remarks(model, 1)], ['job.py:3', ['<module>  50 B', '<module>']]);
  assert.deepEqual([model.labelOf(2), remarks(model, 2)], ['setup', ['job.py:4  20 B', 'job.py:4']]);
  // Only where it is drawn: names stay names.
  assert.equal(model.nameOf(1), '<module>');
});

test('native functions have shades of one colour, those of a project one shade', () => {
  const model = new Model(made(`
    - main!4 1 1
    0 parse!4 1 1
    - run 1 1
    2 load 1 1`));
  const fills = [1, 2, 3, 4].map((id) => model.fill(id));
  assert.notEqual(fills[0], fills[1]);
  assert.equal(fills[2], fills[3]);
});

test('each metric says what it tells, and its number has its unit', () => {
  for (const key of ['peak', 'live', 'leaked', 'allocated', 'temporary', 'byte_seconds', 'growth']) assert.match(words.metricHint(key, false, 1), /^[A-Z].{10,}/);
  assert.equal(words.metricHint('leaked', true, 1), 'Allocated in the window and live at its end');
  const model = new Model(made('- main 2048 3'));
  assert.deepEqual(model.headline(), { number: '2 KiB', words: 'live at the peak, 3 blocks' });
  model.page.metrics[0].key = 'byte_seconds';
  assert.deepEqual(model.headline(), { number: '2 KiB·s', words: 'memory over time, 3 block-seconds' });
});
