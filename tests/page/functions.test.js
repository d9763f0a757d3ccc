// What the page tells of one function: its callers make up its total, and so do its lines, and its callees with itself.

import assert from 'node:assert/strict';
import test from 'node:test';
import { load, looking } from './made.js';

const { sizeShape } = await load('side.js');

const told = (model, name) => {
  const lines = model.lines;
  const about = lines.about(model.frames.name.indexOf(name));
  const nameOf = (frame) => (frame < 0 ? 'nobody' : model.frames.name[frame]);
  const list = (parts) => parts.map(({ frame, amounts }) => `${nameOf(frame)} ${amounts[0]}`).join(', ');
  return {
    own: about.own[0], total: about.total[0], callers: list(about.callers), callees: list(about.callees),
    lines: about.lines.map(({ frame, own, amounts }) => `${model.frames.line[frame]}: ${own[0]} of ${amounts[0]}`).join(', '),
  };
};

test('a function is the sum of its places', () => {
  const text = `
    - main 1 1
    0 a 10 1
    1 read:3 100 1
    2 list 1000 1
    0 b 20 1
    4 read:4 200 1
    5 list 2000 1
    5 open 4000 1`;
  assert.deepEqual(told(looking(text), 'read'), {
    own: 300, total: 7300, callers: 'b 6200, a 1100', callees: 'open 4000, list 3000', lines: '4: 200 of 6200, 3: 100 of 1100',
  });
  assert.deepEqual(told(looking(text, { unit: 'blocks', byLine: false }), 'main'), {
    own: 1, total: 7331, callers: 'nobody 7331', callees: 'b 6220, a 1110', lines: '7: 1 of 7331',
  });
});

test('recursion counts once: outermost for the callers, innermost for lines and callees', () => {
  const text = `
    - main 1 1
    0 fib:3 10 1
    1 list 100 1
    1 visit 1000 1
    3 fib:4 10000 1
    4 open 100000 1
    4 fib:3 1000000 1`;
  assert.deepEqual(told(looking(text), 'fib'), {
    own: 1010010, total: 1111110,
    // visit is called by fib and calls it: a caller only below fib itself, so none; its own 1 000 are fib's to answer for.
    callers: 'main 1111110',
    callees: 'open 100000, visit 1000, list 100',
    lines: '3: 1000010 of 1001110, 4: 10000 of 110000',
  });
});

test('callers are those that are shown', () => {
  const text = `
    - main 0 0
    0 find!3 0 0
    1 mod@lib!1 700 1`;
  assert.equal(told(looking(text), 'mod').callers, 'find 700');
  assert.equal(told(looking(text, { imports: false }), 'mod').callers, 'main 700');
});

test('what is known follows the metric that is shown', () => {
  const model = looking('- main 5 1');
  const lines = model.lines;
  assert.deepEqual(lines.about(0).total, [5, 1]);
  model.chosen.metric = { ...model.metric, after: { bytes: Float64Array.of(9), counts: Float64Array.of(2) } };
  model.own = model.ownOf(model.tree);
  assert.deepEqual(lines.about(0).total, [9, 2]);
});

test('the widest place of a function is found, inverted too', () => {
  const text = `
    - main 0 0
    0 a 0 0
    1 read 10 1
    0 b 0 0
    3 read 20 1`;
  const model = looking(text);
  const at = (m) => { const id = m.lines.widestOf(m.frames.name.indexOf('read')); return [m.nameOf(m.view.parent[id]), m.view.columns[0][id]]; };
  assert.deepEqual(at(model), ['b', 20]);
  assert.deepEqual(at(looking(text, { view: 'inverted' })), ['all', 30]);
});

test('a size holds until the next instant', () => {
  assert.deepEqual(sizeShape([0, 50, 100], [1, 2, 5], 40, 10), [{ x: 0, y: 10 }, { x: 10, y: 10 }, { x: 10, y: 5 }, { x: 40, y: 5 }, { x: 40, y: 0 }]);
});
