// @ts-check
// The plot of live bytes and RSS over time as shapes: for the page and, with a title and a key, for a picture of its own. Pure.

import { wholeRange } from './range.js';
import { fittedText } from './shapes.js';
import { pointsIn, tickWords, timelineScale, timelineShape } from './timeline.js';
import { bytesBeside } from './words.js';

/**
 * @typedef {import('./timeline.js').Scale} Scale
 * @typedef {import('./shapes.js').Shape} Shape
 * @typedef {(name: string) => string} Css  variable of the style → its value
 * @typedef {(text: string) => number} Measure  width in pixels
 *
 * @typedef {object} TimePicture
 * @property {import('./data.js').Timeline} timeline
 * @property {import('./range.js').Range} range  what is shown of it
 * @property {{from: number, to: number} | null} span  seconds: the part of the run that the page is of, null: all
 * @property {Iterable<number>} steps  nanoseconds: where a window can begin or end, to be seen as ticks; none where they would be too many
 * @property {number} started  seconds since 1970, for an axis with the time of day; 0: one with the time since the start
 * @property {number | null} peakAt  seconds
 * @property {{seconds: number[], name: string[]}} marks
 * @property {number[]} censuses  seconds
 * @property {{from: number, to: number} | null} chosen  nanoseconds, the same twice: an instant
 * @property {number | null} highest  nanoseconds: what of a window is shown, if that is its highest instant
 */

/** Height of the font. */
export const PLOT_FONT = 11;
/** Height of the title above a picture of the plot. */
const TITLE_HEIGHT = 26;

/**
 * What of an instant is where.
 * @param {TimePicture} picture
 * @param {Scale} scale
 */
function placesOf({ timeline }, scale) {
  const perSecond = (scale.right - scale.left) / (scale.to - scale.from);
  // Of what lies before the first sample or behind the last the whole plot shows that it is there.
  const whole = wholeRange(timeline);
  return {
    perSecond,
    xOf: (/** @type {number} */ s) => Math.min(scale.right, Math.max(scale.left, scale.left + (s - scale.from) * perSecond)),
    inSight: (/** @type {number} */ s) => (s >= scale.from || scale.from === whole.from) && (s <= scale.to || scale.to === whole.to),
  };
}

/**
 * @param {TimePicture} picture
 * @param {number} width
 * @param {number} height
 * @param {Css} css
 * @param {Measure} measure
 * @returns {Shape[]} what is in front behind the rest
 */
export function timeShapes(picture, width, height, css, measure) {
  const { timeline, range, span, steps, peakAt, marks, censuses, chosen, highest } = picture;
  const scale = timelineScale(timeline, width, height, range);
  const { y0, y1 } = scale;
  const { xOf, inSight } = placesOf(picture, scale);
  const upright = (/** @type {number} */ x, /** @type {number} */ from, /** @type {number} */ to) => [{ x, y: from }, { x, y: to }];
  const shapes = axisShapes(scale, picture.started, css, measure);
  const [live, rss] = [timeline.live, timeline.rss].map((values) => clipped(timelineShape(timeline, values, scale), scale));
  if (live.length > 0) {
    const ends = [{ x: live[live.length - 1].x, y: y0 }, { x: live[0].x, y: y0 }];
    shapes.push({ line: [...live, ...ends], fill: css('--live'), opacity: 0.15 });
    shapes.push({ line: live, stroke: css('--live'), thickness: 1.75, title: 'Live bytes' });
    if (hasRss(timeline)) shapes.push({ line: rss, stroke: css('--rss'), thickness: 1.25, dash: [4, 3], title: 'RSS' });
  }
  for (const at of steps) if (at / 1e9 >= scale.from && at / 1e9 <= scale.to) shapes.push({ line: upright(xOf(at / 1e9), y0, y0 + 4), stroke: css('--faint') });
  for (const at of censuses.filter(inSight)) shapes.push({ disc: { x: xOf(at), y: y0, radius: 3 }, fill: css('--soft'), title: 'Census' });
  marks.seconds.forEach((at, i) => {
    if (inSight(at)) shapes.push({ line: upright(xOf(at), y0, y1), stroke: css('--mark'), dash: [2, 2], title: `Mark “${marks.name[i]}”` });
  });
  if (peakAt !== null && inSight(peakAt)) shapes.push(...peakShapes(xOf(peakAt), scale, css));
  const window = chosen !== null && chosen.from < chosen.to ? { from: chosen.from / 1e9, to: chosen.to / 1e9 } : span;
  if (window !== null && window.from < window.to) {
    // What is not in a window is faded.
    for (const [from, to] of [[scale.left, xOf(window.from)], [xOf(window.to), scale.right]]) {
      if (from < to) shapes.push({ box: { x: from, y: y1 - 6, width: to - from, height: y0 - y1 + 6, corner: 0 }, fill: css('--panel'), opacity: 0.65 });
    }
  }
  if (chosen !== null) {
    // An instant, or an end of a window, as a line that can be held.
    for (const at of new Set([chosen.from / 1e9, chosen.to / 1e9])) {
      if (!inSight(at)) continue;
      shapes.push({ line: upright(xOf(at), y0, y1 - 6), stroke: css('--accent'), thickness: 2 });
      shapes.push({ box: { x: xOf(at) - 4, y: (y0 + y1) / 2 - 9, width: 8, height: 18, corner: 3 }, fill: css('--accent') });
    }
  }
  if (highest !== null && inSight(highest / 1e9)) shapes.push(...peakShapes(xOf(highest / 1e9), scale, css));
  return shapes;
}

