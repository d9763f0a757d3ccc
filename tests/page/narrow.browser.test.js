// The page on small screens, in a real browser: nothing is wider than the window, and what is said of the plot has room.
//
//     PAGES=/path/to/page.html:/path/to/leaks.html node --test narrow.browser.test.js
//
// PAGES are written by heaptide; what is about a window is tried with the first, which is of a whole run.

import assert from 'node:assert/strict';
import { resolve } from 'node:path';
import test from 'node:test';
import { pathToFileURL } from 'node:url';
import { noBrowser, usePages } from './browser.js';

const files = (process.env.PAGES ?? '').split(':').filter(Boolean).map((file) => resolve(file));
const skip = !files.length ? 'PAGES is not set' : noBrowser;

let page;

usePages(skip, /^file:/, (opened) => { page = opened.page; });

const open = async (file, width, height, address = '') => {
  await page.setViewportSize({ width, height });
  await page.goto('about:blank');
  await page.goto(pathToFileURL(file).href + address);
  await page.waitForFunction(() => !document.getElementById('page').hidden);
};
const box = (id) => page.locator(`#${id}`).boundingBox();

for (const file of files) {
  for (const [width, height] of [[360, 740], [600, 900]]) {
    test(`${file.split('/').pop()}, ${width} × ${height}: nothing is cut off at the right`, { skip }, async () => {
      await open(file, width, height);
      const views = await page.locator('#view-choice button').evaluateAll((buttons) => buttons.map((button) => button.dataset.value));
      assert.ok(views.length >= 4, `${views}`);
      for (const view of views) {
        await page.locator(`#view-choice button[data-value="${view}"]`).click();
        const widest = await page.evaluate(() => document.documentElement.scrollWidth);
        assert.ok(widest <= width, `${view}: ${widest} pixels`);
        // Of what is looked at there is more than a few rows, if need be by scrolling.
        assert.ok((await page.locator('#stage').boundingBox()).height >= 300, view);
        // The names of a list or a table have room, whatever the numbers beside them take.
        for (const name of await page.locator('.listing:not([hidden]) td.named, .table:not([hidden]) td.name').evaluateAll((cells) => cells.slice(0, 3).map((cell) => cell.getBoundingClientRect().toJSON()))) {
          assert.ok(name.width > 0.4 * width && name.right <= width, `${view}: from ${name.left} to ${name.right}`);
        }
      }
      for (const menu of ['options', 'download']) {
        await page.locator('#view-choice button[data-value="calls"]').click();
        await page.locator(`#${menu} summary`).click();
        const sheet = await page.locator(`#${menu} .sheet`).boundingBox();
        assert.ok(sheet.x >= 0 && sheet.x + sheet.width <= width, `${menu}: ${JSON.stringify(sheet)}`);
        await page.keyboard.press('Escape');
      }
    });
  }
}

for (const width of [360, 600, 1000]) {
  test(`with a window chosen, what is under the pointer is said in all of its words, ${width} pixels wide`, { skip }, async () => {
    await open(files[0], width, 800, '#from=0&to=0.2');
    assert.equal(await page.locator('#whole').isVisible(), true);
    const plot = await box('timeline-canvas');
    await page.mouse.move(plot.x + 0.6 * plot.width, plot.y + 60);
    await page.waitForFunction(() => /live/.test(document.getElementById('timeline-key').textContent));
    const key = await page.locator('#timeline-key').evaluate((key) => ({ words: key.innerText, needs: key.scrollWidth, has: key.clientWidth }));
    assert.match(key.words, /[\d.]+ m?s .*[\d.]+ [KMG]?i?B live\s+[\d.]+ [KMG]?i?B RSS/);
    assert.ok(key.needs <= key.has, JSON.stringify(key));
    // Below the buttons, above the curves, which have not moved for it.
    const [words, button] = [await box('timeline-key'), await box('plot-window')];
    assert.ok(words.y >= button.y + button.height - 1, `${JSON.stringify(words)} below ${JSON.stringify(button)}`);
    assert.equal((await box('timeline-canvas')).y, plot.y);
    assert.ok(words.y + words.height <= plot.y + 28, `${JSON.stringify(words)} above ${JSON.stringify(plot)}`);
    // The buttons are above the plot for the pointer, too.
    await page.locator('#plot-window').click();
    assert.match(await page.evaluate(() => window.location.hash), /plot=/);
  });
}

test('details that open below the view are brought into sight', { skip }, async () => {
  await open(files[0], 360, 740);
  await page.locator('#side-button').click();
  const name = await box('side-name');
  assert.ok(name.y >= 0 && name.y + name.height <= 740, JSON.stringify(name));
});
