// The plot of memory over time as shapes, and these as SVG, without a browser.
//
//     node --test time_shapes.test.js

import assert from 'node:assert/strict';
import test from 'node:test';
import { load } from './made.js';

const { fittedText, paintShapes, shapesToSvg } = await load('shapes.js');
const { pointUnder, timePictureShapes, timeShapes } = await load('time_shapes.js');
const { timeAbout, timeRecords, toJson } = await load('records.js');

/** Live 0, 1000, 500 at 0, 1, 2 s: with a width of 282 there are 100 pixels a second from x = 68, with a height of 150 it is 0 at y = 128
 * and 1000 at y = 28. */
const timeline = { seconds: Float64Array.of(0, 1, 2), live: Float64Array.of(0, 1000, 500), rss: Float64Array.of(0, 0, 0), length: 3 };
const picture = (change) => ({
  timeline, range: { from: 0, to: 2 }, span: null, steps: [], peakAt: 1, marks: { seconds: [], name: [] }, censuses: [], chosen: null, highest: null, ...change,
});
const css = (name) => name;
const measure = (text) => text.length * 6;
const shapes = (change) => timeShapes(picture(change), 282, 150, css, measure);
const stroked = (all, color) => all.filter(({ stroke }) => stroke === color).map(({ line }) => line.map(({ x, y }) => [x, y]));

test('live bytes are a line from left to right, with what is below it', () => {
  const all = shapes({});
  assert.deepEqual(stroked(all, '--live'), [[[68, 128], [168, 28], [268, 78]]]);
  const below = all.find(({ fill }) => fill === '--live');
  assert.deepEqual(below.line.map(({ x, y }) => [x, y]), [[68, 128], [168, 28], [268, 78], [268, 128], [68, 128]]);
  // The peak is at one second; RSS was not measured.
  assert.deepEqual(stroked(all, '--peak'), [[[168, 128], [168, 26]]]);
  assert.deepEqual(stroked(all, '--rss'), []);
  assert.deepEqual(all.filter(({ text }) => text?.anchor === 'end').map(({ text }) => text.words), ['0', '500 B', '1000 B', '2 s']);
});

test('RSS is dashed, where it was measured', () => {
  const [rss] = shapes({ timeline: { ...timeline, rss: Float64Array.of(250, 750, 0) } }).filter(({ stroke }) => stroke === '--rss');
  assert.deepEqual([rss.line.map(({ y }) => y), rss.dash], [[103, 53, 128], [4, 3]]);
});

test('of a line that leaves the plot the part within is drawn', () => {
  // From 0.5 to 1.5 s: 200 pixels a second; 500 at the left edge and 750 at the right.
  const all = shapes({ range: { from: 0.5, to: 1.5 } });
  assert.deepEqual(stroked(all, '--live'), [[[68, 78], [168, 28], [268, 53]]]);
  assert.deepEqual(stroked(shapes({ range: { from: 1.5, to: 2 } }), '--peak'), []);
});

test('a window has two edges, and what is beside it is faded; an instant is one', () => {
  const window = shapes({ chosen: { from: 0.5e9, to: 1.5e9 } });
  assert.deepEqual(stroked(window, '--accent'), [[[118, 128], [118, 22]], [[218, 128], [218, 22]]]);
  assert.deepEqual(window.filter(({ fill }) => fill === '--panel').map(({ box }) => [box.x, box.width]), [[68, 50], [218, 50]]);
  const instant = shapes({ chosen: { from: 1e9, to: 1e9 }, highest: 2e9 });
  assert.deepEqual(stroked(instant, '--accent'), [[[168, 128], [168, 22]]]);
  assert.deepEqual(stroked(instant, '--peak').map(([[x]]) => x), [168, 268]);
  assert.deepEqual(instant.filter(({ fill }) => fill === '--panel'), []);
  // The window that the page is of is faded likewise.
  assert.deepEqual(shapes({ span: { from: 0, to: 1 } }).filter(({ fill }) => fill === '--panel').map(({ box }) => [box.x, box.width]), [[168, 100]]);
});

test('marks, censuses and the steps of a window', () => {
  const all = shapes({ marks: { seconds: [0.25], name: ['loaded'] }, censuses: [1.75], steps: [0.5e9, 9e9] });
  assert.deepEqual(stroked(all, '--mark'), [[[93, 128], [93, 28]]]);
  assert.deepEqual(all.filter(({ disc }) => disc).map(({ disc, title }) => [disc.x, disc.y, title]), [[243, 128, 'Census']]);
  assert.deepEqual(stroked(all, '--faint'), [[[118, 128], [118, 132]]]);
});

test('the point under the mouse is the nearest that is in sight', () => {
  assert.deepEqual([130, 217, 219].map((x) => pointUnder(picture({}), 282, 150, x).point), [1, 1, 2]);
  assert.equal(pointUnder(picture({}), 282, 150, 20), null);
  assert.equal(pointUnder(picture({}), 282, 150, -1), null);
  assert.equal(pointUnder(picture({}), 282, 150, 168).x, 168);
  // The point at 0 s is nearer, but out of sight.
  assert.equal(pointUnder(picture({ range: { from: 0.1, to: 2 } }), 282, 150, 70).point, 1);
});

