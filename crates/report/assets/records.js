// @ts-check
// What is displayed as rows of plain values, and those as text: CSV, tab-separated, JSON; and names for files. Pure.

import { askerRecords, isAsker } from './asked.js';
import { KINDS } from './data.js';
import { SMALLER } from './prune.js';

/**
 * @typedef {import('./model.js').Model} Model
 * @typedef {import('./model.js').Values} Values
 * @typedef {{columns: string[], rows: (string | number)[][]}} Records
 */

/**
 * The names of amounts.
 * @param {Model} model
 * @param {string} [prefix]
 * @returns {string[]}
 */
function amountColumns(model, prefix = '') {
  const counts = model.noun === 'block' ? 'blocks' : `${model.noun.replaceAll('-', '_')}s`;
  const names = [`${prefix}bytes`, `${prefix}${counts}`];
  return model.difference ? [...names, ...names.map((name) => `${name}_before`)] : names;
}

/**
 * @param {Model} model
 * @param {Values} values
 * @returns {number[]}
 */
function amounts(model, values) {
  const after = [values.bytes, values.counts];
  return model.difference ? [...after, values.beforeBytes, values.beforeCounts] : after;
}

/**
 * @param {Model} model
 * @param {number} frame  −1: all, SMALLER: several
 * @param {string} name
 * @param {boolean} byLine
 * @returns {(string | number)[]} function, file, line (0: not known or several), package, kind
 */
function frameValues(model, frame, name, byLine) {
  if (frame < 0) return [name, '', 0, '', ''];
  const { frames } = model;
  return [frames.name[frame], frames.file[frame], byLine ? frames.line[frame] : 0, frames.package[frame], KINDS[frames.kind[frame]]];
}

/**
 * Memory over time, as the plot has it.
 * @param {import('./data.js').Timeline} timeline
 * @returns {Records} `rss_bytes` 0: not measured
 */
export function timeRecords({ seconds, live, rss }) {
  return { columns: ['seconds', 'live_bytes', 'rss_bytes'], rows: Array.from(seconds, (at, i) => [at, live[i], rss[i]]) };
}

/**
 * What is known of memory over time beside its rows.
 * @param {import('./data.js').Page} page
 * @returns {Record<string, unknown>} `started_unix` 0: not known; `peak_at_seconds` null: not known, or not one instant
 */
export function timeAbout({ title, startedUnix, peakAt, span, marks, censuses }) {
  return {
    title, started_unix: startedUnix, peak_at_seconds: peakAt, span: span && [span.from, span.to],
    marks: marks.seconds.map((seconds, i) => ({ seconds, name: marks.name[i] })), censuses,
  };
}

/**
 * Nodes of the model's view: the rectangles of the graph, the rows of the tree.
 * @param {Model} model
 * @param {number[]} ids  callers before what they called
 * @param {number[]} depths
 * @returns {Records} `id` and `parent` count the rows from 1; parent 0: not among them
 */
export function nodeRecords(model, ids, depths) {
  const { view } = model;
  const at = new Map(ids.map((id, i) => [id, i + 1]));
  // Below the root of the inverted view a node is no place of a call: nothing there is asked for by it alone.
  const withOwn = !model.turned;
  const rows = ids.map((id, i) => {
    const frame = view.frame[id];
    const own = withOwn ? amounts(model, frame === SMALLER ? { bytes: 0, counts: 0, beforeBytes: 0, beforeCounts: 0 } : model.valuesOf(model.own, id)) : [];
    return [
      i + 1, at.get(view.parent[id]) ?? 0, depths[i],
      ...frameValues(model, frame, model.nameOf(id), model.look.byLine),
      ...amounts(model, model.valuesOf(view.columns, id)), ...own,
    ];
  });
  const own = withOwn ? amountColumns(model, 'own_') : [];
  return { columns: ['id', 'parent', 'depth', 'function', 'file', 'line', 'package', 'kind', ...amountColumns(model), ...own], rows };
}

/**
 * Rows of the table.
 * @param {Model} model
 * @param {import('./rows.js').Row[]} rows
 * @returns {Records}
 */
export function tableRecords(model, rows) {
  const { group } = model.look;
  if (isAsker(group)) {
    const { columns, values } = askerRecords(model.page, group);
    return { columns: [...columns, ...amountColumns(model)], rows: rows.map(({ frame, own }) => [...values(frame), ...amounts(model, own)]) };
  }
  /** Which of function, file, line, package, kind a row of this group has. @type {Record<string, number[]>} */
  const parts = { function: [0, 1, 3, 4], line: [0, 1, 2, 3, 4], file: [1, 3, 4], package: [3] };
  const names = ['function', 'file', 'line', 'package', 'kind'];
  return {
    columns: [...parts[group].map((part) => names[part]), ...amountColumns(model, 'own_'), ...amountColumns(model, 'total_')],
    rows: rows.map(({ frame, own, total }) => {
      const values = frameValues(model, frame, '', true);
      return [...parts[group].map((part) => values[part]), ...amounts(model, own), ...amounts(model, total)];
    }),
  };
}

/**
 * As RFC 4180 has it: lines end in CR LF; a text with a comma, a quote or a line end stands in quotes. A text that a
 * spreadsheet would take for a formula (for its first character, see `harmless`) gets an apostrophe in front.
 * @param {Records} records
 * @returns {string}
 */
export function toCsv({ columns, rows }) {
  const cell = (/** @type {string | number} */ value) => {
    const text = harmless(value);
    return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  return [columns, ...rows].map((row) => `${row.map(cell).join(',')}\r\n`).join('');
}

/**
 * For pasting into a spreadsheet; formulas as in `toCsv`, tabs and line ends become spaces.
 * @param {Records} records
 * @returns {string}
 */
export function toTsv({ columns, rows }) {
  const cell = (/** @type {string | number} */ value) => harmless(value).replace(/[\t\r\n]/g, ' ');
  return [columns, ...rows].map((row) => row.map(cell).join('\t')).join('\n');
}

/** @param {string | number} value */
function harmless(value) {
  return typeof value === 'string' && /^[=+\-@\t\r]/.test(value) ? `'${value}` : String(value);
}

/**
 * @param {Record<string, unknown>} about  what is displayed: title, metric, options
 * @param {Records} records
 * @returns {string} an object with `rows`, a list of objects with the names of the columns
 */
export function toJson(about, { columns, rows }) {
  const named = rows.map((row) => JSON.stringify(Object.fromEntries(columns.map((name, i) => [name, row[i]]))));
  const head = JSON.stringify(about, null, 2).replace(/\n\}$/, '');
  return `${head},\n  "rows": [${named.map((row) => `\n    ${row}`).join(',')}\n  ]\n}\n`;
}

/**
 * A name for a file that is harmless on every system: letters, digits, ".", "_" and "-", at most 80 of them.
 * @param {string[]} parts
 * @param {string} ending
 * @returns {string}
 */
export function fileName(parts, ending) {
  const name = parts.map((text) => text.replace(/^heaptide:\s*/, '').replace(/[^A-Za-z0-9._-]+/g, '-').replace(/^[.-]+|[.-]+$/g, '').slice(-40));
  return `${['heaptide', ...name.filter(Boolean)].join('-').replace(/\.{2,}/g, '.').slice(0, 80)}.${ending}`;
}
