// @ts-check
// The view of what changed from one side to the other. Which rows, in which order, is changes.js's.

import { fromListAddress, toListAddress } from './choices.js';
import { CHANGES_BY, changeRows, chosenChanges, fateOf, growthOf, isChanged } from './changes.js';
import { markedWindow } from './course.js';
import { pathOfNode, searchFor, zoomTo } from './leaks.js';
import { hiddenFrames } from './prune.js';
import { frameList, pairList, selectBox, showList } from './lists.js';
import { element, part } from './panels.js';
import { counted, exact, humanBytes, percent, signed } from './words.js';

/**
 * @typedef {import('./main.js').Application} Application
 * @typedef {import('./changes.js').ChangeRow} ChangeRow
 * @typedef {import('./changes.js').Sides} Sides
 */

/** Rows shown at first. */
const CHANGE_ROWS = 200;
/** Frames of a call path shown at first. */
const CHANGE_FRAMES = 12;

export class ChangesView {
  /** @param {Application} app */
  constructor(app) {
    this.app = app;
    this.hint = 'A name opens its row: both sides in full, and the call path.';
    this.place = part('changes');
    /** @type {import('./changes.js').ChangesChoice} */
    this.first = { by: 'stack', only: '', sort: 'own' };
    this.chosen = this.first;
    /** @type {Set<string>} */
    this.opened = new Set();
    /** What `all` was made of. @type {unknown[]} */
    this.madeOf = [];
    /** @type {ChangeRow[]} */
    this.all = [];
    this.tools = element('div', undefined, 'list-tools');
    this.list = element('div');
    this.place.append(this.tools, this.list);
  }

  get model() {
    return this.app.model;
  }

  /** All rows, made anew only if they are others. */
  rows() {
    const { page, metric, look, chosen } = this.model;
    const of = [metric, chosen.pass, this.chosen.by, look.unit];
    if (of.some((part, i) => part !== this.madeOf[i])) {
      this.all = metric.before ? changeRows(page, metric, this.chosen.by, look.unit, chosen.pass) : [];
      this.madeOf = of;
      this.opened.clear();
    }
    return this.all;
  }

  /** The rows that are listed. */
  shown() {
    const { matched, page, look } = this.model;
    const onPath = (/** @type {ChangeRow} */ { node, frame }) => {
      if (!matched) return true;
      if (node < 0) return matched[frame] === 1;
      for (let at = node; at >= 0; at = page.nodes.parent[at]) if (matched[page.nodes.frame[at]]) return true;
      return false;
    };
    return chosenChanges(this.rows(), this.chosen, look.unit, onPath);
  }

  /** What the search found, in words. */
  searchResult() {
    return this.model.matched ? `${exact(this.shown().length)} of ${exact(this.rows().length)} rows` : '';
  }

  /** The rows that are listed, to be saved or copied. @returns {import('./records.js').Records} */
  records() {
    const values = (/** @type {Sides} */ { bytes, counts, beforeBytes, beforeCounts }) => [bytes, counts, beforeBytes, beforeCounts];
    const { page } = this.model;
    const path = (/** @type {number} */ node) => pathOfNode(page, node).map(({ name }) => name).reverse().join(';');
    const columns = ['bytes', 'blocks', 'bytes_before', 'blocks_before'];
    const rows = this.shown();
    return this.chosen.by === 'stack'
      ? { columns: ['path', ...columns], rows: rows.map(({ node, own }) => [path(node), ...values(own)]) }
      : {
        columns: [this.chosen.by, 'place', ...columns, ...columns.map((name) => `total_${name}`)],
        rows: rows.map(({ name, place, own, total }) => [name, place, ...values(own), ...values(total)]),
      };
  }

