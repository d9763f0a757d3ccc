// The plot of time zoomed, in a real browser: to the window and out again, by buttons, keys, wheel and double click.
// What the ranges must be is range.test.js's.
//
//     PAGE=/path/to/page.html node --test zoom.browser.test.js
//
// PAGE is any page of a whole run that took half a second or more.

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

usePages(skip, /^file:/, (opened) => { page = opened.page; });

const check = (name, body) => test(name, { skip }, body);
const open = async (address = '', of = file) => {
  await page.goto('about:blank');
  await page.goto(pathToFileURL(of).href + address);
  await page.waitForFunction(() => !document.getElementById('page').hidden);
};
const text = (id) => page.locator(`#${id}`).textContent();
const seen = (id) => page.locator(`#${id}`).isVisible();
const address = () => page.evaluate(() => decodeURIComponent(window.location.hash));
/** What the plot shows, by its address; null: all. */
const shown = async () => {
  const found = /plot=([\d.e-]+)\.\.([\d.e-]+)/.exec(await address());
  return found && [Number(found[1]), Number(found[2])];
};
/** Waits until the address, which follows keys and wheel after a moment, says that the plot shows something else; and what. */
const shownAfter = async ([from, to]) => {
  await page.waitForFunction((last) => !window.location.hash.includes(last), `plot=${from}..${to}`);
  return shown();
};
/** A place in the plot, from 0 to 1 of its width. */
const at = async (part) => {
  const box = await page.locator('#timeline-canvas').boundingBox();
  return [box.x + 68 + part * (box.width - 82), box.y + 60];
};
const drag = async (from, to) => {
  await page.mouse.move(...await at(from));
  await page.mouse.down();
  await page.mouse.move(...await at(to), { steps: 4 });
  await page.mouse.up();
  await page.waitForFunction(() => window.location.hash.includes('from='));
};
/** The window that is chosen, by the address. */
const chosen = async () => /from=([\d.]+)&to=([\d.]+)/.exec(await address()).slice(1).map(Number);
/** What is under the mouse there, in seconds. */
const secondsAt = async (part) => {
  await page.mouse.move(...await at(part));
  await page.waitForFunction(() => /^[\d.]+ m?s/.test(document.getElementById('timeline-key').textContent));
  const [, number, unit] = /^([\d.]+) (m?s)/.exec(await text('timeline-key'));
  return unit === 'ms' ? number / 1000 : Number(number);
};

check('to the window and out again', async () => {
  await open();
  assert.deepEqual([await seen('plot-window'), await seen('plot-out')], [false, false]);
  await drag(0.4, 0.5);
  const [total, words] = [await text('total'), await text('total-words')];
  await page.locator('#plot-window').click();
  const [from, to] = await chosen();
  const [left, right] = await shown();
  assert.ok(left < from && right > to, `${left} ${from} ${to} ${right}`);
  // 6% of it at each side.
  assert.ok(Math.abs(right - left - 1.12 * (to - from)) < 1e-6, `${right - left} of ${to - from}`);
  assert.deepEqual([await text('total'), await text('total-words')], [total, words]);
  assert.match(await page.locator('#timeline-canvas').getAttribute('aria-label'), /; shown from [\d.]+ m?s to [\d.]+ m?s$/);
  // The button has become the other, which has the focus.
  assert.equal(await page.evaluate(() => document.activeElement.id), 'plot-out');
  assert.equal(await seen('plot-window'), false);
  const middle = await secondsAt(0.5);
  assert.ok(middle > from && middle < to, `${from} ${middle} ${to}`);
  // A link leads to the same.
  const link = await page.evaluate(() => window.location.hash);
  await open(link);
  assert.deepEqual(await shown(), [left, right]);
  assert.equal(await text('total'), total);
  await page.locator('#plot-out').click();
  assert.equal(await shown(), null);
  assert.deepEqual(await chosen(), [from, to]);
  await page.goBack();
  await page.waitForFunction(() => window.location.hash.includes('plot='));
  assert.equal(await seen('plot-out'), true);
});

check('a click and a drag choose what is under them, and the keys what is near', async () => {
  await open();
  await drag(0.4, 0.7);
  await page.locator('#plot-window').click();
  const [left, right] = await shown();
  await page.mouse.click(...await at(0.25));
  await page.waitForFunction(() => window.location.hash.includes('at='));
  const instant = Number(/at=([\d.]+)/.exec(await address())[1]);
  const wanted = left + 0.25 * (right - left);
  // The run has 200 parts with two instants each.
  assert.ok(Math.abs(instant - wanted) < (right - left) / 10, `${instant} for ${wanted}`);
  assert.deepEqual(await shown(), [left, right]);
  // The instant goes out of sight, and the plot after it.
  await page.locator('#timeline-canvas').focus();
  await page.keyboard.press('Home');
  const [start, end] = await shownAfter([left, right]);
  assert.ok(start < left && Math.abs(end - start - (right - left)) < 1e-6, `${start} ${end}`);
  await page.keyboard.press('Escape');
  assert.ok(await shown());
  await page.keyboard.press('Escape');
  assert.equal(await address(), '');
});

