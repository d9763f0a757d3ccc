// The flame graph page in a real browser: what a reader does and what then must be seen.
//
//     PAGE=/path/to/page.html node --test browser.test.js
//
// PAGE is any page written by heaptide that is not a difference and has two metrics or more; CHROMIUM is the
// browser (/usr/bin/chromium). Without PAGE or the browser the tests are skipped and say so.

import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import test from 'node:test';
import { pathToFileURL } from 'node:url';
import { dataOf, withData } from './encoding.js';
import { noBrowser, usePages } from './browser.js';

const file = process.env.PAGE && resolve(process.env.PAGE);
const skip = !file ? 'PAGE is not set' : noBrowser;

let page;
let account;

usePages(skip, /^file:/, (opened) => {
  account = opened;
  page = opened.page;
});

const check = (name, body) => test(name, { skip }, body);
const open = async (address = '') => {
  await page.goto(pathToFileURL(file).href + address);
  await page.waitForFunction(() => !document.getElementById('page').hidden);
  await page.waitForTimeout(50);
};
const text = (id) => page.locator(`#${id}`).textContent();
const address = () => page.evaluate(() => decodeURIComponent(window.location.hash));
/** Presses the mouse on the graph: `row` 0 is "all". */
const press = async (row, x = 60) => {
  const box = await page.locator('#graph').boundingBox();
  await page.mouse.click(box.x + x, box.y + 1 + 22 * row + 11);
};
const option = (group, value) => page.locator(`#${group} button[data-value="${value}"]`);

check('the page opens with a graph and loads nothing else', async () => {
  await open();
  assert.equal(await page.locator('#failure').isVisible(), false);
  assert.match(await text('total'), /\d.*B$/);
  // The canvas is not one colour.
  const colors = await page.evaluate(() => {
    const canvas = document.getElementById('graph-canvas');
    const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, Math.min(200, canvas.height));
    return new Set(new Uint32Array(data.buffer)).size;
  });
  assert.ok(colors > 10, `${colors} colours`);
  assert.equal(account.requests.length, 1);
});

