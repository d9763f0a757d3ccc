// @ts-check
// Tables whose rows can be sorted and opened, for leaks, types and changes. All text goes in by `textContent`.

import { element } from './panels.js';

/**
 * @template Row
 * @typedef {object} Column
 * @property {string} title
 * @property {string} [hint]  what it means
 * @property {string} [sort]  key; without it the table cannot be sorted by it
 * @property {boolean} [number]
 * @property {(row: Row) => string | Node} cell
 */

/**
 * @template Row
 * @typedef {object} ListOptions
 * @property {string} label  of the table, for screen readers
 * @property {Column<Row>[]} columns  the last one names the row and opens it
 * @property {Row[]} rows
 * @property {(row: Row) => string} key  different for each row
 * @property {string} sort
 * @property {(by: string) => void} sorted  the reader wants another order
 * @property {(row: Row) => {name: string, place: string}} named  what stands in the button that opens the row, and behind it
 * @property {Set<string>} opened  keys; changed here
 * @property {(row: Row) => Node} detail  what an open row shows
 * @property {number} most  rows shown at first
 * @property {string} none  what is said if there is no row
 */

/**
 * Fills a place with a table. What had the keyboard's focus in it has it again.
 * @template Row
 * @param {HTMLElement} place
 * @param {ListOptions<Row>} options
 */
export function showList(place, options) {
  const { columns, rows, opened } = options;
  const active = /** @type {HTMLElement | null} */ (document.activeElement);
  const held = active && place.contains(active) ? active.dataset.focus : undefined;
  const table = element('table');
  table.setAttribute('aria-label', options.label);
  const body = element('tbody');
  const add = (/** @type {Row} */ row) => body.append(...listRow(options, row));
  rows.slice(0, options.most).forEach(add);
  table.append(listHead(options), body);
  place.replaceChildren(table);
  if (rows.length === 0) place.append(element('p', options.none, 'more'));
  if (rows.length > options.most) {
    const more = element('p', undefined, 'more');
    const button = element('button', `Show all ${rows.length}`);
    button.addEventListener('click', () => {
      more.remove();
      rows.slice(options.most).forEach(add);
    });
    more.append(button);
    place.append(more);
  }
  if (held === undefined) return;
  for (const again of place.querySelectorAll('[data-focus]')) {
    if (/** @type {HTMLElement} */ (again).dataset.focus === held) /** @type {HTMLElement} */ (again).focus();
  }
}

/**
 * @template Row
 * @param {ListOptions<Row>} options
 * @param {Row} row
 * @returns {HTMLElement[]} the row and, hidden unless it is open, what it opens to
 */
function listRow(options, row) {
  const { columns, opened } = options;
  const key = options.key(row);
  const tr = element('tr');
  const below = element('tr', undefined, 'opened');
  const cell = element('td');
  cell.setAttribute('colspan', String(columns.length));
  below.append(cell);
  const { name, place } = options.named(row);
  const button = /** @type {HTMLButtonElement} */ (element('button', name, 'opener'));
  button.type = 'button';
  button.dataset.focus = key;
  const show = () => {
    const open = opened.has(key);
    button.setAttribute('aria-expanded', String(open));
    below.hidden = !open;
    // Made when it is first seen: there may be thousands.
    if (open && cell.childNodes.length === 0) cell.append(options.detail(row));
  };
  button.addEventListener('click', () => {
    if (!opened.delete(key)) opened.add(key);
    show();
  });
  for (const [i, column] of columns.entries()) {
    const td = element('td', undefined, column.number ? 'number' : '');
    if (i < columns.length - 1) td.append(column.cell(row));
    else {
      td.className = 'named';
      // The end of a path says more than its beginning: see `.named` in the style.
      const line = element('div');
      const where = element('span', undefined, 'place');
      where.append(element('bdi', place));
      line.append(button, ' ', where);
      td.append(line);
      td.title = place;
    }
    tr.append(td);
  }
  show();
  return [tr, below];
}

/**
 * @template Row
 * @param {ListOptions<Row>} options
 * @returns {HTMLElement}
 */
function listHead({ columns, sort, sorted }) {
  const row = element('tr');
  for (const { title, hint, sort: by, number } of columns) {
    const cell = element('th', undefined, number ? 'number' : '');
    cell.setAttribute('scope', 'col');
    if (hint) cell.title = hint;
    if (by === undefined) cell.append(element('span', title));
    else {
      const button = element('button', sort === by ? `${title} ↓` : title);
      button.dataset.focus = `sort ${by}`;
      button.addEventListener('click', () => sorted(by));
      if (sort === by) cell.setAttribute('aria-sort', 'descending');
      cell.append(button);
    }
    row.append(cell);
  }
  const head = element('thead');
  head.append(row);
  return head;
}

/**
 * A choice from a list, with its name before it.
 * @param {string} name
 * @param {{value: string, text: string}[]} options
 * @param {string} chosen
 * @param {(value: string) => void} choose
 * @returns {HTMLElement}
 */
export function selectBox(name, options, chosen, choose) {
  const label = element('label', name, 'check');
  const box = /** @type {HTMLSelectElement} */ (element('select'));
  for (const { value, text } of options) {
    const option = /** @type {HTMLOptionElement} */ (element('option', text));
    option.value = value;
    option.selected = value === chosen;
    box.append(option);
  }
  box.dataset.focus = `select ${name}`;
  box.addEventListener('change', () => choose(box.value));
  label.append(box);
  return label;
}

/**
 * Names and values, one below the other.
 * @param {[string, string][]} pairs
 * @returns {HTMLElement}
 */
export function pairList(pairs) {
  const list = element('dl', undefined, 'pairs');
  for (const [term, text] of pairs) list.append(element('dt', term), element('dd', text));
  return list;
}

/**
 * Frames, one below the other.
 * @param {{name: string, place: string, source?: string}[]} frames
 * @param {number} most  the rest is shown when it is asked for
 * @returns {HTMLElement}
 */
export function frameList(frames, most) {
  const list = element('ol', undefined, 'frames');
  const add = (/** @type {{name: string, place: string, source?: string}} */ frame) => {
    const item = element('li', frame.name);
    if (frame.place) item.append(' ', element('span', frame.place, 'place'));
    if (frame.source) item.append(element('code', frame.source));
    list.append(item);
  };
  frames.slice(0, most).forEach(add);
  if (frames.length > most) {
    const item = element('li');
    const button = element('button', `${frames.length - most} more frames`);
    button.addEventListener('click', () => {
      item.remove();
      frames.slice(most).forEach(add);
    });
    item.append(button);
    list.append(item);
  }
  return list;
}
