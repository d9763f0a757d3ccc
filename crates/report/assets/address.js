// @ts-check
// What is looked at ↔ the part of the page's address behind "#", so that it can be linked to. Pure.

import { GROUPS, SORTS } from './rows.js';

/**
 * @typedef {{metric: string, unit: 'bytes' | 'blocks', view: string, byLine: boolean, interpreter: boolean,
 *   imports: boolean, onlyProject: boolean, mergeRecursion: boolean, least: number, colours: string, from: string, to: string,
 *   process: number, thread: number, allocator: string, search: string, zoom: number[], group: string, sort: string, filter: string,
 *   bySource: boolean, clock: boolean, flames: boolean, widths: string, onlyGrew: boolean, list: string, plot: string}} Look  `list`: what is chosen above a list, see choices.js.
 *   `view`: "calls", "inverted", "table" and what else there is. `imports`, `interpreter`: whether frames of the import system, other frames of the interpreter are
 *   shown. `least`: smallest frame shown by itself, in percent of all. `colours`: one of COLOURS. `from`, `to`: instants by name (see course.js); the same: an instant; "":
 *   the whole run. `process`, `thread`: indices, −1: all. `allocator`: name, "": all. `zoom`: frames from below the root. `group`, `sort`, `filter`: of the table, see rows.js.
 *   `plot`: what the plot over time shows, see range.js; "": all. `bySource`: whether source lines stand in the rectangles. `clock`: whether the time of day stands below the plot. `flames`: whether the root is at the bottom.
 */

/** What can give a frame of a difference its width: the larger side, how much it changed, or a side. */
export const WIDTHS = ['larger', 'change', 'before', 'after'];

/** What can give a frame its colour. */
export const COLOURS = ['kind', 'packages', 'share', 'growth'];

/**
 * What is looked at when the address says nothing.
 * @param {string} metric  key
 * @param {boolean} [inverted]
 * @param {string} [colours]
 * @returns {Look}
 */
export function firstLook(metric, inverted = false, colours = 'kind') {
  const view = inverted ? 'inverted' : 'calls';
  return {
    metric, unit: 'bytes', view, byLine: true, interpreter: false, imports: false, onlyProject: false, mergeRecursion: false,
    least: 0, colours, from: '', to: '', process: -1, thread: -1, allocator: '', search: '', zoom: [],
    group: 'function', sort: 'own', filter: '', bySource: false, clock: false, flames: false, widths: 'larger', onlyGrew: false, list: '', plot: '',
  };
}

/**
 * Only what differs from the first look is written.
 * @param {Look} look
 * @param {Look} first
 * @returns {string} begins with "#"
 */
export function toAddress(look, first) {
  const parts = [];
  if (look.metric !== first.metric) parts.push(`metric=${encodeURIComponent(look.metric)}`);
  if (look.unit === 'blocks') parts.push('unit=blocks');
  if (look.view !== first.view) parts.push(`view=${look.view}`);
  if (look.byLine !== first.byLine) parts.push(`lines=${look.byLine ? 'apart' : 'merged'}`);
  if (look.interpreter) parts.push('interpreter=shown');
  if (look.imports) parts.push('imports=shown');
  if (look.onlyProject) parts.push('code=project');
  if (look.mergeRecursion) parts.push('recursion=merged');
  if (look.least > 0) parts.push(`least=${look.least}`);
  if (look.colours !== first.colours) parts.push(`colours=${look.colours}`);
  const [from, to] = [look.from, look.to].map(encodeURIComponent);
  if (from) parts.push(from === to ? `at=${from}` : `from=${from}&to=${to}`);
  if (look.plot) parts.push(`plot=${look.plot}`);
  if (look.process >= 0) parts.push(`process=${look.process}`);
  if (look.thread >= 0) parts.push(`thread=${look.thread}`);
  if (look.allocator) parts.push(`allocator=${encodeURIComponent(look.allocator)}`);
  if (look.bySource) parts.push('labels=source');
  if (look.clock) parts.push('axis=clock');
  if (look.flames) parts.push('root=bottom');
  if (look.group !== first.group) parts.push(`by=${look.group}`);
  if (look.sort !== first.sort) parts.push(`sort=${look.sort}`);
  if (look.filter) parts.push(`filter=${encodeURIComponent(look.filter)}`);
  if (look.widths !== first.widths) parts.push(`widths=${look.widths}`);
  if (look.onlyGrew) parts.push('only=grew');
  if (look.list) parts.push(`list=${encodeURIComponent(look.list)}`);
  if (look.search) parts.push(`search=${encodeURIComponent(look.search)}`);
  if (look.zoom.length > 0) parts.push(`zoom=${look.zoom.join('.')}`);
  return `#${parts.join('&')}`;
}

/**
 * Anything that makes no sense is passed over: an address is typed, cut and pasted.
 * @param {string} address  with or without "#"
 * @param {Look} first
 * @param {string[]} metrics  the keys there are
 * @param {string[]} views  the views there are
 * @returns {Look}
 */
export function fromAddress(address, first, metrics, views) {
  const look = { ...first };
  for (const part of address.replace(/^#/, '').split('&')) {
    const [name, ...rest] = part.split('=');
    let value = rest.join('=');
    try {
      value = decodeURIComponent(value);
    } catch {
      continue;
    }
    if (name === 'metric' && metrics.includes(value)) look.metric = value;
    else if (name === 'unit') look.unit = value === 'blocks' ? 'blocks' : 'bytes';
    else if (name === 'view' && views.includes(value)) look.view = value;
    else if (name === 'lines') look.byLine = value !== 'merged';
    else if (name === 'interpreter') look.interpreter = value === 'shown';
    else if (name === 'imports') look.imports = value === 'shown';
    else if (name === 'code') look.onlyProject = value === 'project';
    else if (name === 'recursion') look.mergeRecursion = value === 'merged';
    else if (name === 'least' && /^\d+(\.\d+)?$/.test(value)) look.least = Math.min(100, Number(value));
    else if (name === 'colours' && COLOURS.includes(value)) look.colours = value;
    else if (name === 'at') look.from = look.to = value;
    else if (name === 'from') look.from = value;
    else if (name === 'to') look.to = value;
    else if (name === 'plot' && /^[\d.e-]+\.\.[\d.e-]+$/.test(value)) look.plot = value;
    else if (name === 'process' && /^\d+$/.test(value)) look.process = Number(value);
    else if (name === 'thread' && /^\d+$/.test(value)) look.thread = Number(value);
    else if (name === 'allocator') look.allocator = value;
    else if (name === 'labels') look.bySource = value === 'source';
    else if (name === 'axis') look.clock = value === 'clock';
    else if (name === 'root') look.flames = value === 'bottom';
    else if (name === 'by' && GROUPS.some((group) => group === value)) look.group = value;
    else if (name === 'sort' && SORTS.includes(value.replace(/\.turned$/, ''))) look.sort = value;
    else if (name === 'filter') look.filter = value;
    else if (name === 'widths' && WIDTHS.includes(value)) look.widths = value;
    else if (name === 'list') look.list = value;
    else if (name === 'only') look.onlyGrew = value === 'grew';
    else if (name === 'search') look.search = value;
    else if (name === 'zoom' && /^\d+(\.\d+)*$/.test(value)) look.zoom = value.split('.').map(Number);
  }
  // Half of a window is none.
  if (look.from === '' || look.to === '') look.from = look.to = '';
  return look;
}
