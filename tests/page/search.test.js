// What a search finds: how many frames, in which order they are gone through.

import assert from 'node:assert/strict';
import test from 'node:test';
import { load, looking } from './made.js';

const { foundNodes, searchResult } = await load('found.js');

const TEXT = `
  - main:1 0 0
  0 a:3 0 0
  1 read:4 30 1
  0 b:5 0 0
  3 read:4 500 1
  4 read:6 4 1
  0 read:9 0 0`;

const found = (look) => {
  const model = looking(TEXT, look);
  return [searchResult(model), foundNodes(model).map((id) => `${model.nameOf(model.view.parent[id])}→${model.nameOf(id)} ${model.view.columns[0][id]}`).join(', ')];
};

test('matches are gone through from the widest to the narrowest; what holds nothing is none', () => {
  // read under b holds 504 with its own callee; the last read holds nothing.
  assert.deepEqual(found({ search: 'read' }), ['3 frames: 534 B, 100% of all', 'b→read 504, a→read 30, read→read 4']);
  assert.deepEqual(found({ search: 'nowhere' }), ['no match', '']);
  assert.deepEqual(found({}), ['', '']);
});

test('what stands in the source line is found too', () => {
  // The source of each line in these pages is its name and line; that of line 9 is not known.
  assert.deepEqual(found({ search: 'read at 6' }), ['1 frame: 4 B, 0.75% of all', 'read→read 4']);
  assert.deepEqual(found({ search: 'read at 9' }), ['no match', '']);
});

test('what is too small to be shown by itself is not gone to', () => {
  assert.deepEqual(found({ search: 'read', least: 5 }), ['3 frames: 534 B, 100% of all', 'b→read 504, a→read 30']);
});

test('inverted, matches are gone through too', () => {
  assert.deepEqual(found({ search: 'a:', view: 'inverted' }), ['no match', '']);
  assert.deepEqual(found({ search: '/^b$/', view: 'inverted' }), ['1 frame: 504 B, 94.4% of all', 'read→b 500, read→b 4']);
});