check('a click zooms in, the address follows, the ways back work', async () => {
  await open();
  assert.equal(await page.locator('#reset').isDisabled(), true);
  await press(2);
  const zoomed = await address();
  assert.match(zoomed, /^#zoom=\d+\.\d+$/);
  const details = await text('details');
  await page.keyboard.press('Escape');
  await page.waitForFunction(() => !window.location.hash.includes('zoom'));
  await page.goForward();
  await page.waitForFunction(() => window.location.hash.includes('zoom'));
  assert.equal(await text('details'), details);
  await page.locator('#reset').click();
  assert.equal(await address(), '');
  await page.locator('#back').click();
  await page.waitForFunction(() => window.location.hash.includes('zoom'));
  // The address alone is enough to see the same.
  await open(zoomed);
  assert.equal(await text('details'), details);
});

check('pointing shows the numbers', async () => {
  await open();
  const box = await page.locator('#graph').boundingBox();
  await page.mouse.move(box.x + 60, box.y + 34);
  const shown = await page.locator('#tooltip').innerText();
  assert.match(shown, /\([\d,]+ bytes\)/);
  assert.match(shown, /\d% of all bytes/);
});

check('search tells its total, and a wrong expression why', async () => {
  await open();
  await page.keyboard.press('/');
  await page.keyboard.type('e');
  await page.waitForFunction(() => document.getElementById('search-result').textContent !== '');
  assert.match(await text('search-result'), /B, [\d.<>]+% of all$/);
  assert.equal(await address(), '#search=e');
  await page.locator('#search').fill('/(/');
  await page.waitForFunction(() => document.getElementById('search').ariaInvalid === 'true');
  assert.match(await text('search-result'), /Invalid regular expression/);
  await page.keyboard.press('Escape');
  assert.equal(await text('search-result'), '');
});

check('metric, unit and view are switched and linked', async () => {
  await open();
  const first = await text('total');
  const metric = page.locator('#metric-choice button[aria-checked="false"]').first();
  const key = await metric.getAttribute('data-value');
  await metric.click();
  assert.equal(await address(), `#metric=${key}`);
  assert.notEqual(await text('total-words'), '');
  assert.equal(await option('metric-choice', key).getAttribute('aria-checked'), 'true');
  await option('unit-choice', 'blocks').click();
  await option('view-choice', 'inverted').click();
  assert.equal(await address(), `#metric=${key}&unit=blocks&view=inverted`);
  await press(1);
  assert.match(await address(), /zoom=\d+$/);
  await option('view-choice', 'table').click();
  assert.ok((await page.locator('#table tbody tr').count()) > 0);
  await page.goBack();
  await page.goBack();
  await page.goBack();
  await page.goBack();
  await page.goBack();
  await page.waitForFunction(() => window.location.hash === '');
  assert.equal(await text('total'), first);
});

check('the graph can be read with the keyboard alone', async () => {
  await open();
  await page.locator('#graph').focus();
  await page.keyboard.press('ArrowDown');
  await page.keyboard.press('ArrowDown');
  const selected = await text('details');
  assert.match(selected, /bytes\)/);
  await page.keyboard.press('ArrowDown');
  assert.notEqual(await text('details'), selected);
  await page.keyboard.press('ArrowUp');
  assert.equal(await text('details'), selected);
  await page.keyboard.press('Enter');
  assert.match(await address(), /^#zoom=/);
  await page.keyboard.press('Shift+?');
  assert.equal(await page.locator('#info').isVisible(), true);
  await page.keyboard.press('Escape');
  assert.equal(await page.locator('#info').isVisible(), false);
});

check('a page that opens inverted can be turned and linked to', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'heaptide-page-'));
  const inverted = join(directory, 'inverted.html');
  const whole = readFileSync(file, 'utf8');
  writeFileSync(inverted, withData(whole, dataOf(whole).replace('"inverted":false,"temporary_within":1,', '"inverted":true,"temporary_within":5,')));
  const url = pathToFileURL(inverted).href;
  const marked = () => page.locator('#view-choice button[aria-checked="true"]').getAttribute('data-value');
  await page.goto(url);
  await page.waitForFunction(() => !document.getElementById('page').hidden);
  assert.deepEqual([await marked(), await address()], ['inverted', '']);
  assert.match(await text('temporary-words'), /at most 5 other allocations of that thread between$/);
  await page.keyboard.press('i');
  assert.deepEqual([await marked(), await address()], ['calls', '#view=calls']);
  await page.goBack();
  await page.waitForFunction(() => window.location.hash === '');
  assert.equal(await marked(), 'inverted');
  await page.goto(`${url}#view=calls`);
  await page.reload();
  await page.waitForFunction(() => !document.getElementById('page').hidden);
  assert.equal(await marked(), 'calls');
});

check('the page is named by its command, the headline by its metric', async () => {
  await open();
  assert.match(await page.title(), /^heaptide: /);
  assert.equal(await text('title'), await page.title());
  assert.match(await text('temporary-words'), /at most 1 other allocation of that thread between$/);
});

check('light and dark', async () => {
  await page.emulateMedia({ colorScheme: 'dark' });
  await open();
  assert.equal(await page.evaluate(() => document.documentElement.dataset.theme), 'dark');
  await page.locator('#theme-button').click();
  assert.equal(await page.evaluate(() => document.documentElement.dataset.theme), 'light');
});

check('damaged pages say what is wrong', async () => {
  const whole = readFileSync(file, 'utf8');
  const data = dataOf(whole);
  const [, version] = /^\{"version":(\d+),/.exec(data);
  const start = whole.lastIndexOf('id="data">') + 'id="data">'.length;
  const directory = mkdtempSync(join(tmpdir(), 'heaptide-page-'));
  for (const [name, html, message] of [
    ['cut', whole.slice(0, start + 500), /the file may be cut short/],
    ['newer', withData(whole, data.replace(/^\{"version":\d+,/, '{"version":99,')), new RegExp(`version 99; its script reads version ${version}`)],
  ]) {
    const damaged = join(directory, `${name}.html`);
    writeFileSync(damaged, html);
    await page.goto(pathToFileURL(damaged).href);
    await page.waitForFunction(() => !document.getElementById('failure').textContent.startsWith('Reading'));
    assert.match(await text('failure'), message);
    assert.equal(await page.locator('#failure').isVisible(), true);
  }
});
