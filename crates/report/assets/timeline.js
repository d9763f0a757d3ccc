// @ts-check
// The geometry of the plot of live bytes and RSS over time. Pure; what is drawn by it is time_shapes.js's.

import { wholeRange } from './range.js';
import { clockTime, instantWords } from './words.js';

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
  const clock = [30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14_400, 43_200, 86_400];
  const steps = least > 20 ? clock : [1, 2, 5, 10].map((step) => step * ten);
  const step = steps.find((s) => s >= least) ?? Math.ceil(least / 86_400) * 86_400;
  const ticks = [];
  // Multiplied, not added up: 0.1 + 0.1 + 0.1 is not 0.3.
  for (let i = Math.ceil(from / step); i * step <= to; i++) ticks.push(Number((i * step).toPrecision(12)));
  return ticks;
}

/**
 * Round instants of a scale with the words below them: as many as fit, each told from its neighbours.
 * @param {Scale} scale
 * @param {number} started  seconds since 1970: the words are times of day, and round are they; 0: times since the start
 * @param {(text: string) => number} widthOf
 * @returns {{seconds: number, text: string}[]}
 */
export function tickWords(scale, started, widthOf) {
  const { from, to, left, right } = scale;
  const midnight = started > 0 ? started - new Date(started * 1000).setHours(0, 0, 0, 0) / 1000 : 0;
  for (let most = (right - left) / 110; ; most /= 1.5) {
    const ticks = timelineTicks(from + midnight, to + midnight, most).map((seconds) => seconds - midnight);
    const step = ticks.length > 1 ? ticks[1] - ticks[0] : to - from;
    const words = ticks.map((seconds) => ({ seconds, text: started > 0 ? clockTime(started, seconds, step) : instantWords(seconds, step) }));
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
