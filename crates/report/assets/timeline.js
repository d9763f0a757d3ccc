// @ts-check
// The small plot of live bytes and RSS over time. All pure but `drawTimeline` and its helpers.

import { prepareCanvas } from './draw.js';
import { wholeRange } from './range.js';
import { bytesBeside, instantWords } from './words.js';

/**
 * @typedef {import('./data.js').Timeline} Timeline
 * @typedef {{from: number, to: number, top: number, left: number, right: number, y0: number, y1: number}} Scale
 *   `from`, `to` in seconds, `top` in bytes, the rest in CSS pixels: x of both ends, y of zero and of `top`.
 */

/**
 * @param {Timeline} timeline  not empty
 * @param {number} width
 * @param {number} height
 * @param {import('./range.js').Range} [range]  what is shown of it
 * @returns {Scale}
 */
export function timelineScale(timeline, width, height, range = wholeRange(timeline)) {
  let most = 1;
  const [first, end] = pointsIn(timeline.seconds, range);
  for (let i = first; i < end; i++) most = Math.max(most, timeline.live[i], timeline.rss[i]);
  return {
    ...range,
    top: roundTop(most),
    left: 68,
    right: width - 14,
    y0: height - 22,
    y1: 28,
  };
}

/**
 * The points of a range, and one more at each side: lines lead to them.
 * @param {Float64Array} seconds  ascending
 * @param {import('./range.js').Range} range
 * @returns {[number, number]} the first, and the one behind the last
 */
export function pointsIn(seconds, { from, to }) {
  let first = 0;
  let end = seconds.length;
  while (first + 1 < end && seconds[first + 1] < from) first += 1;
  while (end - 2 > first && seconds[end - 2] > to) end -= 1;
  return [first, end];
}

/**
 * The next of 1, 1.5, 2, 3, 4, 6, 8 times a power of two and of ten that people know: 1.5 KiB, 200 MiB.
 * @param {number} bytes
 * @returns {number}
 */
export function roundTop(bytes) {
  let unit = 1;
  while (bytes / unit > 1024) unit *= 1024;
  const value = bytes / unit;
  const ten = 10 ** Math.floor(Math.log10(Math.max(1, value)));
  for (const step of [1, 1.2, 1.5, 2, 3, 4, 5, 6, 8, 10]) {
    if (step * ten >= value) return Math.min(step * ten, 1024) * unit;
  }
  return bytes;
}

/**
 * Round instants from `from` to `to`, at most `most` of them.
 * @param {number} from
 * @param {number} to
 * @param {number} most
 * @returns {number[]}
 */
export function timelineTicks(from, to, most) {
  const least = (to - from) / Math.max(1, most);
  const ten = 10 ** Math.floor(Math.log10(least));
  const clock = [60, 120, 300, 600, 900, 1800, 3600, 7200, 14_400, 43_200, 86_400];
  const steps = least > 30 ? clock : [1, 2, 5, 10].map((step) => step * ten);
  const step = steps.find((s) => s >= least) ?? Math.ceil(least / 86_400) * 86_400;
  const ticks = [];
  // Multiplied, not added up: 0.1 + 0.1 + 0.1 is not 0.3.
  for (let i = Math.ceil(from / step); i * step <= to; i++) ticks.push(Number((i * step).toPrecision(12)));
  return ticks;
}

/**
 * Round instants of a scale with the words below them: as many as fit, each told from its neighbours.
 * @param {Scale} scale
 * @param {(text: string) => number} widthOf
 * @returns {{seconds: number, text: string}[]}
 */
export function tickWords(scale, widthOf) {
  const { from, to, left, right } = scale;
  for (let most = (right - left) / 110; ; most /= 1.5) {
    const ticks = timelineTicks(from, to, most);
    const step = ticks.length > 1 ? ticks[1] - ticks[0] : to - from;
    const words = ticks.map((seconds) => ({ seconds, text: instantWords(seconds, step) }));
    const widest = words.reduce((width, { text }) => Math.max(width, widthOf(text)), 0);
    if (words.length < 3 || (step * (right - left)) / (to - from) > widest + 16) return words;
  }
}

/**
 * The highest value in each pixel column, as points to draw: a short peak among a million points is seen.
 * @param {Timeline} timeline
 * @param {Float64Array} values
 * @param {Scale} scale
 * @returns {{x: number, y: number}[]}
 */
