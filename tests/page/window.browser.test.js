// A page of a window of a run in a real browser: it says which, its plot shows that window, and every instant in it can be
// chosen. What the numbers must be is tests/page_course.rs's.
//
//     WINDOW=/path/to/page.html node --test window.browser.test.js
//
// WINDOW is a page that was made with --from and --to, a tenth of a second or more apart.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import test from 'node:test';
import { pathToFileURL } from 'node:url';
import { noBrowser, usePages } from './browser.js';
import { load } from './made.js';

const file = process.env.WINDOW && resolve(process.env.WINDOW);
const skip = !file ? 'WINDOW is not set' : noBrowser;

let page;
let span;

usePages(skip, /^(file|blob):/, (opened) => { page = opened.page; });

const check = (name, body) => test(name, { skip }, body);
const open = async () => {
  await page.goto('about:blank');
  await page.goto(pathToFileURL(file).href);
  await page.waitForFunction(() => !document.getElementById('page').hidden);
};
const text = (id) => page.locator(`#${id}`).textContent();
/** A place in the plot, from 0 to 1 of its width. */
const at = async (part) => {
  const box = await page.locator('#timeline-canvas').boundingBox();
  return [box.x + 68 + part * (box.width - 82), box.y + 60];
};
/** The seconds that the address names. */
const named = () => page.evaluate(() => [...window.location.hash.matchAll(/(?:at|from|to)=([\d.e-]+)/g)].map((found) => Number(found[1])));

check('it says which window, in every metric', async () => {
  const { readPage, unpackPage } = await load('data.js');
  const html = readFileSync(file, 'utf8');
  const start = html.indexOf('id="data">') + 'id="data">'.length;
  ({ span } = readPage(await unpackPage(html.slice(start, html.indexOf('</script>', start)))));
  assert.ok(span.to - span.from >= 0.1, JSON.stringify(span));
  await open();
  assert.match(await text('total-words'), /^live at the highest instant from [\d.]+ m?s to [\d.]+ m?s, [\d.]+ m?s, [\d,]+ blocks?$/);
  assert.deepEqual(await page.locator('#metric-choice button').allTextContents(), ['Peak', 'Kept', 'Allocated', 'Temporary', 'Byte-seconds']);
  await page.getByRole('radio', { name: 'Kept' }).click();
  assert.match(await text('total-words'), /^allocated from [\d.]+ m?s to [\d.]+ m?s and live at its end, /);
  assert.equal(await page.locator('#whole').isVisible(), false);
});

check('its plot shows the window, and every click leads to an instant in it', async () => {
  await open();
  const instants = [];
  for (const part of [0.001, 0.2, 0.5, 0.8, 0.999]) {
    await page.mouse.click(...(await at(part)));
    const [seconds] = await named();
    instants.push(seconds);
  }
  assert.deepEqual([...instants].sort((a, b) => a - b), instants);
  assert.equal(new Set(instants).size, instants.length, `${instants}`);
  assert.ok(Math.abs(instants[0] - span.from) < 1e-6 && Math.abs(instants[4] - span.to) < 1e-6, `${instants} in ${JSON.stringify(span)}`);
  // A fifth of the plot is about a fifth of the window.
  const part = (instants[1] - span.from) / (span.to - span.from);
  assert.ok(part > 0.1 && part < 0.3, `${part}`);
});

check('a window within, and back to all of it', async () => {
  await open();
  const all = [await text('total'), await text('total-words')];
  await page.mouse.move(...(await at(0.3)));
  await page.mouse.down();
  await page.mouse.move(...(await at(0.6)), { steps: 4 });
  await page.mouse.up();
  await page.waitForFunction(() => window.location.hash.includes('from='));
  const [from, to] = await named();
  assert.ok(span.from < from && from < to && to < span.to, `${from} ${to}`);
  assert.equal(await text('whole'), 'Whole window');
  await page.locator('#whole').click();
  assert.deepEqual([await text('total'), await text('total-words')], all);
});
