// Damaged data are refused in a sentence, or read so that everything after works: thousands of ways to damage them, always the
// same ones, without a browser.
//
//     [PAGE=/path/to/page.html] node --test broken.test.js
//
// PAGE is a page written by heaptide; without it the small one that the Rust tests expect is damaged alone.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import test from 'node:test';
import { chance, damage, damageText } from './chance.js';
import { dataOf } from './encoding.js';

const assets = new URL('../../crates/report/assets/', import.meta.url);
const load = (name) => import(new URL(name, assets).href);
const { readPage } = await load('data.js');
const { layoutRows } = await load('layout.js');
const { Model } = await load('model.js');
const { bytesOverTime, pointName } = await load('course.js');
const timeline = await load('timeline.js');
const { describe } = await load('described.js');
const { searchResult } = await load('found.js');

const rustTest = readFileSync(new URL('../src/html/tests.rs', assets), 'utf8');
const lines = rustTest.slice(rustTest.indexOf('let expected = concat!(')).split(');')[0];
const TINY = [...lines.matchAll(/r#"(.*?)"#,/g)].map((match) => match[1]).join('');
const REAL = process.env.PAGE && dataOf(readFileSync(process.env.PAGE, 'utf8'));

/** A sentence for a reader, not what the engine says of itself. */
const SENTENCE = /^The data of this page (are|have) .+\.$/s;

/** Instants and windows to look at. */
function times(page) {
  if (!page.course) return [];
  const { parts } = page.course;
  const name = (point) => pointName(page, point);
  return [0, 1, 2 * (parts >> 1) + 1, 2 * parts].filter((point) => point <= 2 * parts)
    .map((point) => ({ from: name(point), to: name(point), thread: 0 }))
    .concat(parts > 0 ? [{ from: name(0), to: name(2 * parts), allocator: page.allocators[0] ?? '' }] : []);
}

/** Does what a reader does, all of it pure. Anything that is shown must be words and finite numbers. */
function use(page) {
  const model = new Model(page);
  const first = model.look;
  for (const metric of page.metrics) {
    for (const look of [{}, { view: 'inverted', unit: 'blocks', least: 2 }, { byLine: false, interpreter: true, search: 'e' },
      { mergeRecursion: true, onlyProject: true, imports: true, colours: 'share' }, ...times(page)]) {
      model.show({ ...first, ...look, metric: metric.key });
      const rows = layoutRows(model.view, model.column, 0, 900);
      const ids = rows.slice(0, 6).flatMap((row) => [...row.id].slice(0, 5));
      const said = [model.headline(), searchResult(model), model.tableRows().slice(0, 20), ids.map((id) => [describe(model, id), model.fill(id)])];
      assert.doesNotMatch(JSON.stringify(said), /NaN|undefined|Infinity|\[object/);
      for (const row of rows) for (const width of row.width) assert.ok(width >= 0 && width <= 901, `a rectangle ${width} wide`);
    }
  }
  if (page.course) for (const bytes of bytesOverTime(page.course, new Uint8Array(page.cells.length).fill(1))) assert.ok(Number.isFinite(bytes), `${bytes} at an instant`);
  if (page.timeline.length > 0) {
    const scale = timeline.timelineScale(page.timeline, 900, 100);
    for (const { x, y } of timeline.timelineShape(page.timeline, page.timeline.live, scale)) assert.ok(Number.isFinite(x) && Number.isFinite(y));
    assert.ok(timeline.timelineTicks(scale.from, scale.to, 8).length < 100);
  }
}

/** What went wrong with one text: "" if it was refused in a sentence or could be used; and whether it was read. */
function tried(text) {
  let page;
  try {
    page = readPage(text);
  } catch (error) {
    return { read: false, fault: SENTENCE.test(error.message) ? '' : `refused, but not in a sentence: ${error.message.slice(0, 200)}` };
  }
  try {
    use(page);
  } catch (error) {
    return { read: true, fault: `read as if it were whole, then: ${error.message.slice(0, 400)}` };
  }
  return { read: true, fault: '' };
}

/** Damages a text so many times; at least a few must be read and most refused, else nothing was tried. */
function damaged(whole, times, seed, make) {
  const by = chance(seed);
  const faults = [];
  let read = 0;
  for (let i = 0; i < times && faults.length < 5; i++) {
    const { what, text } = make(by, i);
    const outcome = tried(text);
    read += Number(outcome.read);
    if (outcome.fault) faults.push(`${what}: ${outcome.fault}`);
  }
  assert.deepEqual(faults, []);
  assert.ok(read > 0 && read < times * 0.9, `${read} of ${times} read`);
}

for (const [name, whole, times] of [['the small page', TINY, 8_000], ['a real page', REAL, REAL && Math.min(300, Math.round(2e8 / REAL.length))]]) {
  const options = { skip: whole ? false : 'PAGE is not set', timeout: 600_000 };

  test(`${name} itself is read`, options, () => assert.deepEqual(tried(whole), { read: true, fault: '' }));

  test(`values of ${name} left out, replaced, exchanged`, options, () => damaged(whole, times, 12_345, (by) => {
    const value = JSON.parse(whole);
    const what = [damage(value, by), ...(by.number(3) === 0 ? [damage(value, by)] : [])].join('; ');
    return { what, text: JSON.stringify(value) };
  }));

  test(`the text of ${name} cut and changed`, options, () => damaged(whole, times, 54_321, (by, i) => ({ what: `text ${i}`, text: damageText(whole, by) })));
}

test('what is no data at all is refused in a sentence', () => {
  for (const text of ['', ' ', 'null', '0', '"x"', '[]', '{}', 'true', '{"version":2}', '[[[[', '\0', '{"version":1e999}', '{"version":{}}', '{"version":"2"}']) {
    assert.deepEqual(tried(text), { read: false, fault: '' }, text);
  }
});
