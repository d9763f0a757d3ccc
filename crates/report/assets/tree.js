// @ts-check
// The call tree as an outline of rows that open and close. Its rows and their order are outline.js's, the table that shows
// them is grid.js's.

import { change } from './calls.js';
import { Grid, numberCell, shareCell } from './grid.js';
import { openLine, openTo, openWidest, outlineRows, shownChildren } from './outline.js';
import { element, part } from './panels.js';
import { nodeRecords } from './records.js';
import { pathOf } from './views.js';
import { counted, exact, humanBytes, percent, signed, tellingName } from './words.js';

/** @typedef {import('./main.js').Application} Application */

/** Deeper rows are not indented further: their numbers tell their depth to who cannot see it. */
const DEEPEST = 40;

export class TreeView {
  /** @param {Application} app */
  constructor(app) {
    this.app = app;
    this.place = part('tree');
    this.idle = 'The arrows ▸ ▾ open and close a row; a double click or Enter shows it in the graph';
    this.grid = new Grid(part('tree'), 'tree-row', {
      label: 'Call tree. Right opens a row, left closes it, Enter shows it in the graph.',
      role: 'treegrid',
      make: (row) => this.row(row),
      select: (row) => this.app.choose(this.rows.id[row]),
      enter: (row) => this.app.go({ view: 'calls', zoom: pathOf(this.model.view, this.rows.id[row]) }),
      key: (key, row) => this.key(key, row),
    });
    this.focused = this.grid.table;
    /** @type {Set<number>} nodes */
    this.open = new Set();
    /** @type {import('./outline.js').Outline} */
    this.rows = { id: [], level: [], parent: [] };
    /** The view whose nodes are open. @type {object | null} */
    this.of = null;
  }

  get model() {
    return this.app.model;
  }

  show() {
    const { model } = this;
    if (this.of !== model.view) {
      this.of = model.view;
      this.open.clear();
      this.grid.active = -1;
      openTo(model.view, this.open, model.zoomed);
      openWidest(model.view, model.column, this.open, model.zoomed);
    }
    this.refresh();
    if (this.app.selected > 0) this.goTo(this.app.selected);
  }

  refresh() {
    const { model } = this;
    this.rows = outlineRows(model.view, model.column, this.open);
    const second = model.difference ? 'Change' : 'Share';
    this.grid.show([
      { key: 'name', text: 'Function' },
      { key: 'total', text: 'Total', className: 'number', title: 'What it and all it called asked for' },
      { key: 'share', text: second, className: model.difference ? 'number change' : 'number share' },
      { key: 'own', text: 'Itself', className: 'number', title: 'What it asked for itself' },
      { key: 'counts', text: model.noun === 'block' ? 'Blocks' : 'Allocations', className: 'number counts' },
    ], this.rows.id.length);
  }

  records() {
    return nodeRecords(this.model, this.rows.id, this.rows.level);
  }

  drawForPaper() {
    this.grid.drawForPaper();
  }

  /** @param {number} id */
  goTo(id) {
    if (this.rows.id.indexOf(id) < 0) {
      openTo(this.model.view, this.open, id);
      this.refresh();
    }
    this.grid.activate(this.rows.id.indexOf(id), true);
  }

  /** @param {number} at @returns {HTMLElement} */
  row(at) {
    const { model } = this;
    const { view } = model;
    const id = this.rows.id[at];
    const level = this.rows.level[at];
    const values = model.valuesOf(view.columns, id);
    const own = model.valuesOf(model.own, id);
    const [before, after] = model.inUnit(values);
    const children = shownChildren(view, model.column, id).length;
    const isOpen = this.open.has(id);
    const row = element('tr', undefined, model.isMatched(id) ? 'found' : undefined);
    row.setAttribute('aria-level', String(level + 1));
    if (children > 0) row.setAttribute('aria-expanded', String(isOpen));
    const name = element('td', undefined, 'name');
    name.style.paddingLeft = `${8 + 14 * Math.min(level, DEEPEST)}px`;
    const twist = element('span', children > 0 ? (isOpen ? '▾' : '▸') : '', 'twist');
    twist.setAttribute('aria-hidden', 'true');
    twist.addEventListener('click', (event) => {
      event.stopPropagation();
      this.turn(at, !isOpen);
    });
    const swatch = element('span', undefined, 'swatch');
    swatch.style.background = model.fill(id);
    name.append(twist, swatch, element('span', model.nameOf(id)), element('span', tellingName(model.placeOf(id)), 'file'));
    name.title = [model.nameOf(id), model.placeOf(id)].filter(Boolean).join('\n');
    const whole = model.inUnit(model.whole)[1];
    row.append(
      name,
      numberCell(humanBytes(values.bytes)),
      model.difference
        ? numberCell(signed(after - before, (n) => model.amount(n)), change(before, after) > 0 ? 'grew' : after < before ? 'shrank' : '')
        : shareCell(percent(after, whole), whole > 0 ? after / whole : 0),
      numberCell(own.bytes > 0 ? humanBytes(own.bytes) : '–'),
      numberCell(exact(values.counts), 'counts'),
    );
    return row;
  }

  /**
   * Opens or closes a row.
   * @param {number} at
   * @param {boolean} open
   */
  turn(at, open) {
    const id = this.rows.id[at];
    if (open) this.open.add(id);
    else this.open.delete(id);
    this.refresh();
    this.grid.activate(at);
    this.app.say(open ? `${counted(shownChildren(this.model.view, this.model.column, id).length, 'row')} opened` : 'closed');
  }

  /** As the ARIA practices say for a treegrid. @param {string} key @param {number} at @returns {boolean} */
  key(key, at) {
    const { model, rows } = this;
    const id = rows.id[at];
    const { view, column } = model;
    const children = shownChildren(view, column, id).length;
    const to = (/** @type {number} */ row) => {
      this.grid.activate(row);
      this.app.choose(this.rows.id[row]);
    };
    if (key === 'ArrowRight' && children > 0) {
      if (this.open.has(id)) to(at + 1);
      else this.turn(at, true);
    } else if (key === 'ArrowLeft') {
      if (this.open.has(id) && children > 0) this.turn(at, false);
      else if (rows.parent[at] >= 0) to(rows.parent[at]);
    } else if (key === ' ' && children > 0) {
      this.turn(at, !this.open.has(id));
    } else if (key === '*') {
      for (const child of shownChildren(view, column, view.parent[id] < 0 ? id : view.parent[id])) this.open.add(child);
      this.refresh();
      this.grid.activate(this.rows.id.indexOf(id));
    } else if (key === 'e' || key === 'E') {
      openLine(view, column, this.open, id);
      this.refresh();
      this.grid.activate(at);
    } else {
      return ['ArrowRight', ' '].includes(key);
    }
    return true;
  }
}
