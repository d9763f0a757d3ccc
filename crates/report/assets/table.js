// @ts-check
// The table: one row per function, line, file or package, with what each asked for itself and with all it called; or one per
// thread, process or function that allocates.

import { Grid, numberCell, shareCell } from './grid.js';
import { counted, exact, fileAndLine, humanBytes, percent, signed } from './words.js';
import { KINDS } from './data.js';
import { choice, element, part } from './panels.js';
import { hasGroup, isAsker, onlyAsker } from './asked.js';
import { GROUPS, filterRows, sortRows } from './rows.js';
import { tableRecords } from './records.js';
import { pathOf } from './views.js';

/**
 * @typedef {import('./main.js').Application} Application
 * @typedef {import('./rows.js').Row} TableRow
 */

export class TableView {
  /** @param {Application} app */
  constructor(app) {
    this.app = app;
    this.place = part('table');
    this.idle = 'A title sorts the rows; a double click or Enter leads on from one';
    this.grid = new Grid(part('table-rows'), 'table-row', {
      label: 'What each function asked for. Enter shows it in the graph.',
      role: 'grid',
      make: (at) => this.row(at),
      select: (at) => this.select(this.rows[at]),
      enter: (at) => this.enter(this.rows[at]),
      sort: (key) => this.sort(key),
    });
    this.focused = this.grid.table;
    /** @type {TableRow[]} in the order shown */
    this.rows = [];
    this.filterBox = part('filter');
    let timer = 0;
    this.filterBox.addEventListener('input', () => {
      clearTimeout(timer);
      timer = setTimeout(() => this.app.go({ filter: this.filterBox.value }, false), 80);
    });
    this.filterBox.addEventListener('keydown', (/** @type {KeyboardEvent} */ event) => {
      if (event.key === 'Enter') this.grid.table.focus();
      else if (event.key === 'Escape' && this.filterBox.value !== '') this.app.go({ filter: '' }, false);
      else return;
      event.preventDefault();
      event.stopPropagation();
    });
    const names = { function: 'Functions', line: 'Lines', file: 'Files', package: 'Packages', thread: 'Threads', process: 'Processes', allocator: 'Allocators' };
    const groups = GROUPS.filter((group) => hasGroup(this.model.page, group));
    this.mark = choice(part('group-choice'), groups.map((value) => ({ value, text: names[value] })), (group) => this.app.go({ group }));
  }

  get model() {
    return this.app.model;
  }

  show() {
    const { model } = this;
    const { look } = model;
    this.mark(look.group);
    if (this.filterBox.value !== look.filter) this.filterBox.value = look.filter;
    const all = model.tableRows();
    let wrong = '';
    try {
      this.rows = sortRows(filterRows(all, look.filter, model.frames, look.group), look.sort, model);
    } catch (error) {
      wrong = /** @type {Error} */ (error).message;
      this.rows = [];
    }
    this.filterBox.setAttribute('aria-invalid', String(wrong !== ''));
    const few = this.rows.length < all.length ? `${exact(this.rows.length)} of ` : '';
    part('filter-result').textContent = wrong || few + (look.group === 'process' && all.length !== 1 ? `${exact(all.length)} processes` : counted(all.length, look.group));
    part('table-empty').hidden = this.rows.length > 0;
    this.grid.show(this.columns(), this.rows.length);
    if (this.app.selected > 0) this.toSelected();
  }

  /** Makes the row of the selected frame the active one, if there is one. */
  toSelected() {
    const { lines, look } = this.model;
    if (isAsker(look.group)) return;
    const group = lines.groups(look.group);
    const frame = this.model.view.frame[this.app.selected];
    this.grid.activate(frame < 0 ? -1 : this.rows.findIndex((row) => row.frame === group[frame]), true);
  }

  /** To the next row that the search found. @param {number} way  1 or −1 @returns {string} where that is, "" if nowhere */
  step(way) {
    const found = this.rows.flatMap((row, i) => (row.found ? [i] : []));
    if (found.length === 0) return '';
    const next = way > 0 ? found.findIndex((i) => i > this.grid.active) : found.findLastIndex((i) => i < this.grid.active);
    const at = next >= 0 ? next : way > 0 ? 0 : found.length - 1;
    this.grid.activate(found[at], true);
    this.select(this.rows[found[at]]);
    return `${at + 1} of ${found.length}`;
  }

  /** @param {number} id */
  goTo(id) {
    if (id > 0) this.toSelected();
  }

  records() {
    return tableRecords(this.model, this.rows);
  }

  drawForPaper() {
    this.grid.drawForPaper();
  }