test('a picture of its own has a title, a key, and the names of the marks as far as there is room', () => {
  const marks = { seconds: [1.5, 0.25, 1.25], name: ['the last of the marks', 'loaded', 'a long name between two'] };
  const words = { title: 'heaptide: job.py: memory over time', chosen: 'From 1 s to 2 s', peak: 'Peak at 1 s' };
  const all = timePictureShapes(picture({ marks }), words, 682, 176, css, measure);
  assert.deepEqual(all[0], { box: { x: 0, y: 0, width: 682, height: 176, corner: 0 }, fill: '--panel' });
  const texts = all.filter(({ text }) => text).map(({ text }) => text.words);
  for (const wanted of ['heaptide: job.py: memory over time', 'From 1 s to 2 s', 'Live bytes', 'Peak at 1 s', 'loaded', 'the last of the marks', 'a long name between two']) {
    assert.ok(texts.includes(wanted), `${wanted}: ${texts}`);
  }
  // At the end of the plot there is room before the line alone.
  const last = timePictureShapes(picture({ marks: { seconds: [1.99, 0.1], name: ['done', 'b'] } }), words, 682, 176, css, measure).filter(({ text }) => ['done', 'b'].includes(text?.words));
  assert.deepEqual(last.map(({ text }) => [text.words, text.anchor, text.x]), [['b', 'start', 102], ['done', 'end', 661]]);
  const close = timePictureShapes(picture({ marks: { seconds: [0, 0.1], name: ['a long name', 'z'] } }), words, 682, 176, css, measure);
  assert.ok(close.some(({ text }) => text?.words === 'a …'), 'cut where there is no room on either side');
  // All of the plot is below the title.
  assert.deepEqual(stroked(all, '--live')[0], [[68, 154], [368, 54], [668, 104]]);
  // Where there is no room there is no text beside the picture.
  const narrow = timePictureShapes(picture({}), { ...words, title: 'x'.repeat(5000) }, 282, 176, css, measure);
  const [title] = narrow.filter(({ text }) => text?.words.startsWith('xx'));
  assert.equal(title.text.words, `${'x'.repeat(42)}…`);
});

test('texts are cut where there is no room', () => {
  assert.equal(fittedText('warm', 24, measure), 'warm');
  assert.equal(fittedText('warmer', 35, measure), 'warm…');
  assert.equal(fittedText('warmer', 12, measure), '');
  assert.equal(fittedText('warmer', -5, measure), '');
  assert.equal(fittedText('', 0, measure), '');
});

test('shapes are written as SVG, names stay text', () => {
  const svg = shapesToSvg([
    { line: [{ x: 1.006, y: 2 }, { x: 3, y: 4 }], stroke: 'red', thickness: 2, dash: [4, 3], title: 'a "<b>" & c' },
    { disc: { x: 5, y: 6, radius: 3 }, fill: 'blue', opacity: 0.5 },
    { box: { x: 0, y: 0, width: 9, height: 8, corner: 3 }, fill: 'blue' },
    { text: { x: 7, y: 8, words: '</text><script>', anchor: 'middle' }, fill: 'black' },
  ], { width: 100, height: 50, title: '<t>', namespace: 'urn:svg', font: '"Segoe UI", sans-serif', size: 11 });
  assert.equal(svg, [
    '<svg xmlns="urn:svg" width="100" height="50" viewBox="0 0 100 50" font-family="&quot;Segoe UI&quot;, sans-serif" font-size="11">',
    '<title>&lt;t&gt;</title>',
    '<path d="M1.01 2L3 4" fill="none" stroke="red" stroke-width="2" stroke-dasharray="4 3"><title>a &quot;&lt;b&gt;&quot; &amp; c</title></path>',
    '<circle cx="5" cy="6" r="3" fill="blue" opacity="0.5"></circle>',
    '<rect x="0" y="0" width="9" height="8" rx="3" fill="blue"></rect>',
    '<text x="7" y="8" text-anchor="middle" xml:space="preserve" fill="black">&lt;/text&gt;&lt;script&gt;</text>',
    '</svg>', '',
  ].join('\n'));
});

test('the canvas is told the same', () => {
  const told = [];
  const context = new Proxy({}, {
    get: (_, name) => (...values) => told.push([name, ...values]),
    set: (_, name, value) => { told.push([name, value]); return true; },
  });
  paintShapes(context, [{ line: [{ x: 1, y: 2 }, { x: 3, y: 4 }], stroke: 'red', dash: [4, 3] }, { text: { x: 7, y: 8, words: 'w', anchor: 'middle' }, fill: 'black' }]);
  const wanted = [['lineTo', 1, 2], ['lineTo', 3, 4], ['strokeStyle', 'red'], ['lineWidth', 1], ['setLineDash', [4, 3]], ['stroke'], ['textAlign', 'center'], ['fillText', 'w', 7, 8]];
  assert.deepEqual(told.filter(([name, ...values]) => wanted.some((call) => JSON.stringify(call) === JSON.stringify([name, ...values]))), wanted);
  assert.ok(!told.some(([name]) => name === 'fill'), 'nothing is filled that has no colour to be filled with');
  // What comes after it is drawn as if nothing had been.
  assert.deepEqual(told.slice(-2), [['globalAlpha', 1], ['setLineDash', []]]);
});

test('memory over time as JSON has what is known beside its rows', () => {
  const about = timeAbout({ title: 'job', startedUnix: 1_700_000_000, peakAt: 1, span: { from: 0, to: 2 }, marks: { seconds: [0.25], name: ['loaded'] }, censuses: [1.75] });
  assert.deepEqual(JSON.parse(toJson(about, timeRecords(timeline))), {
    title: 'job', started_unix: 1_700_000_000, peak_at_seconds: 1, span: [0, 2], marks: [{ seconds: 0.25, name: 'loaded' }], censuses: [1.75],
    rows: [{ seconds: 0, live_bytes: 0, rss_bytes: 0 }, { seconds: 1, live_bytes: 1000, rss_bytes: 0 }, { seconds: 2, live_bytes: 500, rss_bytes: 0 }],
  });
});
