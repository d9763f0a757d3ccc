// @ts-check
// Who asked for memory: the rows of the table by thread, by process and by function that allocates. Pure.

import { threadName } from './selection.js';

/**
 * @typedef {import('./model.js').Model} Model
 * @typedef {import('./data.js').Page} Page
 * @typedef {import('./rows.js').Row} Row
 */

/** What a row can be about beside what frames say. */
const ASKERS = ['thread', 'process', 'allocator'];

/** @param {string} group @returns {boolean} whether its rows are of who asked, not of what was called */
export function isAsker(group) {
  return ASKERS.includes(group);
}

/**
 * Whether there are several of this group, so that rows of it say something. What frames say there is always.
 * @param {Page} page
 * @param {string} group
 */
export function hasGroup({ threads, processes, allocators }, group) {
  if (!isAsker(group)) return true;
  return { thread: threads, process: processes, allocator: allocators }[/** @type {'thread'} */ (group)].length > 1;
}

/**
 * Who asked for what is in a cell.
 * @param {Page} page
 * @param {string} group
 * @returns {(cell: number) => number} −1: not known
 */
function askerOf({ cells, threads }, group) {
  if (group === 'allocator') return (cell) => cells.allocator[cell];
  return (cell) => (group === 'thread' || cells.thread[cell] < 0 ? cells.thread[cell] : threads.process[cells.thread[cell]]);
}

/**
 * All of a group, who asked for the most first; equal ones as the data have them.
 * @param {Page} page
 * @param {string} group
 * @param {{after: {bytes: ArrayLike<number>}, before: {bytes: ArrayLike<number>} | null}} metric  of all cells
 * @returns {{key: number, bytes: number}[]} with two sides the larger of both
 */
export function askersByBytes(page, group, { after, before }) {
  const length = { thread: page.threads, process: page.processes, allocator: page.allocators }[/** @type {'thread'} */ (group)].length;
  const [now, then] = [new Float64Array(length), new Float64Array(length)];
  const keyOf = askerOf(page, group);
  for (let cell = 0; cell < page.cells.length; cell++) {
    const key = keyOf(cell);
    if (key < 0) continue;
    now[key] += after.bytes[cell];
    if (before) then[key] += before.bytes[cell];
  }
  return Array.from(now, (bytes, key) => ({ key, bytes: Math.max(bytes, then[key]) })).sort((a, b) => b.bytes - a.bytes || a.key - b.key);
}

/**
 * One row for each thread, process or function that allocates, of those that hold anything; together they are all that is shown.
 * @param {Model} model
 * @returns {Row[]} `frame` is which; what it asked for itself is what it asked for in all
 */
export function askerRows(model) {
  const { page, look, chosen } = model;
  const { cells } = page;
  const { after, before } = model.shownMetric();
  const keyOf = askerOf(page, look.group);
  /** @type {Map<number, number[]>} */
  const sums = new Map();
  const columns = [after.bytes, after.counts, ...(before ? [before.bytes, before.counts] : [])];
  for (let cell = 0; cell < cells.length; cell++) {
    if ((chosen.pass !== null && !chosen.pass[cell]) || columns.every((column) => column[cell] === 0)) continue;
    const key = keyOf(cell);
    let sum = sums.get(key);
    if (!sum) sums.set(key, (sum = [0, 0, 0, 0]));
    for (let c = 0; c < columns.length; c++) sum[c] += columns[c][cell];
  }
  return Array.from(sums, ([key, [bytes, counts, beforeBytes, beforeCounts]]) => {
    const values = { bytes, counts, beforeBytes, beforeCounts };
    return { frame: key, own: values, total: values, found: false, names: askerNames(page, look.group, key) };
  });
}

/**
 * What stands in the first two columns of such a row.
 * @param {Page} page
 * @param {string} group
 * @param {number} key  −1: not known
 */
function askerNames(page, group, key) {
  const { threads, processes, allocators } = page;
  if (key < 0) return { name: '(not known)', where: '' };
  if (group === 'allocator') return { name: allocators[key], where: '' };
  const of = group === 'thread' ? threads.process[key] : key;
  const process = { name: String(processes.pid[of]), where: processes.command[of] };
  return group === 'process' ? process : { name: threadName(page, key), where: `${process.name}  ${process.where}` };
}

/**
 * The columns of such rows as they are saved, before their amounts.
 * @param {Page} page
 * @param {string} group
 * @returns {{columns: string[], values: (key: number) => (string | number)[]}} a number that is not known is 0
 */
export function askerRecords({ threads, processes, allocators }, group) {
  if (group === 'allocator') return { columns: ['allocator'], values: (key) => [allocators[key] ?? ''] };
  const ofProcess = (/** @type {number} */ key) => [processes.pid[key] ?? 0, processes.command[key] ?? ''];
  if (group === 'process') return { columns: ['pid', 'command'], values: ofProcess };
  return { columns: ['thread', 'tid', 'pid', 'command'], values: (key) => [threads.name[key] ?? '', threads.tid[key] ?? 0, ...ofProcess(threads.process[key])] };
}

/**
 * What to look at to see a row alone.
 * @param {Page} page
 * @param {string} group
 * @param {number} key
 * @returns {Partial<import('./address.js').Look>}
 */
export function onlyAsker({ allocators, threads }, group, key) {
  if (group === 'allocator') return { allocator: allocators[key] ?? '' };
  return group === 'process' ? { process: key, thread: -1 } : { process: threads.process[key] ?? -1, thread: key };
}