  /** @returns {import('./grid.js').GridColumn[]} */
  columns() {
    const { model } = this;
    const [sorted, way] = model.look.sort.split('.');
    // Who asks has nothing but what it asked for.
    const alone = isAsker(model.look.group);
    const shown = alone ? sorted.replace('total', 'own') : sorted;
    const counts = model.noun === 'block' ? 'Blocks' : 'Allocations';
    const second = model.difference ? 'change' : 'share';
    const { group } = model.look;
    const names = /** @type {Record<string, string>} */ ({ line: 'Function' })[group] ?? group[0].toUpperCase() + group.slice(1);
    const wheres = /** @type {Record<string, string>} */ ({ package: 'Whose code', file: 'Package', thread: 'Process', process: 'Command' });
    const column = (/** @type {string} */ key, /** @type {string} */ text, className = '', title = '') => {
      const usual = ['name', 'where'].includes(key) ? 'ascending' : 'descending';
      const other = usual === 'ascending' ? 'descending' : 'ascending';
      const sort = /** @type {'ascending' | 'descending' | null} */ (shown !== key ? null : way === 'turned' ? other : usual);
      return { key, text, className, title, sort };
    };
    const itself = alone ? 'What it asked for' : 'What it asked for itself';
    const all = 'What it and all it called asked for';
    const columns = [
      column('name', names),
      ...(group === 'allocator' ? [] : [column('where', wheres[group] ?? 'Where', 'where')]),
      column('own', alone ? 'Bytes' : 'Itself', 'number', itself),
      column(`own-${second}`, model.difference ? 'Change' : 'Share', `number ${second}`, itself),
      column('own-counts', counts, 'number counts', itself),
    ];
    return alone ? columns : [
      ...columns,
      column('total', 'With callees', 'number all', all),
      column(`total-${second}`, model.difference ? 'Change' : 'Share', `number ${second}`, all),
      column('total-counts', counts, 'number counts', all),
    ];
  }

  /** By this column, or if it is that already, the other way round. @param {string} key */
  sort(key) {
    this.app.go({ sort: this.model.look.sort === key ? `${key}.turned` : key });
  }

  /** @param {number} at @returns {HTMLElement} */
  row(at) {
    const { model } = this;
    const { own, total, found } = this.rows[at];
    const { name, where } = rowNames(model, this.rows[at]);
    const row = element('tr', undefined, found ? 'found' : undefined);
    const first = element('td', name, 'name');
    first.title = name;
    const file = element('td', undefined, 'file where');
    // The end of a path tells the most; an isolate keeps its "/" at its place.
    file.append(element('bdi', where));
    file.title = where;
    const { group } = model.look;
    // Of a command the beginning tells the most.
    if (isAsker(group)) file.style.direction = 'ltr';
    row.append(...(group === 'allocator' ? [first] : [first, file]), ...this.cells(own), ...(isAsker(group) ? [] : this.cells(total)));
    return row;
  }

  /** @param {import('./model.js').Values} values @returns {HTMLElement[]} */
  cells(values) {
    const { model } = this;
    const [before, after] = model.inUnit(values);
    const whole = model.inUnit(model.whole)[1];
    const tone = after > before ? 'grew' : after < before ? 'shrank' : '';
    return [
      numberCell(humanBytes(values.bytes)),
      model.difference
        ? numberCell(signed(after - before, (n) => model.amount(n)), tone)
        : shareCell(percent(after, whole), whole > 0 ? after / whole : 0),
      numberCell(exact(values.counts), 'counts'),
    ];
  }

  /** @param {TableRow} row */
  select(row) {
    const { group } = this.model.look;
    if (group === 'file' || group === 'package') return;
    const { name, where } = rowNames(this.model, row);
    const words = (/** @type {import('./model.js').Values} */ values) => `${humanBytes(values.bytes)} in ${counted(values.counts, this.model.noun)}`;
    if (isAsker(group)) {
      this.app.tell([name, where, words(row.own)].filter(Boolean).join('  ·  '));
      return;
    }
    this.app.selected = this.model.lines.widestOf(row.frame);
    this.app.side.about(row.frame);
    this.app.tell([name, where, `Itself: ${words(row.own)}`, `With callees: ${words(row.total)}`].filter(Boolean).join('  ·  '));
  }

  /** To the widest place of a function in the graph, or to the functions of a file, a package, a thread and so on. @param {TableRow} row */
  enter(row) {
    const { model } = this;
    const { group } = model.look;
    if (group === 'file' || group === 'package') {
      this.app.go({ group: 'function', filter: rowNames(model, row).name });
      return;
    }
    if (isAsker(group)) {
      if (row.frame >= 0) this.app.go({ group: 'function', filter: '', ...onlyAsker(model.page, group, row.frame) });
      return;
    }
    const id = model.lines.widestOf(row.frame);
    if (id > 0) this.app.go({ view: 'calls', zoom: pathOf(model.view, id) });
  }
}

/**
 * What stands in the first two columns.
 * @param {import('./model.js').Model} model
 * @param {TableRow} row
 */
function rowNames(model, { frame, names }) {
  const { frames, look } = model;
  if (names) return names;
  if (look.group === 'package') return { name: frames.package[frame], where: KINDS[frames.kind[frame]] };
  if (look.group === 'file') return { name: frames.file[frame] || '(unknown file)', where: frames.package[frame] };
  return { name: frames.name[frame], where: fileAndLine(frames.file[frame], look.group === 'line' ? frames.line[frame] : 0) };
}