check('keys and wheel go nearer and away, and a double click shows all', async () => {
  await open();
  await drag(0.2, 0.8);
  const window = await chosen();
  await page.locator('#graph').focus();
  await page.keyboard.press('z');
  const first = await shown();
  assert.ok(first[1] - first[0] < 1.13 * (window[1] - window[0]));
  await page.keyboard.press('+');
  const second = await shownAfter(first);
  assert.ok(Math.abs(second[1] - second[0] - (first[1] - first[0]) / 2) < 1e-6, `${second} of ${first}`);
  await page.keyboard.press('-');
  const third = await shownAfter(second);
  assert.ok(Math.abs(third[0] - first[0]) < 1e-6 && Math.abs(third[1] - first[1]) < 1e-6, `${third} ${first}`);
  // The wheel: what is under the mouse stays there.
  const before = await secondsAt(0.3);
  await page.keyboard.down('Control');
  await page.mouse.wheel(0, -300);
  await page.keyboard.up('Control');
  const fourth = await shownAfter(third);
  const nearer = (third[1] - third[0]) / (fourth[1] - fourth[0]);
  assert.ok(nearer > 2.7 && nearer < 2.8, `${nearer}`);
  const after = await secondsAt(0.3);
  assert.ok(Math.abs(before - after) < (third[1] - third[0]) / 20, `${before} ${after}`);
  // Moved by the wheel with Shift.
  await page.mouse.wheel(80, 0);
  const fifth = await shownAfter(fourth);
  assert.ok(fifth[0] > fourth[0] && Math.abs(fifth[1] - fifth[0] - fourth[1] + fourth[0]) < 1e-6, `${fifth} ${fourth}`);
  // What was chosen stays.
  await page.mouse.dblclick(...await at(0.5));
  assert.equal(await shown(), null);
  assert.deepEqual(await chosen(), window);
});

check('where a window can end is seen when the plot is zoomed', async () => {
  await open();
  /** Columns of the plot in which there is anything below its foot but above the words. */
  const ticks = () => page.evaluate(async () => {
    await new Promise((done) => { requestAnimationFrame(() => requestAnimationFrame(done)); });
    const canvas = document.getElementById('timeline-canvas');
    const ratio = canvas.width / canvas.clientWidth;
    const y = Math.round((canvas.clientHeight - 22 + 2.5) * ratio);
    // Of a copy: the plot itself is not for reading.
    const copy = new OffscreenCanvas(canvas.width, canvas.height).getContext('2d', { willReadFrequently: true });
    copy.drawImage(canvas, 0, 0);
    const { data } = copy.getImageData(Math.round(74 * ratio), y, canvas.width - Math.round(94 * ratio), 1);
    let found = 0;
    for (let i = 4; i < data.length; i += 4) if (data[i + 3] > 60 && data[i - 1] <= 60) found += 1;
    return found;
  });
  // Marks and censuses are dots at the foot: there are none in this run.
  assert.equal(await ticks(), 0);
  await drag(0.5, 0.6);
  await page.locator('#plot-window').click();
  await page.mouse.move(5, 5);
  // A tenth of all: most of them are at regular times.
  const expected = JSON.parse(dataOf(readFileSync(file, 'utf8'))).course.instants.nanos.length / 10;
  const count = await ticks();
  assert.ok(expected > 50 && Math.abs(count - expected) < expected / 3, `${count} ticks`);
});

check('a page that knows no instants can be zoomed too', async () => {
  const html = readFileSync(file, 'utf8');
  const data = JSON.parse(dataOf(html));
  const bare = join(mkdtempSync(join(tmpdir(), 'heaptide-page-')), 'bare.html');
  writeFileSync(bare, withData(html, JSON.stringify({ ...data, course: null })));
  await open('', bare);
  assert.equal(await page.locator('#timeline-canvas').getAttribute('role'), 'img');
  await page.keyboard.press('+');
  await page.waitForFunction(() => window.location.hash.includes('plot='));
  const [from, to] = await shown();
  // Around the peak.
  assert.ok(from <= data.peak_at_seconds && to >= data.peak_at_seconds, `${from} ${data.peak_at_seconds} ${to}`);
  assert.equal(await seen('plot-window'), false);
  await page.locator('#plot-out').focus();
  await page.keyboard.press('Enter');
  assert.equal(await shown(), null);
  assert.equal(await page.evaluate(() => document.activeElement.id), 'timeline-canvas');
});
