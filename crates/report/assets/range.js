// @ts-check
// Which part of the time the plot shows, in seconds: all of it or less. Zooming and moving it; its place in the page's address. Pure.

/**
 * @typedef {{from: number, to: number}} Range  seconds, `from` before `to`
 * @typedef {import('./data.js').Timeline} Timeline
 */

/** Nothing shorter is shown, in seconds: the collector looks at the time no more often. */
const SHORTEST_RANGE = 0.001;
/** Beside a window that is zoomed to so much is left on both sides, as a share of it: its edges can be seen and dragged. */
const BESIDE = 0.06;

/**
 * All there is.
 * @param {Timeline} timeline  not empty
 * @returns {Range}
 */
export function wholeRange({ seconds, length }) {
  // Never nothing, not even at an instant so late that a nanosecond more is the same number.
  return { from: seconds[0], to: Math.max(seconds[length - 1], seconds[0] * (1 + 1e-12) + 1e-9) };
}

/**
 * The range that begins at or near `from` and is so long, within the whole.
 * @param {Range} whole
 * @param {number} from
 * @param {number} length
 * @returns {Range}
 */
export function rangeWithin(whole, from, length) {
  const all = whole.to - whole.from;
  // To the nanosecond, so that it can be written down.
  const rounded = (/** @type {number} */ seconds) => Number(seconds.toFixed(9));
  const long = Math.max(length, SHORTEST_RANGE);
  if (!(long < all)) return whole;
  const start = Math.min(Math.max(from, whole.from), whole.to - long);
  return { from: rounded(start), to: rounded(start + long) };
}

/**
 * Made longer or shorter, with one instant staying at its place.
 * @param {Range} whole
 * @param {Range} range
 * @param {number} times  2: twice as near
 * @param {number} at
 * @returns {Range}
 */
export function zoomedAt(whole, range, times, at) {
  const length = Math.max((range.to - range.from) / times, SHORTEST_RANGE);
  const place = (at - range.from) / (range.to - range.from);
  return rangeWithin(whole, at - place * length, length);
}

/**
 * A window with something beside it.
 * @param {Range} whole
 * @param {Range} window  perhaps without any length
 * @returns {Range}
 */
export function rangeAround(whole, { from, to }) {
  const length = Math.max((to - from) * (1 + 2 * BESIDE), SHORTEST_RANGE);
  return rangeWithin(whole, (from + to - length) / 2, length);
}

/**
 * Moved no further than needed for an instant to be well in sight.
 * @param {Range} whole
 * @param {Range} range
 * @param {number} at
 * @returns {Range}
 */
export function rangeWith(whole, range, at) {
  if (at >= range.from && at <= range.to) return range;
  const length = range.to - range.from;
  return rangeWithin(whole, at < range.from ? at - length * BESIDE : at - length * (1 - BESIDE), length);
}

/**
 * In an address: "1.5..2.25"; "" for the whole.
 * @param {Range} whole
 * @param {Range} range
 * @returns {string}
 */
export function rangeName(whole, range) {
  return range.from === whole.from && range.to === whole.to ? '' : `${range.from}..${range.to}`;
}

/**
 * What a name means; the whole if it makes no sense.
 * @param {Range} whole
 * @param {string} name
 * @returns {Range}
 */
export function rangeNamed(whole, name) {
  const number = '(\\d+(?:\\.\\d+)?(?:e-\\d+)?)';
  const found = new RegExp(`^${number}\\.\\.${number}$`).exec(name);
  if (!found) return whole;
  const [from, to] = [Number(found[1]), Number(found[2])];
  return from < to && from < whole.to && to > whole.from ? rangeWithin(whole, from, to - from) : whole;
}
