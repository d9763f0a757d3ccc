// @ts-check
// The table of functions: what each allocated itself and with all it called. All text goes in by `textContent`.

import { element, part } from './panels.js';
import { fileAndLine, percent, signed } from './words.js';

/**
 * @typedef {import('./model.js').Model} Model
 * @typedef {import('./main.js').Application} Application
 */

/** Rows shown at first. */
const TABLE_ROWS = 200;

export class TableView {
  /** @param {Application} app */
  constructor(app) {
    this.app = app;
    this.place = part('table');
    /** @type {{sort: 'own' | 'total', all: boolean}} */
    this.state = { sort: 'own', all: false };
  }

  /** After the model has changed. */
  show() {
    showTable(this.place, this.app.model, this.state, {
      sort: (sort) => { this.state.sort = sort; this.show(); },
      all: () => { this.state.all = true; this.show(); },
      find: (search) => this.app.go({ search, view: 'calls', zoom: [] }),
    });
  }
}

/**
 * The table of functions: what each allocated itself and with all it called.
 * @param {HTMLElement} place
 * @param {Model} model
 * @param {{sort: 'own' | 'total', all: boolean}} state
 * @param {{sort: (by: 'own' | 'total') => void, all: () => void, find: (text: string) => void}} tell
 */
function showTable(place, model, state, tell) {
  const weight = (/** @type {import('./model.js').Values} */ values) => {
    const [before, after] = model.inUnit(values);
    return model.difference ? Math.abs(after - before) : after;
  };
  const rows = model.tableRows().sort((a, b) => weight(b[state.sort]) - weight(a[state.sort]) || a.frame - b.frame);
  const whole = model.inUnit(model.whole)[1];
  const cells = (/** @type {import('./model.js').Values} */ values) => {
    const [before, after] = model.inUnit(values);
    const second = model.difference ? signed(after - before, (n) => model.amount(n)) : percent(after, whole);
    return [element('td', model.amount(after), 'number'), element('td', second, 'number share')];
  };
  const body = element('tbody');
  for (const { frame, own, total } of rows.slice(0, state.all ? undefined : TABLE_ROWS)) {
    const name = /** @type {HTMLButtonElement} */ (element('button', model.frames.name[frame]));
    name.type = 'button';
    name.title = 'Find it in the graph';
    name.addEventListener('click', () => tell.find(model.frames.name[frame]));
    const cell = element('td');
    cell.append(name);
    const where = fileAndLine(model.frames.file[frame], model.look.byLine ? model.frames.line[frame] : 0);
    const file = element('td', where.length > 56 ? `…${where.slice(-55)}` : where, 'file');
    file.title = where;
    const row = element('tr');
    row.append(cell, file, ...cells(own), ...cells(total));
    body.append(row);
  }
  const table = element('table');
  table.append(tableHead(state.sort, model.difference, tell.sort), body);
  place.replaceChildren(table);
  if (rows.length === 0) place.append(element('p', 'No function matches.', 'more'));
  if (rows.length > TABLE_ROWS && !state.all) {
    const more = element('p', undefined, 'more');
    const button = element('button', `Show all ${rows.length} functions`);
    button.addEventListener('click', tell.all);
    more.append(button);
    place.append(more);
  }
}

/**
 * @param {'own' | 'total'} sort
 * @param {boolean} difference
 * @param {(by: 'own' | 'total') => void} choose
 */
function tableHead(sort, difference, choose) {
  const row = element('tr');
  row.append(headCell('Function'), headCell('Where'));
  for (const [by, text, title] of /** @type {['own' | 'total', string, string][]} */ ([
    ['own', 'Itself', 'What the function asked for itself'],
    ['total', 'With callees', 'What the function and all it called asked for'],
  ])) {
    // A difference is sorted by how much it is, whatever its sign.
    const cells = [text, difference ? 'Change' : 'Share'].map((name, i) => {
      if (i !== Number(difference)) return headCell(name);
      const cell = headCell(sort === by ? `${name} ↓` : name, () => choose(by));
      if (sort === by) cell.setAttribute('aria-sort', 'descending');
      return cell;
    });
    for (const cell of cells) {
      cell.className = 'number';
      cell.title = title;
    }
    row.append(...cells);
  }
  const head = element('thead');
  head.append(row);
  return head;
}

/**
 * @param {string} text
 * @param {() => void} [press]
 * @returns {HTMLElement}
 */
function headCell(text, press) {
  const cell = element('th');
  cell.setAttribute('scope', 'col');
  if (!press) {
    cell.append(element('span', text));
    return cell;
  }
  const button = element('button', text);
  button.addEventListener('click', press);
  cell.append(button);
  return cell;
}
