// @ts-check
// What the cells tell of one function and all it called: its size over time, and who asked for it. Pure.

import { bytesOverTime, pointNanos } from './course.js';
import { threadName } from './selection.js';

/** @typedef {import('./model.js').Model} Model */

/** The last answer of `cellsOf`, which is asked for twice at a time. @type {WeakMap<Model, {of: number, pass: Uint8Array | null, cells: Uint8Array}>} */
const lastCells = new WeakMap();

/**
 * What a function and all it called held at all points of the course, in bytes.
 * @param {Model} model
 * @param {number} frame  any of its frames
 * @returns {{values: Float64Array, times: Float64Array} | null} times in seconds; null: the data do not tell
 */
export function overTime(model, frame) {
  const { course } = model.page;
  if (course === null || course.parts < 2 || frame < 0) return null;
  const values = bytesOverTime(course, cellsOf(model, frame));
  return { values, times: Float64Array.from(values, (_, point) => pointNanos(course, point) / 1e9) };
}

/**
 * The cells whose call path passes through a function, as far as they count.
 * @param {Model} model
 * @param {number} frame  any of its frames
 * @returns {Uint8Array} 1 or 0 per cell
 */
function cellsOf(model, frame) {
  const { page: { nodes, cells }, chosen, lines: { functions } } = model;
  const last = lastCells.get(model);
  if (last?.of === functions[frame] && last.pass === chosen.pass) return last.cells;
  const same = Uint8Array.from(functions, (first) => Number(first === functions[frame]));
  const through = new Uint8Array(nodes.length);
  for (let i = 0; i < nodes.length; i++) through[i] = same[nodes.frame[i]] | (nodes.parent[i] < 0 ? 0 : through[nodes.parent[i]]);
  const of = new Uint8Array(cells.length);
  for (let cell = 0; cell < of.length; cell++) of[cell] = through[cells.node[cell]] & (chosen.pass === null ? 1 : chosen.pass[cell]);
  lastCells.set(model, { of: functions[frame], pass: chosen.pass, cells: of });
  return of;
}

/**
 * Which threads asked for what a function and all it called have, and by which functions that allocate; in the chosen unit.
 * @param {Model} model
 * @param {number} frame  any of its frames
 * @returns {{threads: [string, number][], allocators: [string, number][]}} the largest first; empty where the data do not tell
 */
export function askedBy(model, frame) {
  const { page, metric } = model;
  const { cells } = page;
  const of = cellsOf(model, frame);
  const amounts = metric.after[model.look.unit === 'bytes' ? 'bytes' : 'counts'];
  const sums = (/** @type {Int32Array} */ keys, /** @type {(key: number) => string} */ name) => {
    /** @type {Map<number, number>} */
    const found = new Map();
    for (let cell = 0; cell < of.length; cell++) {
      if (of[cell] && keys[cell] >= 0 && amounts[cell] > 0) found.set(keys[cell], (found.get(keys[cell]) ?? 0) + amounts[cell]);
    }
    return [...found].sort((a, b) => b[1] - a[1] || a[0] - b[0]).map(([key, sum]) => /** @type {[string, number]} */ ([name(key), sum]));
  };
  return {
    threads: sums(cells.thread, (thread) => threadName(page, thread)),
    allocators: sums(cells.allocator, (allocator) => page.allocators[allocator]),
  };
}
