// @ts-check
// The rows of the table: their order and which of them are shown. Pure.

import { matcher } from './calls.js';
import { KINDS } from './data.js';

/**
 * @typedef {import('./model.js').Values} Values
 * @typedef {import('./data.js').Frames} Frames
 * @typedef {{frame: number, own: Values, total: Values, found: boolean, names?: {name: string, where: string}}} Row
 *   `frame`: the first of those that the row is about; `found`: by the search; `names`: what stands in the first two columns of a row
 *   that is about no frame, see asked.js
 */

/** What a row can be about. */
export const GROUPS = /** @type {const} */ (['function', 'line', 'file', 'package', 'thread', 'process', 'allocator']);

/**
 * The columns that rows can be sorted by; numbers are sorted with the largest first, names from A on.
 * @type {readonly string[]}
 */
export const SORTS = ['name', 'where', 'own', 'own-share', 'own-change', 'own-counts', 'total', 'total-share', 'total-change', 'total-counts'];

/**
 * @param {Row[]} rows
 * @param {string} text  part of a name, file, line or package, or /a regular expression/
 * @param {Frames} frames
 * @param {string} group
 * @returns {Row[]}
 * @throws {SyntaxError} if the expression is not one
 */
export function filterRows(rows, text, frames, group) {
  const matches = matcher(text);
  if (!matches) return rows;
  return rows.filter(({ frame, names }) => {
    if (names) return matches(names.name) || matches(names.where);
    if (matches(frames.package[frame])) return true;
    if (group === 'package') return false;
    if (matches(group === 'line' ? `${frames.file[frame]}:${frames.line[frame]}` : frames.file[frame])) return true;
    return group !== 'file' && matches(frames.name[frame]);
  });
}

/**
 * @param {Row[]} rows
 * @param {string} sort  one of SORTS, with ".turned" the other way round
 * @param {{frames: Frames, inUnit: (values: Values) => number[], look: {group: string}}} model
 * @returns {Row[]} sorted; rows of equal value stand in the order of their frames
 */
export function sortRows(rows, sort, model) {
  const { frames, look } = model;
  const [key, turned] = sort.split('.');
  const way = turned ? -1 : 1;
  if (key === 'name' || key === 'where') {
    const words = rows.map(({ frame, names }) => (names ? names[key] : look.group === 'package' ? (key === 'name' ? frames.package[frame] : KINDS[frames.kind[frame]])
      : look.group === 'file' ? (key === 'name' ? frames.file[frame] : frames.package[frame])
      : key === 'name' ? frames.name[frame] : frames.file[frame]));
    const line = (/** @type {number} */ i) => (look.group === 'line' && key === 'where' ? frames.line[rows[i].frame] : 0);
    return rows.map((_, i) => i)
      .sort((a, b) => way * (words[a] < words[b] ? -1 : words[a] > words[b] ? 1 : line(a) - line(b)) || rows[a].frame - rows[b].frame)
      .map((i) => rows[i]);
  }
  const [side, what] = key.split('-');
  const value = (/** @type {Row} */ row) => {
    const values = side === 'total' ? row.total : row.own;
    if (what === undefined) return values.bytes;
    if (what === 'counts') return values.counts;
    const [before, after] = model.inUnit(values);
    return what === 'change' ? after - before : after;
  };
  return rows.slice().sort((a, b) => way * (value(b) - value(a)) || a.frame - b.frame);
}
