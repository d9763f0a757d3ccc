// @ts-check
// What changed from one side to the other, as rows: by stack, line, function, file, module or package. Pure.

import { BEFORE, BYTES, COUNTS, frameTotals, mergeNodes, ownColumns, sameFrames, totalColumns } from './calls.js';
import { fileAndLine } from './words.js';

/**
 * @typedef {{bytes: number, counts: number, beforeBytes: number, beforeCounts: number}} Sides
 * @typedef {{node: number, frame: number, own: Sides, total: Sides, name: string, place: string}} ChangeRow
 *   `node`: one of the data, −1 for a row that is of no stack; `frame`: one of the row's
 * @typedef {{by: string, only: string, sort: string}} ChangesChoice  `only`: "grew", "shrank", "new", "gone", "" for all
 */

/** What changes can be put together by, and its word. */
export const CHANGES_BY = [
  ['stack', 'call path'], ['line', 'line'], ['function', 'function'], ['file', 'file'], ['module', 'module'], ['package', 'package'],
];

/**
 * Which frames are one row.
 * @param {import('./data.js').Page} page
 * @param {string} by
 * @returns {Int32Array} for each frame the first of its row
 */
export function sameRow({ frames, modules }, by) {
  // Lines of the two sides can have one number and be two.
  if (by === 'line') return Int32Array.from({ length: frames.length }, (_, frame) => frame);
  if (by === 'stack') return sameFrames(frames, false);
  const key = (/** @type {number} */ frame) => {
    switch (by) {
      case 'package': return frames.package[frame];
      case 'module': return modules[frame] ?? '';
      case 'file': return frames.file[frame];
      default: return JSON.stringify([frames.name[frame], frames.file[frame]]);
    }
  };
  /** @type {Map<string, number>} */
  const first = new Map();
  return Int32Array.from({ length: frames.length }, (_, frame) => {
    const name = key(frame);
    if (!first.has(name)) first.set(name, frame);
    return first.get(name) ?? frame;
  });
}

/**
 * All rows of which what they asked for, or what was called from there, is not the same on both sides; the largest change first.
 * Those that only called what changed come last.
 * @param {import('./data.js').Page} page
 * @param {import('./selection.js').Shown} metric  with both sides
 * @param {string} by  of CHANGES_BY
 * @param {'bytes' | 'blocks'} unit
 * @param {Uint8Array | null} [pass]  1 for the cells that count; null: all
 * @returns {ChangeRow[]}
 */
export function changeRows(page, metric, by, unit, pass = null) {
  const tree = mergeNodes(page.nodes, sameRow(page, by));
  const own = ownColumns(tree, page.cells, metric, pass);
  const total = totalColumns(tree, own);
  const sides = (/** @type {(column: number) => number} */ at) => ({
    bytes: at(BYTES), counts: at(COUNTS), beforeBytes: at(BEFORE), beforeCounts: at(BEFORE + COUNTS),
  });
  /** @type {ChangeRow[]} */
  const rows = [];
  if (by === 'stack') {
    const node = new Int32Array(tree.size).fill(-1);
    for (let i = tree.treeNode.length - 1; i >= 0; i--) node[tree.treeNode[i]] = i;
    for (let id = 1; id < tree.size; id++) {
      const frame = tree.frame[id];
      const [mine, all] = [own, total].map((columns) => sides((column) => columns[column][id]));
      if (isChanged(mine)) rows.push({ node: node[id], frame, own: mine, total: all, ...rowName(page, by, frame) });
    }
  } else {
    for (const row of frameTotals(tree, own, total)) {
      const [mine, all] = [row.own, row.total].map((columns) => sides((column) => columns[column]));
      if (isChanged(mine) || isChanged(all)) rows.push({ node: -1, frame: row.frame, own: mine, total: all, ...rowName(page, by, row.frame) });
    }
  }
  const size = (/** @type {Sides} */ of) => Math.abs(growthOf(of, unit));
  return rows.sort((a, b) => size(b.own) - size(a.own) || size(b.total) - size(a.total) || a.frame - b.frame || a.node - b.node);
}

