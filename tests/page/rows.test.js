// The outline of the tree and the rows of the table: which there are, in which order.

import assert from 'node:assert/strict';
import test from 'node:test';
import { load, looking } from './made.js';

const { openLine, openTo, openWidest, outlineRows } = await load('outline.js');
const { filterRows, sortRows } = await load('rows.js');
const { firstLook, fromAddress, toAddress } = await load('address.js');

const TEXT = `
  - main 0 0
  0 a:3 900 1
  1 read@io 100 4
  2 alloc@io 1 2
  0 b:5 60 2
  4 read@io 40 8
  0 none 0 0`;

const shown = (model, open) => {
  const rows = outlineRows(model.view, model.column, open);
  return rows.id.map((id, i) => `${'.'.repeat(rows.level[i])}${model.nameOf(id)}^${rows.parent[i]}`).join(' ');
};

test('an outline has the children of what is open, widest first, and nothing that is empty', () => {
  const model = looking(TEXT);
  assert.equal(shown(model, new Set()), 'all^-1');
  assert.equal(shown(model, new Set([0, 1])), 'all^-1 .main^0 ..a^1 ..b^1');
  // b's callees are not shown while b is closed, though it is said to be open below it.
  assert.equal(shown(model, new Set([0, 1, 3])), 'all^-1 .main^0 ..a^1 ..b^1');
});

test('the widest path opens by itself', () => {
  const model = looking(TEXT);
  const open = new Set();
  openWidest(model.view, model.column, open, 0);
  assert.equal(shown(model, open), 'all^-1 .main^0 ..a^1 ...read^2 ....alloc^3 ..b^1');
});

test('a line opens to the first choice, a path to its node', () => {
  const model = looking(TEXT);
  const line = new Set();
  openLine(model.view, model.column, line, 0);
  assert.equal(shown(model, line), 'all^-1 .main^0 ..a^1 ..b^1');
  const path = new Set();
  openTo(model.view, path, 4);
  assert.deepEqual([...path].sort(), [0, 1, 2, 3]);
});

const rowsOf = (look, options = {}) => {
  const model = looking(options.text ?? TEXT, look, options);
  const rows = sortRows(filterRows(model.tableRows(), model.look.filter, model.frames, model.look.group), model.look.sort, model);
  const { frames } = model;
  const name = { function: frames.name, line: frames.name, file: frames.file, package: frames.package }[model.look.group];
  return rows.map((row) => `${name[row.frame]} ${row.own.bytes}/${row.total.bytes}${row.found ? '!' : ''}`).join(', ');
};

test('rows are functions, lines, files or packages', () => {
  assert.equal(rowsOf({}), 'a 900/1001, read 140/141, b 60/100, alloc 1/1, main 0/1101');
  const two = `
    - a:1 1 1
    0 a:2 10 1
    - a:2 100 1`;
  assert.equal(rowsOf({ group: 'line' }, { text: two }), 'a 110/110, a 1/11');
  assert.equal(rowsOf({ group: 'function' }, { text: two }), 'a 111/111');
  // io is below job on each path, so job has all.
  assert.equal(rowsOf({ group: 'package' }), 'job 960/1101, io 141/141');
  assert.equal(rowsOf({ group: 'file' }), 'job.py 960/1101, io.py 141/141');
});

test('every column sorts both ways', () => {
  assert.equal(rowsOf({ sort: 'name' }), 'a 900/1001, alloc 1/1, b 60/100, main 0/1101, read 140/141');
  assert.equal(rowsOf({ sort: 'name.turned' }), 'read 140/141, main 0/1101, b 60/100, alloc 1/1, a 900/1001');
  assert.equal(rowsOf({ sort: 'total' }), 'main 0/1101, a 900/1001, read 140/141, b 60/100, alloc 1/1');
  assert.equal(rowsOf({ sort: 'own.turned' }), 'main 0/1101, alloc 1/1, b 60/100, read 140/141, a 900/1001');
  // Blocks: read has 12, b and alloc 2 each (b's frame comes later), a has 1.
  assert.equal(rowsOf({ sort: 'own-counts' }), 'read 140/141, alloc 1/1, b 60/100, a 900/1001, main 0/1101');
  assert.equal(rowsOf({ sort: 'where' }), 'read 140/141, alloc 1/1, main 0/1101, a 900/1001, b 60/100');
  assert.equal(rowsOf({ sort: 'own-share', unit: 'blocks' }), 'read 140/141, alloc 1/1, b 60/100, a 900/1001, main 0/1101');
});

test('a package is told by whose code it is', () => {
  const text = `
    - a@z 1 1
    0 b@y!1 2 1`;
  assert.equal(rowsOf({ group: 'package', sort: 'where' }, { text }), 'y 2/2, z 1/3');
  assert.equal(rowsOf({ group: 'package', sort: 'where.turned' }, { text }), 'z 1/3, y 2/2');
});

test('a difference sorts by its change, what grew first, what shrank last', () => {
  const text = `
    - a 100 1
    - b 0 0
    - c 20 1`;
  const before = [[10, 1], [500, 1], [10, 1]];
  assert.equal(rowsOf({ sort: 'own-change' }, { text, before }), 'a 100/100, c 20/20, b 0/0');
  assert.equal(rowsOf({ sort: 'own-change.turned' }, { text, before }), 'b 0/0, c 20/20, a 100/100');
});

test('the filter leaves out, the search marks', () => {
  assert.equal(rowsOf({ filter: 'IO' }), 'read 140/141, alloc 1/1');
  assert.equal(rowsOf({ filter: '/^(a|b)$/' }), 'a 900/1001, b 60/100');
  assert.equal(rowsOf({ filter: 'job.py:3', group: 'line' }), 'a 900/1001');
  assert.equal(rowsOf({ filter: 'read', group: 'package' }), '');
  assert.equal(rowsOf({ search: 'read' }), 'a 900/1001, read 140/141!, b 60/100, alloc 1/1, main 0/1101');
  assert.throws(() => rowsOf({ filter: '/(/' }), SyntaxError);
});

test('a hundred thousand rows are sorted in the order of their frames if they are equal', () => {
  const values = { bytes: 5, counts: 1, beforeBytes: 0, beforeCounts: 0 };
  const rows = Array.from({ length: 100_000 }, (_, i) => ({ frame: (i * 7919) % 100_000, own: values, total: values, found: false }));
  const sorted = sortRows(rows, 'own', looking(TEXT));
  assert.ok(sorted.every(({ frame }, i) => frame === i));
});

test('the table is in the address', () => {
  const look = { ...firstLook('peak'), view: 'table', group: 'file', sort: 'total-counts.turned', filter: 'a&b=c' };
  const address = toAddress(look, firstLook('peak'));
  assert.equal(address, '#view=table&by=file&sort=total-counts.turned&filter=a%26b%3Dc');
  assert.deepEqual(fromAddress(address, firstLook('peak'), ['peak'], ['calls', 'table']), look);
  assert.deepEqual(fromAddress('#by=moon&sort=own.up', firstLook('peak'), ['peak'], ['calls']), firstLook('peak'));
});