/**
 * The point of the timeline under the mouse.
 * @param {TimePicture} picture
 * @param {number} width
 * @param {number} height
 * @param {number} pointer  its x; −1: not here
 * @returns {{point: number, x: number, scale: Scale} | null}
 */
export function pointUnder(picture, width, height, pointer) {
  const { seconds } = picture.timeline;
  const scale = timelineScale(picture.timeline, width, height, picture.range);
  if (pointer < scale.left || pointer > scale.right) return null;
  const { perSecond, xOf, inSight } = placesOf(picture, scale);
  const at = scale.from + (pointer - scale.left) / perSecond;
  let near = -1;
  const [first, end] = pointsIn(seconds, scale);
  for (let i = first; i < end; i++) {
    if (inSight(seconds[i]) && (near < 0 || Math.abs(seconds[i] - at) < Math.abs(seconds[near] - at))) near = i;
  }
  return near < 0 ? null : { point: near, x: xOf(seconds[near]), scale };
}

/**
 * The plot with all that is needed to understand it elsewhere: above it a title, what is chosen and what the lines mean, in it the
 * names of the marks.
 * @param {TimePicture} picture
 * @param {{title: string, chosen: string, peak: string}} words  `peak`: what its mark says; "" without
 * @param {number} width
 * @param {number} height
 * @param {Css} css
 * @param {Measure} measure
 * @returns {Shape[]}
 */
export function timePictureShapes(picture, words, width, height, css, measure) {
  const scale = timelineScale(picture.timeline, width, height - TITLE_HEIGHT, picture.range);
  const { left, right, y1 } = scale;
  /** @type {Shape[]} */
  const shapes = [...timeShapes(picture, width, height - TITLE_HEIGHT, css, measure), ...markNames(picture, scale, css, measure)];
  /** @type {{words: string, color: string, sample: Partial<Shape>}[]} */
  const key = [{ words: 'Live bytes', color: '--soft', sample: { stroke: css('--live'), thickness: 2 } }];
  if (hasRss(picture.timeline)) key.push({ words: 'RSS', color: '--soft', sample: { stroke: css('--rss'), thickness: 2, dash: [4, 3] } });
  if (words.peak) key.push({ words: words.peak, color: '--peak', sample: { stroke: css('--peak'), thickness: 2 } });
  let x = right;
  for (const { words: text, color, sample } of key.reverse()) {
    x -= measure(text);
    shapes.push({ text: { x, y: y1 - 12, words: text, anchor: 'start' }, fill: css(color) });
    x -= 20;
    shapes.push({ line: [{ x, y: y1 - 16 }, { x: x + 14, y: y1 - 16 }], ...sample });
    x -= 14;
  }
  shapes.push({ text: { x: left, y: y1 - 12, words: fittedText(words.chosen, x - left, measure), anchor: 'start' }, fill: css('--accent') });
  const moved = shapes.map((shape) => lower(shape, TITLE_HEIGHT));
  const title = fittedText(words.title, width - 20, measure);
  return [
    { box: { x: 0, y: 0, width, height, corner: 0 }, fill: css('--panel') },
    { text: { x: 10, y: 20, words: title, anchor: 'start' }, fill: css('--ink') }, ...moved,
  ];
}