/** @param {import('./data.js').Page} page @param {string} by @param {number} frame */
function rowName({ frames, modules }, by, frame) {
  const { name, file, line } = frames;
  switch (by) {
    case 'package': return { name: frames.package[frame] || 'unknown', place: '' };
    case 'module': return { name: modules[frame] || 'unknown', place: '' };
    case 'file': return { name: file[frame] || 'unknown', place: '' };
    case 'line': return { name: name[frame], place: fileAndLine(file[frame], line[frame]) };
    default: return { name: name[frame], place: file[frame] };
  }
}

/** @param {Sides} sides */
export function isChanged({ bytes, counts, beforeBytes, beforeCounts }) {
  return bytes !== beforeBytes || counts !== beforeCounts;
}

/** How much more there is than before. @param {Sides} sides @param {'bytes' | 'blocks'} unit */
export function growthOf(sides, unit) {
  return unit === 'bytes' ? sides.bytes - sides.beforeBytes : sides.counts - sides.beforeCounts;
}

/**
 * What became of it, in a word: "new", "gone", "grew", "shrank", "same".
 * @param {Sides} sides
 * @param {'bytes' | 'blocks'} unit
 */
export function fateOf(sides, unit) {
  if (sides.beforeCounts === 0 && sides.counts > 0) return 'new';
  if (sides.counts === 0 && sides.beforeCounts > 0) return 'gone';
  const growth = growthOf(sides, unit);
  return growth > 0 ? 'grew' : growth < 0 ? 'shrank' : 'same';
}

/**
 * The rows that are chosen, in their order.
 * @param {ChangeRow[]} rows  as `changeRows` has them
 * @param {ChangesChoice} chosen
 * @param {'bytes' | 'blocks'} unit
 * @param {(row: ChangeRow) => boolean} [found]  by the search
 * @returns {ChangeRow[]}
 */
export function chosenChanges(rows, chosen, unit, found = () => true) {
  const of = (/** @type {ChangeRow} */ row) => (chosen.sort === 'total' ? row.total : row.own);
  const fits = (/** @type {ChangeRow} */ row) => {
    if (!isChanged(of(row)) || !found(row)) return false;
    const fate = fateOf(of(row), unit);
    if (chosen.only === 'grew') return fate === 'grew' || fate === 'new';
    if (chosen.only === 'shrank') return fate === 'shrank' || fate === 'gone';
    return !chosen.only || fate === chosen.only;
  };
  const [before, after] = unit === 'bytes' ? /** @type {const} */ (['beforeBytes', 'bytes']) : /** @type {const} */ (['beforeCounts', 'counts']);
  const weight = (/** @type {ChangeRow} */ row) => {
    switch (chosen.sort) {
      case 'before': return row.own[before];
      case 'after': return row.own[after];
      default: return Math.abs(growthOf(of(row), unit));
    }
  };
  // Stable: equal ones stay as they were.
  return rows.filter(fits).sort((a, b) => weight(b) - weight(a));
}

/**
 * The same metric, with only the call paths that hold more bytes than before.
 * @param {import('./data.js').Page} page
 * @param {import('./selection.js').Shown} metric
 * @param {Uint8Array | null} [pass]  1 for the cells that count; null: all
 * @returns {import('./selection.js').Shown}
 */
export function onlyGrown(page, metric, pass = null) {
  const { before, after } = metric;
  if (!before) return metric;
  const tree = mergeNodes(page.nodes, sameRow(page, 'stack'));
  const own = ownColumns(tree, page.cells, metric, pass);
  const grew = page.cells.node.map((node) => Number(own[BYTES][tree.treeNode[node]] > own[BEFORE][tree.treeNode[node]]));
  const masked = (/** @type {import('./data.js').Amounts} */ { bytes, counts }) => ({
    bytes: bytes.map((n, i) => n * grew[i]), counts: counts.map((n, i) => n * grew[i]),
  });
  return { ...metric, after: masked(after), before: masked(before) };
}
