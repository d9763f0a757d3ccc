// The plot of time in a real browser: a click chooses an instant, a drag a window, the keyboard both; lists choose whose
// allocations. What the numbers must be is course.test.js's and tests/page_course.rs's.
//
//     PAGE=/path/to/page.html node --test time.browser.test.js
//
// PAGE is any page of a whole run that took half a second or more and allocated with several functions.

import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import test from 'node:test';
import { pathToFileURL } from 'node:url';
import { noBrowser, usePages } from './browser.js';

const file = process.env.PAGE && resolve(process.env.PAGE);
const skip = !file ? 'PAGE is not set' : noBrowser;

let page;

usePages(skip, /^(file|blob):/, (opened) => { page = opened.page; });

const check = (name, body) => test(name, { skip }, body);
const open = async (address = '') => {
  await page.goto('about:blank');
  await page.goto(pathToFileURL(file).href + address);
  await page.waitForFunction(() => !document.getElementById('page').hidden);
};
const text = (id) => page.locator(`#${id}`).textContent();
const address = () => page.evaluate(() => decodeURIComponent(window.location.hash));
const metrics = () => page.locator('#metric-choice button').allTextContents();
/** Places in the plot, from 0 to 1 of its width. */
const at = async (...parts) => {
  const box = await page.locator('#timeline-canvas').boundingBox();
  return parts.map((part) => [box.x + 68 + part * (box.width - 82), box.y + 60]);
};
const drag = async (from, to) => {
  const [a, b] = await at(from, to);
  await page.mouse.move(...a);
  await page.mouse.down();
  await page.mouse.move(...b, { steps: 4 });
  await page.mouse.up();
  await page.waitForFunction(() => window.location.hash.includes('from='));
};

