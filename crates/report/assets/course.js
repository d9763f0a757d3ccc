// @ts-check
// The course of a run: what each cell had at any instant between its parts, and in any window between two of them.
// Adds up what crates/analyze/src/course.rs has listed. Pure.
//
// Part p lies between instants p and p + 1. A *point* is what a reader can choose: instant i is point 2i, the highest
// instant of part p is point 2p + 1. So points are in the order of time.

/**
 * @typedef {{cell: Int32Array, born: Int32Array, died: Int32Array, bytes: Float64Array, counts: Float64Array}} Lives
 * @typedef {{cell: Int32Array, part: Int32Array, bytes: Float64Array, counts: Float64Array}} Flows
 * @typedef {object} Course
 * @property {number} parts
 * @property {Float64Array} nanos  of the instants: one more than there are parts
 * @property {Float64Array} live  bytes of all cells at them
 * @property {Int32Array} mark  index of the mark at an instant, −1: none
 * @property {Float64Array} peakNanos  of the highest instant of each part
 * @property {Float64Array} peakBytes
 * @property {Lives} lives
 * @property {Lives} late  what of them was temporary
 * @property {Flows} flows
 * @property {Flows} brief  what of them was temporary and went in the same part
 * @property {Flows} peaks  signed: at the highest instant less at the beginning of its part
 * @property {{cell: Int32Array, born: Int32Array, bytes: Float64Array, counts: Float64Array}} leaked
 *
 * @typedef {import('./data.js').Amounts} Amounts
 * @typedef {import('./data.js').Page} Page
 * @typedef {{point: number} | {from: number, to: number} | null} Span  a point, a window from one instant to a later one, or all
 */

/** @param {number} cells @returns {Amounts} */
function nothing(cells) {
  return { bytes: new Float64Array(cells), counts: new Float64Array(cells) };
}

/**
 * @param {Amounts} sums
 * @param {{cell: Int32Array, bytes: Float64Array, counts: Float64Array}} rows
 * @param {(row: number) => boolean} wanted
 */
function addRows(sums, rows, wanted) {
  const { cell, bytes, counts } = rows;
  for (let r = 0; r < cell.length; r++) {
    if (!wanted(r)) continue;
    sums.bytes[cell[r]] += bytes[r];
    sums.counts[cell[r]] += counts[r];
  }
}

/**
 * What was live at an instant.
 * @param {Course} course
 * @param {number} cells  how many there are
 * @param {number} instant
 * @returns {Amounts} one per cell
 */
export function liveAt(course, cells, instant) {
  const sums = nothing(cells);
  // The longest list of all, at every step of the reader: not by `addRows`, which asks for each row.
  const { cell, born, died, bytes, counts } = course.lives;
  for (let r = 0; r < cell.length; r++) {
    if (born[r] >= instant || instant > died[r]) continue;
    sums.bytes[cell[r]] += bytes[r];
    sums.counts[cell[r]] += counts[r];
  }
  return sums;
}

/**
 * What was live at a point.
 * @param {Course} course
 * @param {number} cells
 * @param {number} point
 * @returns {Amounts}
 */
export function liveAtPoint(course, cells, point) {
  const sums = liveAt(course, cells, point >> 1);
  const { part } = course.peaks;
  if (point & 1) addRows(sums, course.peaks, (r) => part[r] === point >> 1);
  return sums;
}

/**
 * The part of a window in which most was live; the first if there are several.
 * @param {Course} course
 * @param {number} from  instant
 * @param {number} to  a later one
 */
export function highestPart(course, from, to) {
  let highest = from;
  for (let part = from; part < to; part++) if (course.peakBytes[part] > course.peakBytes[highest]) highest = part;
  return highest;
}

/** The metrics of a window, as the page names them. */
export const WINDOW_METRICS = [
  { key: 'peak', label: 'Peak' },
  { key: 'leaked', label: 'Kept' },
  { key: 'allocated', label: 'Allocated' },
  { key: 'temporary', label: 'Temporary' },
  { key: 'growth', label: 'Growth' },
];

/**
 * One metric of the window from one instant to a later one: what `heaptide … --from --to` says.
 * @param {Page} page  with a course
 * @param {string} key
 * @param {number} from
 * @param {number} to
 * @returns {{after: Amounts, before: Amounts | null}}
 */
export function windowMetric(page, key, from, to) {
  const course = /** @type {Course} */ (page.course);
  const cells = page.cells.length;
  if (key === 'peak') return { after: liveAtPoint(course, cells, 2 * highestPart(course, from, to) + 1), before: null };
  if (key === 'growth') return { after: liveAt(course, cells, to), before: liveAt(course, cells, from) };
  const sums = nothing(cells);
  const { lives, late, flows, brief, leaked } = course;
  if (key === 'allocated') {
    addRows(sums, flows, (r) => flows.part[r] >= from && flows.part[r] < to);
  } else if (key === 'temporary') {
    addRows(sums, brief, (r) => brief.part[r] >= from && brief.part[r] < to);
    addRows(sums, late, (r) => late.born[r] >= from && late.died[r] < to);
  } else {
    // What a program leaves counts from its end; what its interpreter's tearing down releases was left.
    const ended = endOfCells(page);
    addRows(sums, lives, (r) => lives.born[r] >= from && lives.born[r] < to && lives.died[r] >= to && ended[lives.cell[r]] >= to);
    addRows(sums, leaked, (r) => leaked.born[r] >= from && ended[leaked.cell[r]] >= from && ended[leaked.cell[r]] < to);
  }
  return { after: sums, before: null };
}

