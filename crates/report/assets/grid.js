// @ts-check
// A table of any number of rows of one height, of which only those in sight are in the document. One row is the active
// one; arrow keys move it. The views say what stands in a row and what the other keys mean.

import { element } from './panels.js';

/** Height of a row and of the head, in CSS pixels; the style sheet has the same. */
const GRID_ROW = 27;
const GRID_HEAD = 34;
/** Rows made above and below those in sight. */
const GRID_MORE = 12;
/** Rows that are printed; a table of a hundred thousand would be a book. */
const GRID_PRINTED = 1000;

/**
 * @typedef {{key: string, text: string, title?: string, className?: string, sort?: 'ascending' | 'descending' | null}} GridColumn
 *   `sort`: how it is sorted, null: not; undefined: it cannot be
 * @typedef {object} GridUse
 * @property {string} label
 * @property {string} role  "grid" or "treegrid"
 * @property {(row: number) => HTMLElement} make  a tr
 * @property {(row: number) => void} select  a row has become the active one by the reader's doing
 * @property {(row: number) => void} enter  Enter or a double click
 * @property {(key: string, row: number) => boolean} [key]  any other key; whether it meant something
 * @property {(key: string) => void} [sort]  a head was pressed
 */

export class Grid {
  /**
   * @param {HTMLElement} place  scrolls
   * @param {string} name  for the ids of its rows
   * @param {GridUse} use
   */
  constructor(place, name, use) {
    this.place = place;
    this.name = name;
    this.use = use;
    this.count = 0;
    /** The active row, −1: none. */
    this.active = -1;
    this.made = { first: -1, last: -1 };
    this.table = element('table');
    this.table.setAttribute('role', use.role);
    this.table.setAttribute('aria-label', use.label);
    this.table.tabIndex = 0;
    this.head = element('thead');
    this.body = element('tbody');
    this.table.append(this.head, this.body);
    this.place.replaceChildren(this.table);
    this.listen();
  }

  /**
   * Shows rows anew.
   * @param {GridColumn[]} columns
   * @param {number} count
   */
  show(columns, count) {
    this.count = count;
    if (this.active >= count) this.active = -1;
    const focused = this.head.contains(document.activeElement) ? /** @type {HTMLElement} */ (document.activeElement).dataset.key : undefined;
    const row = element('tr');
    row.append(...columns.map((column) => this.headCell(column)));
    this.head.replaceChildren(row);
    /** @type {HTMLElement | null} */ (focused ? row.querySelector(`[data-key="${focused}"]`) : null)?.focus();
    this.table.setAttribute('aria-rowcount', String(count + 1));
    this.draw(true);
  }

  /** @param {GridColumn} column */
  headCell({ key, text, title, className, sort }) {
    const cell = element('th', undefined, className);
    cell.setAttribute('scope', 'col');
    if (sort === undefined) {
      cell.append(element('span', text));
    } else {
      const button = element('button', sort ? `${text} ${sort === 'ascending' ? '↑' : '↓'}` : text);
      button.dataset.key = key;
      button.addEventListener('click', () => this.use.sort?.(key));
      cell.append(button);
      cell.setAttribute('aria-sort', sort ?? 'none');
    }
    if (title) cell.title = title;
    return cell;
  }

  /** The rows in sight. @param {boolean} [anew]  even if they are there */
  draw(anew = false) {
    const { scrollTop, clientHeight } = this.place;
    const first = Math.max(0, Math.floor(scrollTop / GRID_ROW) - GRID_MORE);
    const last = Math.min(this.count, Math.ceil((scrollTop + clientHeight) / GRID_ROW) + GRID_MORE);
    if (!anew && first === this.made.first && last === this.made.last) return;
    this.fill(first, last);
  }

  /** As many rows as fit on some pages, for paper. */
  drawForPaper() {
    this.fill(0, Math.min(this.count, GRID_PRINTED));
  }

  /** @param {number} first @param {number} last */
  fill(first, last) {
    this.made = { first, last };
    const rows = [];
    for (let i = first; i < last; i++) {
      const row = this.use.make(i);
      row.id = `${this.name}-${i}`;
      row.dataset.row = String(i);
      row.setAttribute('aria-rowindex', String(i + 2));
      if (i === this.active) row.setAttribute('aria-selected', 'true');
      rows.push(row);
    }
    this.body.replaceChildren(this.space(first), ...rows, this.space(this.count - last));
    this.markActive();
  }

  /** The rows that are not there take their place. @param {number} rows */
  space(rows) {
    const row = element('tr', undefined, 'space');
    row.setAttribute('aria-hidden', 'true');
    // One cell: with more it would make columns of those that are hidden where there is no room.
    const cell = element('td');
    cell.style.height = `${rows * GRID_ROW}px`;
    row.hidden = rows <= 0;
    row.append(cell);
    return row;
  }

  markActive() {
    const there = this.active >= this.made.first && this.active < this.made.last;
    if (there) this.table.setAttribute('aria-activedescendant', `${this.name}-${this.active}`);
    else this.table.removeAttribute('aria-activedescendant');
  }

  /**
   * Makes a row the active one and brings it into sight.
   * @param {number} row  −1: none
   * @param {boolean} [middle]  into the middle, if it is not in sight
   */
  activate(row, middle = false) {
    this.active = row;
    if (row >= 0) {
      const { scrollTop, clientHeight } = this.place;
      const room = clientHeight - GRID_HEAD;
      const y = row * GRID_ROW;
      if (y < scrollTop || y + GRID_ROW > scrollTop + room) {
        this.place.scrollTop = middle ? y - room / 2 : y < scrollTop ? y : y + GRID_ROW - room;
      }
    }
    this.draw(true);
  }

  listen() {
    this.place.addEventListener('scroll', () => this.draw());
    const rowOf = (/** @type {Event} */ event) => {
      const row = event.target instanceof Element ? event.target.closest('tr[data-row]') : null;
      return row instanceof HTMLElement ? Number(row.dataset.row) : -1;
    };
    this.body.addEventListener('click', (event) => {
      const row = rowOf(event);
      if (row < 0) return;
      this.table.focus({ preventScroll: true });
      this.activate(row);
      this.use.select(row);
    });
    this.body.addEventListener('dblclick', (event) => {
      const row = rowOf(event);
      if (row >= 0) this.use.enter(row);
    });
    this.table.addEventListener('keydown', (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey || event.target !== this.table) return;
      if (this.pressed(event.key)) event.preventDefault();
    });
  }

  /** @param {string} key @returns {boolean} */
  pressed(key) {
    const page = Math.max(1, Math.floor((this.place.clientHeight - GRID_HEAD) / GRID_ROW) - 1);
    const step = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -Infinity, End: Infinity }[key];
    if (step !== undefined) {
      if (this.count === 0) return true;
      const row = Math.min(this.count - 1, Math.max(0, this.active + step));
      this.activate(row);
      this.use.select(row);
      return true;
    }
    if (this.active < 0) return false;
    if (key !== 'Enter') return this.use.key?.(key, this.active) ?? false;
    this.use.enter(this.active);
    return true;
  }
}

/**
 * A cell with a number in it.
 * @param {string} text
 * @param {string} [className]
 */
export function numberCell(text, className = '') {
  return element('td', text, `number ${className}`.trim());
}

/**
 * A share with a bar behind it.
 * @param {string} text
 * @param {number} share  0 to 1
 */
export function shareCell(text, share) {
  const cell = numberCell(text, 'share');
  const percent = Math.round(1000 * Math.max(0, Math.min(1, share))) / 10;
  cell.style.backgroundSize = `${percent}% 100%`;
  return cell;
}