  /** After the model has changed. */
  show() {
    if (!this.model.difference) return this.ask();
    this.chosen = fromListAddress(this.model.look.list, this.first);
    if (!CHANGES_BY.some(([by]) => by === this.chosen.by)) this.chosen.by = 'stack';
    this.showTools();
    const { model, chosen } = this;
    const { unit } = model.look;
    const ofSort = (/** @type {ChangeRow} */ row) => (chosen.sort === 'total' ? row.total : row.own);
    const whole = this.before();
    const isHidden = hiddenFrames(model.frames, model.look);
    const side = (/** @type {Sides} */ sides, /** @type {0 | 1} */ at) => model.amount(model.inUnit(sides)[at]);
    /** @type {import('./lists.js').Column<ChangeRow>[]} */
    const columns = [
      { title: 'Change', sort: 'own', number: true, hint: 'What it asks for itself more than before', cell: (row) => this.change(row.own) },
      { title: 'Before', sort: 'before', number: true, cell: (row) => side(row.own, 0) },
      { title: 'After', sort: 'after', number: true, cell: (row) => side(row.own, 1) },
      { title: 'Of all', number: true, hint: 'The change, of everything before', cell: (row) => this.share(growthOf(ofSort(row), unit), whole) },
    ];
    if (chosen.by !== 'stack') {
      columns.push({ title: 'With callees', sort: 'total', number: true, hint: 'What it and all that was called from there ask for more than before', cell: (row) => this.change(row.total) });
    }
    columns.push(
      { title: 'New, gone', cell: (row) => this.fate(ofSort(row)) },
      { title: chosen.by === 'stack' ? 'Innermost function of the call path' : chosen.by[0].toUpperCase() + chosen.by.slice(1), cell: () => '' },
    );
    showList(this.list, {
      label: 'What changed',
      columns,
      rows: this.shown(),
      key: ({ node, frame }) => `${node} ${frame}`,
      sort: chosen.sort,
      sorted: (sort) => this.choose({ sort }),
      named: (row) => this.nameOf(row, isHidden),
      opened: this.opened,
      detail: (row) => this.detail(row),
      most: CHANGE_ROWS,
      none: this.rows().length === 0 ? `Nothing changed of what was ${model.chosen.words()}.` : 'No row is of this kind.',
    });
  }

  /**
   * A call path is called by its innermost frame that the graph shows: half of all that a program imports would have one name else.
   * @param {ChangeRow} row
   * @param {((frame: number) => boolean) | undefined} isHidden
   */
  nameOf({ name, place, node }, isHidden) {
    const { page, frames } = this.model;
    let at = node;
    while (at >= 0 && isHidden?.(page.nodes.frame[at])) at = page.nodes.parent[at];
    const frame = page.nodes.frame[at];
    return at < 0 || at === node ? { name, place } : { name: frames.name[frame], place: frames.file[frame] };
  }

  /** Everything before, in the chosen unit. */
  before() {
    const { metric: { before }, chosen: { pass }, look } = this.model;
    const values = before === null ? new Float64Array(0) : look.unit === 'bytes' ? before.bytes : before.counts;
    return values.reduce((sum, n, i) => (pass === null || pass[i] ? sum + n : sum), 0);
  }

  /** What is shown has one side: offers what has two. */
  ask() {
    const { page } = this.model;
    const { course, peakAt, span: all } = page;
    const { span } = this.model.chosen;
    this.tools.replaceChildren();
    const line = element('p', 'Changes are between two instants. ', 'more');
    const offer = (/** @type {string} */ text, /** @type {Partial<import('./address.js').Look>} */ change) => {
      const button = /** @type {HTMLButtonElement} */ (element('button', text));
      button.type = 'button';
      button.addEventListener('click', () => this.app.go({ metric: 'growth', ...change }));
      line.append(button);
    };
    if (span !== null && 'from' in span) offer('Growth from the beginning to the end of the window', {});
    else if (course) {
      // At the very end all has been given back.
      if (peakAt !== null) offer(`Growth from ${all ? 'its beginning' : 'the start'} until the peak`, { from: String(all?.from ?? 0), to: String(peakAt) });
      const marked = markedWindow(page);
      if (marked) offer(`Growth ${marked.words}`, { from: marked.from, to: marked.to });
    }
    line.append(' Drag over the plot of time to choose others, and then the metric Growth.');
    this.list.replaceChildren(line);
  }

  /** @param {Partial<import('./changes.js').ChangesChoice>} change */
  choose(change) {
    const chosen = { ...this.chosen, ...change };
    if (chosen.by === 'stack' && chosen.sort === 'total') chosen.sort = 'own';
    this.app.go({ list: toListAddress(chosen, this.first) });
  }

