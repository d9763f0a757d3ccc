// What is displayed as files: rows as CSV, TSV and JSON, the graph as SVG, and how the files are named.

import assert from 'node:assert/strict';
import test from 'node:test';
import { load, looking } from './made.js';

const { fileName, nodeRecords, tableRecords, toCsv, toJson, toTsv } = await load('records.js');
const { layoutRows } = await load('layout.js');
const { sortRows } = await load('rows.js');
const { toSvg } = await load('picture.js');
const { remarks } = await load('described.js');

const TEXT = `
  - main:1 0 0
  0 a:3 900 2
  1 read:4@io!1 100 4
  0 b:5 60 2`;

const graphRows = (model) => {
  const rows = layoutRows(model.view, model.column, model.zoomed, 1000, 1);
  return nodeRecords(model, rows.flatMap((row) => row.id), rows.flatMap((row, depth) => row.id.map(() => depth)));
};

test('the rows of the graph are its rectangles', () => {
  const { columns, rows } = graphRows(looking(TEXT));
  assert.deepEqual(columns, ['id', 'parent', 'depth', 'function', 'file', 'line', 'package', 'kind', 'bytes', 'blocks', 'own_bytes', 'own_blocks']);
  assert.deepEqual(rows, [
    [1, 0, 0, 'all', '', 0, '', '', 1060, 8, 0, 0],
    [2, 1, 1, 'main', 'job.py', 1, 'job', 'Project', 1060, 8, 0, 0],
    [3, 2, 2, 'a', 'job.py', 3, 'job', 'Project', 1000, 6, 900, 2],
    [4, 2, 2, 'b', 'job.py', 5, 'job', 'Project', 60, 2, 60, 2],
    [5, 3, 3, 'read', 'io.py', 4, 'io', 'Library', 100, 4, 100, 4],
  ]);
});

test('put together, merged, inverted and compared rows are as displayed', () => {
  assert.deepEqual(graphRows(looking(TEXT, { least: 20, byLine: false })).rows.slice(2), [
    [3, 2, 2, 'a', 'job.py', 0, 'job', 'Project', 1000, 6, 900, 2],
    [4, 2, 2, '1 smaller', '', 0, '', '', 60, 2, 0, 0],
    [5, 3, 3, '1 smaller', '', 0, '', '', 100, 4, 0, 0],
  ]);
  const inverted = graphRows(looking(TEXT, { view: 'inverted' }));
  assert.equal(inverted.columns.includes('own_bytes'), false);
  assert.deepEqual(inverted.rows[1], [2, 1, 1, 'a', 'job.py', 3, 'job', 'Project', 900, 2]);
  const compared = graphRows(looking('- a 5 1', {}, { before: [[7, 2]] }));
  assert.deepEqual(compared.columns.slice(8, 12), ['bytes', 'blocks', 'bytes_before', 'blocks_before']);
  assert.deepEqual(compared.rows[1].slice(8, 12), [5, 1, 7, 2]);
});

test('the rows of the table are of its group', () => {
  const model = looking(TEXT, { group: 'package' });
  const { columns, rows } = tableRecords(model, sortRows(model.tableRows(), 'own', model));
  assert.deepEqual(columns, ['package', 'own_bytes', 'own_blocks', 'total_bytes', 'total_blocks']);
  assert.deepEqual(rows, [['job', 960, 4, 1060, 8], ['io', 100, 4, 100, 4]]);
  model.show({ ...model.look, group: 'line' });
  assert.deepEqual(tableRecords(model, sortRows(model.tableRows(), 'own', model)).rows[0], ['a', 'job.py', 3, 'job', 'Project', 900, 2, 1000, 6]);
});

const HARD = { columns: ['name', 'bytes'], rows: [['a,b', 1], ['say "x"', 2], ['two\nlines', 3], ['=1+1', -4], ['@a', 5], ['-', 6], ['+\t', 7], ['', 8]] };

test('CSV is as RFC 4180 has it, and no name is a formula', () => {
  assert.equal(
    toCsv(HARD),
    'name,bytes\r\n"a,b",1\r\n"say ""x""",2\r\n"two\nlines",3\r\n\'=1+1,-4\r\n\'@a,5\r\n\'-,6\r\n\'+\t,7\r\n,8\r\n',
  );
  assert.equal(toTsv(HARD), "name\tbytes\na,b\t1\nsay \"x\"\t2\ntwo lines\t3\n'=1+1\t-4\n'@a\t5\n'-\t6\n'+ \t7\n\t8");
});

test('JSON names its columns and leaves texts as they are', () => {
  const read = JSON.parse(toJson({ title: 't', metric: 'peak' }, HARD));
  assert.deepEqual([read.title, read.metric, read.rows.length], ['t', 'peak', 8]);
  assert.deepEqual(read.rows[3], { name: '=1+1', bytes: -4 });
  assert.deepEqual(JSON.parse(toJson({ title: 't' }, { columns: ['a'], rows: [] })), { title: 't', rows: [] });
});

test('file names are harmless', () => {
  assert.equal(fileName(['heaptide: python3 /home/me/job.py', 'peak', 'calls'], 'csv'), 'heaptide-python3-home-me-job.py-peak-calls.csv');
  assert.equal(fileName(['heaptide: ../../etc/passwd\u202e.exe', 'peak'], 'csv'), 'heaptide-etc-passwd-.exe-peak.csv');
  assert.equal(fileName(['名前', '..'], 'png'), 'heaptide.png');
  assert.ok(fileName(['x'.repeat(500), 'y'.repeat(500), 'z'.repeat(99)], 'svg').length <= 84);
});

test('the picture is an SVG with its text as text', () => {
  const model = looking(`
    - <module>&co 0 0
    0 a:3 900 2
    0 b:5 100 2`);
  const rows = layoutRows(model.view, 0, 0, 400, 1);
  const svg = toSvg({
    rows, width: 400, y: (depth) => 22 * depth, title: 'of "x" & <y>', namespace: 'urn:svg', fill: () => 'red', label: (id) => model.nameOf(id),
    remarks: (id) => remarks(model, id), words: (id) => model.nameOf(id), faded: (id) => id === 0, measure: (text) => 7 * text.length,
    style: { ink: '#111', soft: '#222', panel: '#fff', font: 'Sans, "X"' },
  });
  assert.ok(svg.startsWith('<svg xmlns="urn:svg" width="400" height="104" viewBox="0 0 400 104" font-family="Sans, &quot;X&quot;" font-size="12">\n<title>of &quot;x&quot; &amp; &lt;y&gt;</title>'));
  assert.ok(svg.endsWith('</svg>\n'));
  const shown = [...svg.matchAll(/<text [^>]*>([^<]*)<\/text>/g)].map((match) => match[1]);
  // b is 40 pixels wide, its name 7, no room for more: 39 - 12 - 7.
  assert.deepEqual(shown, ['of &quot;x&quot; &amp; &lt;y&gt;', 'all', '1000 B', '&lt;module&gt;&amp;co', 'job.py:7  1000 B', 'a', 'job.py:3  900 B', 'b']);
  assert.equal(svg.match(/<rect /g).length, 5);
  assert.equal(svg.match(/opacity/g).length, 1);
  assert.ok(svg.includes('<rect x="360" y="74.5" width="39" height="20.5" rx="3" fill="red"/>'));
});
