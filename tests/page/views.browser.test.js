// What a reader does with the call tree, in a real browser: options, side panel, tree, table, downloads, keys.
//
//     PAGE=/path/to/page.html node --test views.browser.test.js
//
// As browser.test.js: PAGE is a page of examples/inventory.py, or another that is not a difference.

import assert from 'node:assert/strict';
import { resolve } from 'node:path';
import test, { afterEach, beforeEach } from 'node:test';
import { pathToFileURL } from 'node:url';
import { newPage, noBrowser, useBrowser } from './browser.js';

const file = process.env.PAGE && resolve(process.env.PAGE);
const skip = !file ? 'PAGE is not set' : noBrowser;

let page;
let account;

useBrowser(skip);
beforeEach(async () => {
  if (skip) return;
  account = await newPage();
  page = account.page;
});
afterEach(async () => {
  if (skip) return;
  await page.close();
  const complaints = account.said.filter(({ type }) => ['error', 'warning'].includes(type));
  assert.deepEqual([...complaints, ...account.faults], []);
  assert.deepEqual(account.requests.filter((url) => !/^(file|blob):/.test(url)), []);
});

const check = (name, body) => test(name, { skip }, body);
const open = async (address = '') => {
  await page.goto('about:blank');
  await page.goto(pathToFileURL(file).href + address);
  await page.waitForFunction(() => !document.getElementById('page').hidden);
  await page.waitForTimeout(50);
};
const text = (id) => page.locator(`#${id}`).textContent();
const address = () => page.evaluate(() => decodeURIComponent(window.location.hash));
const press = async (row, x = 60) => {
  const box = await page.locator('#graph').boundingBox();
  await page.mouse.click(box.x + x, box.y + 1 + 22 * row + 11);
};
/** Waits until a condition of the page holds. */
const until = (condition, value) => page.waitForFunction(condition, value, { timeout: 10_000 });

// ---- options ------------------------------------------------------------------------------------------------

check('options are in one sheet, in the address, and back', async () => {
  await open();
  const total = await text('total');
  await page.locator('#options summary').click();
  await page.locator('#merge-recursion').check();
  await page.locator('#least').fill('2.5');
  await page.keyboard.press('Tab');
  await page.locator('#colours').selectOption('share');
  assert.equal(await address(), '#recursion=merged&least=2.5&colours=share');
  assert.equal(await text('options-count'), '3');
  // Nothing was lost.
  assert.equal(await text('total'), total);
  await page.keyboard.press('Escape');
  assert.equal(await page.locator('#options .sheet').isVisible(), false);
  assert.equal(await page.evaluate(() => document.activeElement.parentElement.id), 'options');
  assert.equal(await address(), '#recursion=merged&least=2.5&colours=share');
  await page.goBack();
  await page.goBack();
  await page.goBack();
  await until(() => window.location.hash === '');
  assert.equal(await page.locator('#merge-recursion').isChecked(), false);
  await open('#recursion=merged&least=2.5&colours=share');
  assert.equal(await page.locator('#merge-recursion').isChecked(), true);
  assert.equal(await page.locator('#least').inputValue(), '2.5');
  assert.equal(await page.locator('#colours').inputValue(), 'share');
});

check('a digit typed into a field is not a key of the page', async () => {
  await open();
  await press(2);
  const zoomed = await address();
  await page.locator('#options summary').click();
  await page.locator('#least').focus();
  await page.keyboard.type('0');
  assert.equal(await address(), zoomed);
});

// ---- side panel ---------------------------------------------------------------------------------------------

check('a selected frame opens the panel; its callers lead on', async () => {
  await open();
  assert.equal(await page.locator('#side').isVisible(), false);
  await press(2);
  assert.equal(await page.locator('#side').isVisible(), true);
  const name = await text('side-name');
  assert.ok((await text('details')).startsWith(name));
  assert.match(await text('side-numbers'), /With callees.*B, [\d.<>]+%.*block/);
  const callee = page.locator('#side-callees button').first();
  const called = await callee.textContent();
  await callee.click();
  assert.equal(await text('side-name'), called);
  const callers = await page.locator('#side-callers button').allTextContents();
  assert.ok(callers.includes(name), `${callers} has ${name}`);
});

check('the panel is told apart by width and kept closed if closed', async () => {
  await open();
  await press(2);
  const width = (id) => page.locator(`#${id}`).evaluate((part) => Math.round(part.getBoundingClientRect().width));
  const [graph, side] = [await width('graph'), await width('side')];
  await page.locator('#side-edge').focus();
  await page.keyboard.press('ArrowLeft');
  await until((before) => document.getElementById('graph').clientWidth < before, graph - 10);
  assert.deepEqual([await width('graph'), await width('side')], [graph - 24, side + 24]);
  await page.locator('#side-close').click();
  assert.equal(await page.locator('#side').isVisible(), false);
  await press(1);
  assert.equal(await page.locator('#side').isVisible(), false);
  await open();
  await press(2);
  assert.equal(await page.locator('#side').isVisible(), false);
  await page.keyboard.press('d');
  assert.equal(await page.locator('#side').isVisible(), true);
  assert.equal(await width('side'), side + 24);
  await page.setViewportSize({ width: 700, height: 800 });
  await until(() => document.getElementById('side').getBoundingClientRect().top > document.getElementById('graph').getBoundingClientRect().bottom);
});