/** @param {import('./data.js').Timeline} timeline */
export function hasRss({ rss }) {
  return rss.some((bytes) => bytes > 0);
}

/**
 * The part of a line within the plot.
 * @param {{x: number, y: number}[]} points  from left to right
 * @param {Scale} scale
 */
function clipped(points, { left, right }) {
  /** @type {{x: number, y: number}[]} */
  const within = [];
  points.forEach((point, i) => {
    const last = points[i - 1];
    for (const x of [left, right]) {
      if (last && last.x < x && point.x > x) within.push({ x, y: last.y + ((point.y - last.y) * (x - last.x)) / (point.x - last.x) });
    }
    if (point.x >= left && point.x <= right) within.push(point);
  });
  return within;
}

/**
 * The names of the marks beside them, as far as there is room.
 * @param {TimePicture} picture
 * @param {Scale} scale
 * @param {Css} css
 * @param {Measure} measure
 * @returns {Shape[]}
 */
function markNames(picture, scale, css, measure) {
  const { seconds, name } = picture.marks;
  const { xOf, inSight } = placesOf(picture, scale);
  const order = seconds.map((_, i) => i).filter((i) => inSight(seconds[i])).sort((a, b) => seconds[a] - seconds[b]);
  let taken = scale.left;
  return order.flatMap((i, nth) => {
    const x = xOf(seconds[i]);
    const end = nth + 1 < order.length ? xOf(seconds[order[nth + 1]]) : scale.right;
    const right = fittedText(name[i], end - x - 8, measure);
    // Before the line if it does not fit behind it.
    const left = right === name[i] ? '' : fittedText(name[i], x - 8 - taken, measure);
    const isLeft = left.length > right.length;
    const words = isLeft ? left : right;
    taken = isLeft ? x : x + 4 + measure(words);
    return words ? [{ text: { x: isLeft ? x - 4 : x + 4, y: scale.y1 + PLOT_FONT, words, anchor: isLeft ? /** @type {const} */ ('end') : /** @type {const} */ ('start') }, fill: css('--mark') }] : [];
  });
}

/**
 * @param {Shape} shape
 * @param {number} by
 * @returns {Shape}
 */
function lower(shape, by) {
  const down = (/** @type {any} */ place) => place && { ...place, y: place.y + by };
  return { ...shape, line: shape.line?.map(down), disc: down(shape.disc), box: down(shape.box), text: down(shape.text) };
}

/**
 * @param {Scale} scale
 * @param {number} started  as in TimePicture
 * @param {Css} css
 * @param {Measure} measure
 * @returns {Shape[]}
 */
function axisShapes(scale, started, css, measure) {
  const { left, right, y0, y1 } = scale;
  /** @type {Shape[]} */
  const shapes = [];
  for (const part of [0, 0.5, 1]) {
    const y = y0 - (y0 - y1) * part;
    shapes.push({ line: [{ x: left, y }, { x: right, y }], stroke: css('--line') });
    shapes.push({ text: { x: left - 8, y: y + 4, words: part === 0 ? '0' : bytesBeside(scale.top * part, scale.top), anchor: 'end' }, fill: css('--soft') });
  }
  for (const { seconds, text } of tickWords(scale, started, measure)) {
    const x = left + ((right - left) * (seconds - scale.from)) / (scale.to - scale.from);
    const half = measure(text) / 2;
    const anchor = x < left + half ? 'start' : x > right - half ? 'end' : 'middle';
    shapes.push({ text: { x, y: y0 + 16, words: text, anchor }, fill: css('--soft') });
  }
  return shapes;
}

/**
 * @param {number} x
 * @param {Scale} scale
 * @param {Css} css
 * @returns {Shape[]}
 */
function peakShapes(x, { y0, y1 }, css) {
  return [
    { line: [{ x, y: y0 }, { x, y: y1 - 2 }], stroke: css('--peak'), thickness: 1.5 },
    { line: [{ x: x - 4, y: y1 - 4 }, { x: x + 4, y: y1 - 4 }, { x, y: y1 + 2 }], fill: css('--peak') },
  ];
}