export function timelineShape(timeline, values, scale) {
  const points = [];
  const perSecond = (scale.right - scale.left) / (scale.to - scale.from);
  const [first, end] = pointsIn(timeline.seconds, scale);
  for (let i = first; i < end; i++) {
    const x = scale.left + (timeline.seconds[i] - scale.from) * perSecond;
    const y = scale.y0 - ((scale.y0 - scale.y1) * values[i]) / scale.top;
    const last = points[points.length - 1];
    if (last && i < end - 1 && x - last.x < 0.5) last.y = Math.min(last.y, y);
    else points.push({ x, y });
  }
  return points;
}

/**
 * @typedef {object} TimePicture
 * @property {Timeline} timeline
 * @property {import('./range.js').Range} range  what is shown of it
 * @property {{from: number, to: number} | null} span  seconds: the part of the run that the page is of, null: all
 * @property {Iterable<number>} steps  nanoseconds: where a window can begin or end, to be seen as ticks; none where they would be too many
 * @property {number | null} peakAt  seconds
 * @property {number[]} marks  seconds
 * @property {number[]} censuses  seconds
 * @property {{from: number, to: number} | null} chosen  nanoseconds, the same twice: an instant
 * @property {number | null} highest  nanoseconds: what of a window is shown, if that is its highest instant
 */

/**
 * @param {HTMLCanvasElement} canvas
 * @param {TimePicture} picture
 * @param {number} pointer  x of the mouse, −1: not here
 * @param {(name: string) => string} style  CSS variable → value
 * @returns {number} the point of the timeline under the mouse, −1: none
 */
export function drawTimeline(canvas, { timeline, range, span, steps, peakAt, marks, censuses, chosen, highest }, pointer, style) {
  const [width, height] = [canvas.clientWidth, canvas.clientHeight];
  const context = prepareCanvas(canvas, width, height);
  const scale = timelineScale(timeline, width, height, range);
  context.font = `11px ${style('--sans')}`;
  context.lineWidth = 1;
  drawAxes(context, scale, style);
  const perSecond = (scale.right - scale.left) / (scale.to - scale.from);
  const xOf = (/** @type {number} */ s) => Math.min(scale.right, Math.max(scale.left, scale.left + (s - scale.from) * perSecond));
  // Of what lies before the first sample or behind the last the whole plot shows that it is there.
  const whole = wholeRange(timeline);
  const inSight = (/** @type {number} */ s) => (s >= scale.from || scale.from === whole.from) && (s <= scale.to || scale.to === whole.to);

  context.save();
  context.beginPath();
  context.rect(scale.left, 0, scale.right - scale.left, height);
  context.clip();
  const rss = timelineShape(timeline, timeline.rss, scale);
  const live = timelineShape(timeline, timeline.live, scale);
  context.beginPath();
  context.moveTo(live[0].x, scale.y0);
  for (const { x, y } of live) context.lineTo(x, y);
  context.lineTo(live[live.length - 1].x, scale.y0);
  context.fillStyle = style('--live-fill');
  context.fill();
  line(context, live, style('--live'), 1.75, []);
  if (timeline.rss.some((bytes) => bytes > 0)) line(context, rss, style('--rss'), 1.25, [4, 3]);
  context.restore();

  for (const at of steps) if (at / 1e9 >= scale.from && at / 1e9 <= scale.to) line(context, [{ x: xOf(at / 1e9), y: scale.y0 }, { x: xOf(at / 1e9), y: scale.y0 + 4 }], style('--faint'), 1, []);
  for (const at of censuses.filter(inSight)) {
    context.fillStyle = style('--soft');
    context.beginPath();
    context.arc(xOf(at), scale.y0, 3, 0, 7);
    context.fill();
  }
  for (const at of marks.filter(inSight)) line(context, [{ x: xOf(at), y: scale.y0 }, { x: xOf(at), y: scale.y1 }], style('--mark'), 1, [2, 2]);
  if (peakAt !== null && inSight(peakAt)) drawPeak(context, xOf(peakAt), scale, style);
  const window = chosen !== null && chosen.from < chosen.to ? { from: chosen.from / 1e9, to: chosen.to / 1e9 } : span;
  if (window !== null && window.from < window.to) drawFaded(context, [xOf(window.from), xOf(window.to)], scale, style);
  if (chosen !== null) {
    const [from, to] = [chosen.from / 1e9, chosen.to / 1e9];
    for (const at of from < to ? [from, to] : [from]) if (inSight(at)) drawHandle(context, xOf(at), scale, style);
  }
  if (highest !== null && inSight(highest / 1e9)) drawPeak(context, xOf(highest / 1e9), scale, style);

  if (pointer < scale.left || pointer > scale.right) return -1;
  const seconds = scale.from + (pointer - scale.left) / perSecond;
  let near = -1;
  const [first, end] = pointsIn(timeline.seconds, scale);
  for (let i = first; i < end; i++) {
    const distance = Math.abs(timeline.seconds[i] - seconds);
    if (inSight(timeline.seconds[i]) && (near < 0 || distance < Math.abs(timeline.seconds[near] - seconds))) near = i;
  }
  if (near < 0) return -1;
  const x = xOf(timeline.seconds[near]);
  line(context, [{ x, y: scale.y0 }, { x, y: scale.y1 }], style('--faint'), 1, []);
  return near;
}

