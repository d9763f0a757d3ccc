// A page of 100 000 different stacks in a real browser: it opens, and everything that a reader does answers.
//
//     PAGE=/path/to/page.html node --test scale.test.js
//
// PAGE is of bench/workloads/stacks.py; CHROMIUM is the browser (/usr/bin/chromium). Without PAGE or the browser the tests
// are skipped and say so. The bounds on time are ten times what a busy machine of two cores needs: they tell a page that
// takes time out of proportion, nothing finer. bench/run.py page measures.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import test from 'node:test';
import { pathToFileURL } from 'node:url';
import { noBrowser, usePages } from './browser.js';
import { dataOf } from './encoding.js';

const file = process.env.PAGE && resolve(process.env.PAGE);
const skip = !file ? 'PAGE is not set' : noBrowser;
const OPENS_MS = 10_000;
const ANSWERS_MS = 6_000;

let page;

usePages(skip, /^(file|blob|about):/, (opened) => { page = opened.page; });

const check = (name, body) => test(name, { skip, timeout: 180_000 }, body);
const text = (id) => page.locator(`#${id}`).textContent();
const open = async (address = '') => {
  await page.goto(pathToFileURL(file).href + address, { waitUntil: 'commit' });
  await page.waitForFunction(() => document.getElementById('page')?.hidden === false && document.getElementById('total').textContent !== '');
  await frames();
};
/** Until two more frames were painted. */
const frames = () => page.evaluate(() => new Promise((done) => { requestAnimationFrame(() => requestAnimationFrame(done)); }));
/** How many colours are in the canvas; asked once a page, since the browser counts. */
const colours = () => page.evaluate(() => {
  const canvas = document.getElementById('graph-canvas');
  const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
  return new Set(new Uint32Array(data.buffer)).size;
});
/** How long something takes until a function in the page holds. */
const timed = async (limit, act, holds, argument) => {
  const began = performance.now();
  await act();
  await page.waitForFunction(holds, argument, { timeout: 60_000 });
  await frames();
  const took = performance.now() - began;
  assert.ok(took < limit, `${Math.round(took)} ms`);
};

check('there are 100 000 stacks in it', () => {
  const data = JSON.parse(dataOf(readFileSync(file, 'utf8')));
  const peak = data.metrics.find(({ key }) => key === 'peak');
  const nodes = new Set(peak.node ?? peak.cell.map((cell) => data.cells.node[cell]));
  assert.ok(nodes.size >= 100_000, `${nodes.size} places with blocks of their own`);
});

check('it opens', async () => {
  const began = performance.now();
  await open();
  assert.ok(performance.now() - began < OPENS_MS, `${Math.round(performance.now() - began)} ms`);
  assert.ok(await colours() > 10, 'the canvas is not empty');
  assert.match(await text('total'), /^\d{3} MiB$/);
});

check('it is searched', async () => {
  await open();
  await page.locator('#search').click();
  await timed(ANSWERS_MS, () => page.keyboard.insertText('decode'), () => document.getElementById('search-result').textContent !== '');
  // `decode` is under way in nearly every stack: what it holds counts once, however often it is in a stack.
  assert.match(await text('search-result'), /[\d.]+ MiB, [\d.]+% of all/);
  await page.locator('#search').fill('/^(paint|layout)$/');
  await page.waitForFunction(() => document.getElementById('search').value.startsWith('/^'));
  await timed(ANSWERS_MS, async () => {}, () => decodeURIComponent(window.location.hash).includes('paint'));
  assert.match(await text('search-result'), /[\d.]+ MiB, [\d.]+% of all/);
});

check('it is zoomed, down to where the smallest are, and back', async () => {
  await open();
  const box = await page.locator('#graph').boundingBox();
  for (let step = 0; step < 4; step++) {
    const before = await page.evaluate(() => window.location.hash);
    await timed(ANSWERS_MS, () => page.mouse.click(box.x + 40, box.y + 1 + 22 * 8 + 11),
      (before) => window.location.hash !== before && window.location.hash.includes('zoom='), before);
  }
  assert.ok(await colours() > 10, 'the canvas is not empty');
  assert.match(await text('details'), /MiB|KiB/);
  await page.locator('#graph').focus();
  await timed(ANSWERS_MS, () => page.keyboard.press('0'), () => !window.location.hash.includes('zoom='));
});

check('every view of it opens', async () => {
  await open();
  const views = await page.locator('#view-choice button').evaluateAll((buttons) => buttons.map((button) => button.dataset.value));
  assert.ok(views.includes('inverted') && views.includes('table'), views.join(' '));
  for (const view of [...views.slice(1), views[0]]) {
    const button = page.locator(`#view-choice button[data-value="${view}"]`);
    await timed(ANSWERS_MS, () => button.click(),
      (view) => document.querySelector(`#view-choice button[data-value="${view}"]`).getAttribute('aria-checked') === 'true', view);
  }
  // No view may make an element for each of 100 000.
  assert.ok(await page.evaluate(() => document.querySelectorAll('*').length) < 20_000);
});

check('every metric of it, in blocks, with lines put together', async () => {
  await open();
  const metrics = await page.locator('#metric-choice button').evaluateAll((buttons) => buttons.map((button) => button.dataset.value));
  for (const metric of metrics) {
    await timed(ANSWERS_MS, () => page.evaluate((address) => { window.location.hash = address; }, `metric=${metric}&unit=blocks&lines=merged`),
      (metric) => document.querySelector(`#metric-choice button[data-value="${metric}"]`).getAttribute('aria-checked') === 'true', metric);
  }
});