/**
 * The part in which the program of each cell ended; more than there are parts: it did not.
 * @param {Page} page
 * @returns {Int32Array}
 */
function endOfCells({ cells, threads, processes }) {
  const never = 0x7fffffff;
  return Int32Array.from(cells.thread, (thread) => processes.ended[threads.process[thread]] ?? never);
}

/**
 * Time of a point, in nanoseconds.
 * @param {Course} course
 * @param {number} point
 */
export function pointNanos(course, point) {
  return point & 1 ? course.peakNanos[point >> 1] : course.nanos[point >> 1];
}

/**
 * The point that is nearest to a time; of several the one with most live bytes.
 * @param {Course} course
 * @param {number} nanos
 */
export function nearestPoint(course, nanos) {
  let nearest = 0;
  const distance = (/** @type {number} */ point) => Math.abs(pointNanos(course, point) - nanos);
  const bytes = (/** @type {number} */ point) => (point & 1 ? course.peakBytes : course.live)[point >> 1];
  for (let point = 1; point <= 2 * course.parts; point++) {
    const closer = distance(point) - distance(nearest);
    if (closer < 0 || (closer === 0 && bytes(point) > bytes(nearest))) nearest = point;
  }
  return nearest;
}

/**
 * The instant between two parts that is nearest to a time.
 * @param {Course} course
 * @param {number} nanos
 */
export function nearestInstant(course, nanos) {
  let nearest = 0;
  for (let i = 1; i <= course.parts; i++) {
    if (Math.abs(course.nanos[i] - nanos) < Math.abs(course.nanos[nearest] - nanos)) nearest = i;
  }
  return nearest;
}

/**
 * The name of a point, as the command line takes it: "mark:loaded", else seconds. Several marks may be of one time.
 * @param {Page} page
 * @param {number} point
 * @returns {string}
 */
export function pointName({ course, marks }, point) {
  const mark = !course || point & 1 ? -1 : course.mark[point >> 1];
  if (mark < 0) return String(pointNanos(/** @type {Course} */ (course), point) / 1e9);
  const name = marks.name[mark];
  const before = marks.name.slice(0, mark).filter((other) => other === name).length;
  return before === 0 ? `mark:${name}` : `mark:${name}#${before + 1}`;
}

/**
 * The window from the first to the last of the marks; null if there are not two apart.
 * @param {Page} page  with a course
 * @returns {{from: string, to: string, words: string} | null} the names of its ends
 */
export function markedWindow(page) {
  const { mark } = /** @type {Course} */ (page.course);
  const marked = [...mark.keys()].filter((instant) => mark[instant] >= 0);
  if (marked.length < 2) return null;
  const [first, last] = [marked[0], marked[marked.length - 1]];
  const words = `from mark “${page.marks.name[mark[first]]}” to mark “${page.marks.name[mark[last]]}”`;
  return { from: pointName(page, 2 * first), to: pointName(page, 2 * last), words };
}

/**
 * The point of a name, −1 if there is none. By a time it is the nearest.
 * @param {Page} page
 * @param {string} name
 * @param {(course: Course, nanos: number) => number} nearest  point
 * @returns {number}
 */
function pointOf({ course, marks }, name, nearest) {
  if (course === null) return -1;
  if (/^\d+(\.\d+)?(e-?\d+)?$/.test(name)) return nearest(course, Number(name) * 1e9);
  if (!name.startsWith('mark:')) return -1;
  const called = name.slice('mark:'.length);
  const [, other, number] = /^(.*)#(\d+)$/s.exec(called) ?? ['', '', ''];
  let mark = marks.name.indexOf(called);
  for (let n = 0, i = 0; mark < 0 && i < marks.name.length; i++) if (marks.name[i] === other && ++n === Number(number)) mark = i;
  return mark < 0 ? -1 : 2 * course.mark.indexOf(mark);
}

/**
 * The span that two names mean; the same twice is a point, what makes no sense is all.
 * @param {Page} page
 * @param {{from: string, to: string}} look
 * @returns {Span}
 */
export function spanOf(page, { from, to }) {
  const { course } = page;
  if (course === null || course.parts === 0 || from === '' || to === '') return null;
  if (from === to) {
    const point = pointOf(page, from, nearestPoint);
    return point < 0 ? null : { point };
  }
  const instant = (/** @type {string} */ name) => pointOf(page, name, (of, nanos) => 2 * nearestInstant(of, nanos)) >> 1;
  let [a, b] = [instant(from), instant(to)].sort((p, q) => p - q);
  if (a < 0) return null;
  // A window is never empty.
  if (a === b) [a, b] = b < course.parts ? [a, b + 1] : [a - 1, b];
  return { from: a, to: b };
}

/**
 * Bytes of some cells at every point.
 * @param {Course} course
 * @param {Uint8Array} of  1 for the cells that are meant
 * @returns {Float64Array}
 */
export function bytesOverTime(course, of) {
  const { lives, peaks, parts } = course;
  // First the changes at each instant, then their sums.
  const changes = new Float64Array(parts + 2);
  for (let r = 0; r < lives.cell.length; r++) {
    if (!of[lives.cell[r]]) continue;
    changes[lives.born[r] + 1] += lives.bytes[r];
    changes[lives.died[r] + 1] -= lives.bytes[r];
  }
  const values = new Float64Array(2 * parts + 1);
  for (let i = 0, live = 0; i <= parts; i++) {
    live += changes[i];
    values[2 * i] = live;
    if (i < parts) values[2 * i + 1] = live;
  }
  for (let r = 0; r < peaks.cell.length; r++) if (of[peaks.cell[r]]) values[2 * peaks.part[r] + 1] += peaks.bytes[r];
  return values;
}