/**
 * What is not in a window is faded.
 * @param {CanvasRenderingContext2D} context
 * @param {number[]} window  x of both ends
 * @param {Scale} scale
 * @param {(name: string) => string} style
 */
function drawFaded(context, [from, to], scale, style) {
  context.globalAlpha = 0.65;
  context.fillStyle = style('--panel');
  context.fillRect(scale.left, scale.y1 - 6, from - scale.left, scale.y0 - scale.y1 + 6);
  context.fillRect(to, scale.y1 - 6, scale.right - to, scale.y0 - scale.y1 + 6);
  context.globalAlpha = 1;
}

/**
 * An instant, or an end of a window, as a line that can be held.
 * @param {CanvasRenderingContext2D} context
 * @param {number} x
 * @param {Scale} scale
 * @param {(name: string) => string} style
 */
function drawHandle(context, x, scale, style) {
  line(context, [{ x, y: scale.y0 }, { x, y: scale.y1 - 6 }], style('--accent'), 2, []);
  context.fillStyle = style('--accent');
  context.beginPath();
  context.roundRect(x - 4, (scale.y0 + scale.y1) / 2 - 9, 8, 18, 3);
  context.fill();
}

/**
 * @param {CanvasRenderingContext2D} context
 * @param {Scale} scale
 * @param {(name: string) => string} style
 */
function drawAxes(context, scale, style) {
  context.textBaseline = 'middle';
  for (const part of [0, 0.5, 1]) {
    const y = scale.y0 - (scale.y0 - scale.y1) * part;
    line(context, [{ x: scale.left, y }, { x: scale.right, y }], style('--line'), 1, []);
    context.fillStyle = style('--soft');
    context.textAlign = 'right';
    context.fillText(part === 0 ? '0' : bytesBeside(scale.top * part, scale.top), scale.left - 8, y);
  }
  context.textBaseline = 'top';
  for (const { seconds, text } of tickWords(scale, (text) => context.measureText(text).width)) {
    const x = scale.left + ((scale.right - scale.left) * (seconds - scale.from)) / (scale.to - scale.from);
    const half = context.measureText(text).width / 2;
    context.textAlign = x < scale.left + half ? 'left' : x > scale.right - half ? 'right' : 'center';
    context.fillText(text, x, scale.y0 + 6);
  }
}

/**
 * @param {CanvasRenderingContext2D} context
 * @param {number} x
 * @param {Scale} scale
 * @param {(name: string) => string} style
 */
function drawPeak(context, x, scale, style) {
  line(context, [{ x, y: scale.y0 }, { x, y: scale.y1 - 2 }], style('--peak'), 1.5, []);
  context.fillStyle = style('--peak');
  context.beginPath();
  context.moveTo(x - 4, scale.y1 - 4);
  context.lineTo(x + 4, scale.y1 - 4);
  context.lineTo(x, scale.y1 + 2);
  context.fill();
}

/**
 * @param {CanvasRenderingContext2D} context
 * @param {{x: number, y: number}[]} points
 * @param {string} color
 * @param {number} thickness
 * @param {number[]} dash
 */
function line(context, points, color, thickness, dash) {
  context.beginPath();
  for (const { x, y } of points) context.lineTo(x, y);
  context.strokeStyle = color;
  context.lineWidth = thickness;
  context.setLineDash(dash);
  context.lineJoin = 'round';
  context.stroke();
  context.setLineDash([]);
}