check('a click is an instant, and the way back the whole run', async () => {
  await open();
  const whole = await text('total');
  const [middle] = await at(0.5);
  await page.mouse.click(...middle);
  assert.match(await address(), /^#at=[\d.]+$/);
  assert.match(await text('total-words'), /^live at [\d.]+ m?s, [\d,]+ blocks$/);
  assert.match(await text('chosen'), /^At [\d.]+ m?s$/);
  assert.deepEqual(await metrics(), ['Live']);
  const shown = [await text('total'), await text('total-words')];
  await open(await page.evaluate(() => window.location.hash));
  assert.deepEqual([await text('total'), await text('total-words')], shown);
  await page.locator('#whole').click();
  assert.equal(await address(), '');
  assert.equal(await text('total'), whole);
  assert.equal(await page.locator('#whole').isVisible(), false);
  await page.goBack();
  await page.waitForFunction(() => window.location.hash.startsWith('#at='));
  assert.equal(await text('total'), shown[0]);
});

check('a drag is a window, whose edges can be moved', async () => {
  await open();
  await drag(0.3, 0.7);
  const [from, to] = /^#from=([\d.]+)&to=([\d.]+)$/.exec(await address()).slice(1).map(Number);
  assert.ok(from < to, `${from} ${to}`);
  assert.match(await text('total-words'), /^live at the highest instant from [\d.]+ m?s to [\d.]+ m?s, /);
  assert.deepEqual(await metrics(), ['Peak', 'Kept', 'Allocated', 'Temporary', 'Growth']);
  const totals = [];
  for (const key of ['peak', 'leaked', 'allocated', 'temporary', 'growth']) {
    await page.locator(`#metric-choice button[data-value="${key}"]`).click();
    totals.push(await text('total'));
  }
  assert.match(totals[4], /^[+−±]/);
  assert.match(await address(), /^#metric=growth&from=/);
  // The edge at the right goes to 0.9.
  await drag(0.7, 0.9);
  const [same, later] = /from=([\d.]+)&to=([\d.]+)$/.exec(await address()).slice(1).map(Number);
  assert.equal(same, from);
  assert.ok(later > to, `${later} ${to}`);
  // One step of the reader for each drag, however many moves it had.
  await page.goBack();
  await page.waitForFunction((before) => window.location.hash.includes(`to=${before}`), to);
});

check('the keyboard does the same', async () => {
  await open();
  const canvas = page.locator('#timeline-canvas');
  await canvas.focus();
  assert.equal(await canvas.getAttribute('role'), 'slider');
  assert.equal(await canvas.getAttribute('aria-valuetext'), 'the whole run');
  await page.keyboard.press('Home');
  assert.equal(await address(), '#at=0');
  assert.equal(await text('total'), '0 B');
  await page.keyboard.press('PageUp');
  assert.notEqual(await canvas.getAttribute('aria-valuetext'), '0 s');
  for (let i = 0; i < 3; i++) await page.keyboard.press('Shift+ArrowRight');
  assert.match(await address(), /^#from=[\d.]+&to=[\d.]+$/);
  assert.match(await canvas.getAttribute('aria-valuetext'), /^from [\d.]+ m?s to [\d.]+ m?s$/);
  await page.keyboard.press('Escape');
  assert.equal(await address(), '');
});

check('the graph follows within a moment', async () => {
  await open();
  const [start, end] = await at(0.2, 0.8);
  await page.mouse.move(...start);
  await page.mouse.down();
  await page.mouse.move(...end);
  // What the page itself takes for a move, to the next frame of the screen; ten times what is wanted of a quiet machine.
  const took = await page.evaluate(async () => {
    const canvas = document.getElementById('timeline-canvas');
    const box = canvas.getBoundingClientRect();
    const began = performance.now();
    canvas.dispatchEvent(new PointerEvent('pointermove', { clientX: box.x + 500, clientY: box.y + 50, bubbles: true }));
    await new Promise((done) => { requestAnimationFrame(() => requestAnimationFrame(done)); });
    return performance.now() - began;
  });
  await page.mouse.up();
  assert.ok(took < 1000, `${took} ms`);
  assert.match(await text('total-words'), /^live at the highest instant/);
});

check('a long drag writes the address as seldom as browsers want it, and at last what is chosen', async () => {
  await page.addInitScript(() => {
    window.writings = 0;
    for (const how of ['pushState', 'replaceState']) {
      const write = history[how];
      history[how] = function counted(...values) {
        window.writings += 1;
        return write.apply(this, values);
      };
    }
  });
  await open();
  const [start, end] = await at(0.2, 0.8);
  await page.mouse.move(...start);
  await page.mouse.down();
  const [moves, writings, took] = await page.evaluate(async () => {
    const canvas = document.getElementById('timeline-canvas');
    const { x, y, width } = canvas.getBoundingClientRect();
    const [began, before] = [performance.now(), window.writings];
    for (let i = 0; i < 90; i++) {
      canvas.dispatchEvent(new PointerEvent('pointermove', { clientX: x + width * (0.6 + 0.2 * Math.sin(i)), clientY: y + 50, bubbles: true }));
      await new Promise((done) => { requestAnimationFrame(done); });
    }
    return [90, window.writings - before, performance.now() - began];
  });
  await page.mouse.move(...end);
  await page.mouse.up();
  // Fifteen at once, then eight a second.
  assert.ok(writings > 15 && writings <= 15 + took / 125 + 2, `${moves} moves, ${writings} writings in ${took} ms`);
  await page.waitForTimeout(400);
  const chosen = await text('chosen');
  await open(await page.evaluate(() => window.location.hash));
  assert.equal(await text('chosen'), chosen);
});

check('lists choose whose allocations', async () => {
  await open();
  const whole = await text('total');
  assert.equal(await page.locator('#filters').isVisible(), true);
  const listed = (await page.locator('#allocator option').allTextContents()).slice(1).map((option) => option.split('  ·  '));
  assert.ok(listed.some(([name]) => name === 'malloc'), listed.join());
  // Who asked for the most is first.
  const bytes = listed.map(([, amount]) => Number(/^[\d.]+/.exec(amount)[0]) * 1024 ** ['B', 'KiB', 'MiB', 'GiB'].indexOf(amount.split(' ')[1]));
  assert.deepEqual(bytes, [...bytes].sort((a, b) => b - a));
  assert.ok(bytes[0] > 0);
  await page.locator('#allocator').selectOption('malloc');
  assert.equal(await address(), '#allocator=malloc');
  assert.match(await text('total-words'), /^live at the peak, only malloc, /);
  assert.notEqual(await text('total'), whole);
  // Together with an instant.
  const [middle] = await at(0.5);
  await page.mouse.click(...middle);
  assert.match(await text('total-words'), /^live at [\d.]+ m?s, only malloc, /);
  await page.locator('#allocator').selectOption('');
  await page.locator('#whole').click();
  assert.equal(await text('total'), whole);
});

check('the plot is saved as numbers, and files say which part of the run they are of', async () => {
  const saved = async (id) => {
    await page.locator('#download summary').click();
    const waiting = page.waitForEvent('download');
    await page.locator(`#${id}`).click();
    const download = await waiting;
    return { name: download.suggestedFilename(), text: readFileSync(await download.path(), 'utf8') };
  };
  await open();
  const plot = await saved('save-time');
  assert.match(plot.name, /time\.csv$/);
  const [head, ...rows] = plot.text.trimEnd().split('\r\n');
  assert.equal(head, 'seconds,live_bytes,rss_bytes');
  assert.ok(rows.length > 10 && rows.every((row) => /^[\d.e-]+,\d+,\d+$/.test(row)), rows[0]);
  await drag(0.3, 0.7);
  await page.locator('#metric-choice button[data-value="leaked"]').click();
  const { name, text: json } = await saved('save-json');
  assert.match(name, /leaked.*calls\.json$/);
  const { metric, meaning } = JSON.parse(json);
  assert.equal(metric, 'leaked');
  assert.match(meaning, /^allocated from .* to .* and live at its end$/);
});

check('the plot is saved as a picture of its own, with what is chosen', async () => {
  const saved = async (id) => {
    await page.locator('#download summary').click();
    const waiting = page.waitForEvent('download');
    await page.locator(`#${id}`).click();
    const download = await waiting;
    return { name: download.suggestedFilename(), bytes: readFileSync(await download.path()) };
  };
  // From a view without a picture of its own as well.
  await open('#view=table');
  await drag(0.3, 0.7);
  await page.locator('#download summary').click();
  assert.deepEqual([await page.locator('#save-svg').isVisible(), await page.locator('#save-csv').isVisible()], [false, true]);
  await page.locator('#download summary').click();
  const chosen = await text('chosen');
  const json = await saved('save-time-json');
  assert.match(json.name, /time\.json$/);
  const { title, rows, marks, peak_at_seconds: peakAt } = JSON.parse(json.bytes);
  assert.deepEqual([title, Object.keys(rows[0]), Array.isArray(marks), peakAt > 0], [await text('title'), ['seconds', 'live_bytes', 'rss_bytes'], true, true]);
  const png = await saved('save-time-png');
  assert.match(png.name, /time\.png$/);
  assert.equal(png.bytes.subarray(0, 8).toString('latin1'), '\x89PNG\r\n\x1a\n');
  const wide = await page.locator('#timeline-canvas').evaluate((canvas) => canvas.clientWidth);
  assert.deepEqual([png.bytes.readUInt32BE(16), png.bytes.readUInt32BE(20)], [wide, 260]);
  const svg = await saved('save-time-svg');
  assert.match(svg.name, /time\.svg$/);
  // A browser reads it as what it is, and shows the same words as the page.
  const picture = join(mkdtempSync(join(tmpdir(), 'heaptide-page-')), 'picture.svg');
  writeFileSync(picture, svg.bytes);
  await page.goto(pathToFileURL(picture).href);
  const [root, broken, texts, lines] = await page.evaluate(() => [
    document.documentElement.localName, document.querySelector('parsererror'), [...document.querySelectorAll('text')].map((words) => words.textContent),
    [...document.querySelectorAll('path > title')].map((words) => words.textContent),
  ]);
  assert.deepEqual([root, broken], ['svg', null]);
  assert.ok([`${title}: memory over time`, chosen, 'Live bytes', 'RSS'].every((words) => texts.includes(words)), texts.join(' | '));
  assert.deepEqual(lines.slice(0, 2), ['Live bytes', 'RSS']);
});

check('the time of day stands below the plot if one likes', async () => {
  await open('#axis=clock');
  await page.locator('#options > summary').click();
  const option = page.getByLabel('Time of day below the plot');
  assert.equal(await option.isChecked(), true);
  const words = async () => {
    await page.locator('#download > summary').click();
    const waiting = page.waitForEvent('download');
    await page.locator('#save-time-svg').click();
    const svg = readFileSync(await (await waiting).path(), 'utf8');
    return [...svg.matchAll(/<text[^>]*>([^<]*)<\/text>/g)].map(([, text]) => text);
  };
  const times = (await words()).filter((text) => /^\d\d:\d\d(:\d\d(\.\d+)?)?$/.test(text));
  assert.ok(times.length > 1, times.join(' '));
  await page.locator('#options > summary').click();
  await option.uncheck();
  assert.equal(new URL(page.url()).hash, '');
  const since = await words();
  assert.ok(since.includes('1 s') && !since.some((text) => /^\d\d:\d\d/.test(text)), since.join(' '));
});

check('growth gives the colours, and a function its size over time', async () => {
  await open('#colours=growth');
  assert.match(await text('legend'), /gone.*new/);
  await page.locator('#graph').focus();
  await page.keyboard.press('ArrowDown');
  await page.keyboard.press('ArrowDown');
  assert.equal(await page.locator('#side-time').isVisible(), true);
  const colours = await page.evaluate(() => {
    const canvas = document.getElementById('side-time-canvas');
    const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
    return new Set(new Uint32Array(data.buffer)).size;
  });
  assert.ok(colours > 3, `${colours} colours`);
});