  showTools() {
    const { chosen, model } = this;
    const active = /** @type {HTMLElement | null} */ (document.activeElement);
    const held = active && this.tools.contains(active) ? active.dataset.focus : undefined;
    const by = CHANGES_BY.filter(([name]) => name !== 'module' || model.page.modules.length > 0);
    this.tools.replaceChildren(
      selectBox('By', by.map(([value, text]) => ({ value, text })), chosen.by, (value) => this.choose({ by: value })),
      selectBox('Show', [
        { value: '', text: 'all that changed' },
        { value: 'grew', text: 'what grew' },
        { value: 'shrank', text: 'what shrank' },
        { value: 'new', text: 'what is new' },
        { value: 'gone', text: 'what is gone' },
      ], chosen.only, (only) => this.choose({ only })),
      element('p', this.sentence()),
    );
    for (const again of this.tools.querySelectorAll('select')) if (again.dataset.focus === held) again.focus();
  }

  /** How much of what is listed there is of each kind. */
  sentence() {
    const { unit } = this.model.look;
    let [grew, shrank] = [0, 0];
    for (const { own } of this.rows()) {
      const growth = growthOf(own, unit);
      if (growth > 0) grew += growth;
      else shrank += growth;
    }
    const amount = (/** @type {number} */ n) => this.model.amount(n);
    const callers = this.chosen.sort === 'total' ? 0 : this.rows().filter(({ own }) => !isChanged(own)).length;
    const also = callers > 0 ? `; ${exact(callers)} more only called what changed: sort by “With callees”` : '';
    return `What grew, together: ${signed(grew, amount)}; what shrank: ${signed(shrank, amount)}${also}.`;
  }

  /** @param {Sides} sides */
  change(sides) {
    const growth = growthOf(sides, this.model.look.unit);
    return element('span', signed(growth, (n) => this.model.amount(n)), growth > 0 ? 'grew' : growth < 0 ? 'shrank' : '');
  }

  /** @param {number} growth @param {number} whole */
  share(growth, whole) {
    const share = percent(Math.abs(growth), whole);
    return growth === 0 || share === '–' ? '–' : `${growth < 0 ? '−' : '+'}${share}`;
  }

  /** @param {Sides} sides */
  fate(sides) {
    const fate = fateOf(sides, this.model.look.unit);
    return fate === 'new' || fate === 'gone' ? element('span', fate, `verdict ${fate}`) : '';
  }

  /**
   * What an open row shows.
   * @param {ChangeRow} row
   */
  detail(row) {
    const { model } = this;
    const box = element('div', undefined, 'detail');
    const bytes = (/** @type {number} */ n, /** @type {number} */ blocks) => `${humanBytes(n)} (${exact(n)} bytes) in ${counted(blocks, model.noun)}`;
    /** @type {[string, string][]} */
    const pairs = [];
    for (const [words, sides] of /** @type {[string, Sides][]} */ (this.chosen.by === 'stack' ? [['', row.own]] : [['itself', row.own], ['with callees', row.total]])) {
      const difference = `${signed(sides.bytes - sides.beforeBytes, humanBytes)}, ${signed(sides.counts - sides.beforeCounts, (n) => counted(n, model.noun))}`;
      pairs.push(
        [['Before', words].filter(Boolean).join(', '), bytes(sides.beforeBytes, sides.beforeCounts)],
        [['After', words].filter(Boolean).join(', '), bytes(sides.bytes, sides.counts)],
        [['Difference', words].filter(Boolean).join(', '), difference],
      );
    }
    box.append(pairList(pairs));
    const search = this.searchOf(row);
    if (row.node >= 0 || search) {
      const button = /** @type {HTMLButtonElement} */ (element('button', 'Show in the graph'));
      button.type = 'button';
      button.addEventListener('click', () => this.app.go({ view: 'calls', search, zoom: row.node >= 0 ? zoomTo(model.tree, row.node) : [] }));
      const line = element('p', row.node >= 0 ? 'The call path, innermost first' : '', 'stack-head');
      line.append(button);
      box.append(line);
    }
    // Frames of several lines are one here.
    if (row.node >= 0) box.append(frameList(pathOfNode(model.page, row.node).map(({ name, place }) => ({ name, place: place.replace(/:\d+$/, '') })), CHANGE_FRAMES));
    return box;
  }

  /** What finds the row in the graph; "" if nothing does. @param {ChangeRow} row */
  searchOf({ frame, node }) {
    const { name, file, line } = this.model.frames;
    if (node >= 0) return '';
    switch (this.chosen.by) {
      case 'line': return searchFor(name[frame], file[frame], line[frame]);
      case 'function': return searchFor(name[frame], '', 0);
      case 'file': return file[frame] ? searchFor('', file[frame], 0) : '';
      default: return '';
    }
  }
}
