// @ts-check
// The switches and buttons above the graph, the sheet of options and the search: what they say of the look, and what a click on them
// means for it.

import { COLOURS, WIDTHS } from './address.js';
import { searchResult } from './found.js';
import { choice, closesByItself, element, part, remember, showLegend } from './panels.js';
import { metricHint } from './words.js';

/** @typedef {import('./main.js').Application} Application */

/** The options that are on or off: part of the page, part of the look. */
const OPTIONS = /** @type {const} */ ([
  ['by-line', 'byLine'], ['imports', 'imports'], ['interpreter', 'interpreter'], ['only-project', 'onlyProject'], ['merge-recursion', 'mergeRecursion'],
  ['by-source', 'bySource'], ['flames', 'flames'], ['clock', 'clock'],
  ['only-grew', 'onlyGrew'],
]);

export class Tools {
  /** @param {Application} app */
  constructor(app) {
    this.app = app;
    this.searchBox = part('search');
    /** Ends the wait for more letters. */
    this.searchNow = () => {};
    /** Mark what is chosen in the switches. @type {((value: string) => void)[]} */
    this.marks = [];
    /** Those that there is a switch for. @type {{key: string, label: string}[]} */
    this.metrics = [];
  }

  start() {
    this.make();
    this.listen();
  }

  make() {
    const unit = choice(
      part('unit-choice'),
      [{ value: 'bytes', text: 'Bytes' }, { value: 'blocks', text: 'Blocks' }],
      (value) => this.app.go({ unit: value === 'blocks' ? 'blocks' : 'bytes' }),
    );
    const lists = [
      { value: 'changes', text: 'Changes', title: 'What grew, shrank, is new or gone (G)' },
      { value: 'leaks', text: 'Leaks', title: 'What was left at the end, and how it grew (L)' },
      { value: 'types', text: 'Types', title: 'Python objects by type at each census (Y)' },
    ];
    const view = choice(
      part('view-choice'),
      [
        { value: 'calls', text: 'Callees', title: 'From the outermost callers down to what allocated' },
        { value: 'inverted', text: 'Inverted', title: 'From what allocated to its callers (I)' },
        { value: 'tree', text: 'Tree', title: 'Callers and callees as rows that open and close (O)' },
        { value: 'table', text: 'Table', title: 'One row per function, line, file or package (T)' },
        ...lists.filter(({ value }) => value in this.app.views),
      ],
      (view) => this.app.go({ view }),
    );
    const widths = { larger: 'Both', change: 'Difference', before: 'Before', after: 'After' };
    const width = choice(
      part('width-choice'),
      WIDTHS.map((value) => ({ value, text: widths[/** @type {'larger'} */ (value)], title: value === 'larger' ? 'As wide as the larger side' : undefined })),
      (value) => this.app.go({ widths: value }),
    );
    this.marks = [() => {}, unit, view, width];
  }

  /** An instant has other metrics than a window or the whole run. */
  showMetrics() {
    const { metrics } = this.app.model.chosen;
    if (metrics === this.metrics) return;
    this.metrics = metrics;
    const { page, span } = this.app.model.chosen;
    const inWindow = span !== null || page.span !== null;
    const options = metrics.map(({ key, label }) => ({ value: key, text: label, title: metricHint(key, inWindow, page.temporaryWithin) }));
    this.marks[0] = choice(part('metric-choice'), options, (key) => this.app.go({ metric: key }));
    part('metric-choice').hidden = metrics.length < 2;
  }

  /** After the look has changed. */
  show() {
    const { app } = this;
    const { model } = app;
    const { look } = model;
    const { number, words } = app.view.headline?.() ?? model.headline();
    part('page').dataset.view = look.view;
    part('total').textContent = number;
    part('total-words').textContent = words;
    this.showMetrics();
    const chosen = [model.metric.key, look.unit, look.view, look.widths];
    part('width-field').hidden = !model.difference;
    part('only-grew-label').hidden = !model.difference;
    this.marks.forEach((mark, i) => mark(chosen[i]));
    part('unit-choice').lastChild.textContent = model.noun === 'block' ? 'Blocks' : 'Allocations';
    this.showOptions();
    if (this.searchBox.value !== look.search) this.searchBox.value = look.search;
    this.searchBox.setAttribute('aria-invalid', String(model.searchError !== ''));
    part('search-result').textContent = model.searchError || (app.view.searchResult ? app.view.searchResult() : searchResult(model));
    part('search-result').classList.toggle('wrong', model.searchError !== '');
    part('search-next').hidden = part('search-previous').hidden = model.matched === null;
    part('back').disabled = app.steps === 0 && model.zoomed === 0;
    part('reset').disabled = model.zoomed === 0;
    showLegend(part('legend'), model);
  }

  /** What stands in the sheet of options, and on its button how many of them are not as at first. */
  showOptions() {
    const { model, first } = this.app;
    const { look } = model;
    for (const [id, name] of OPTIONS) part(id).checked = look[name];
    if (Number(part('least').value) !== look.least || document.activeElement !== part('least')) part('least').value = String(look.least);
    const names = { kind: 'Whose code', packages: 'Package', share: 'Share of all', growth: 'Growth' };
    part('colours').replaceChildren(...COLOURS.filter((value) => value !== 'growth' || model.canGrow).map((value) => {
      const option = /** @type {HTMLOptionElement} */ (element('option', names[/** @type {'kind'} */ (value)]));
      option.value = value;
      option.selected = value === look.colours;
      return option;
    }));
    const changed = [...OPTIONS.map(([, name]) => name), /** @type {const} */ ('least'), /** @type {const} */ ('colours')];
    const count = changed.filter((name) => look[name] !== first[name]).length;
    part('options-count').textContent = count > 0 ? String(count) : '';
    part('options-count').title = count > 0 ? `${count} changed` : '';
  }

  listen() {
    let timer = 0;
    let took = 0;
    const search = () => {
      clearTimeout(timer);
      if (this.searchBox.value === this.app.model.look.search) return;
      const from = performance.now();
      this.app.go({ search: this.searchBox.value }, false);
      took = performance.now() - from;
    };
    this.searchBox.addEventListener('input', () => {
      // A search that takes its time waits for the end of the word.
      if (took < 20) search();
      else {
        clearTimeout(timer);
        timer = setTimeout(search, 80);
      }
    });
    // Enter goes to what is found by what is written.
    this.searchNow = search;
    part('search-next').addEventListener('click', () => this.app.step(1));
    part('search-previous').addEventListener('click', () => this.app.step(-1));
    for (const [id, name] of OPTIONS) part(id).addEventListener('change', () => this.app.go({ [name]: part(id).checked }));
    part('least').addEventListener('change', () => this.app.go({ least: Math.min(100, Math.max(0, Number(part('least').value) || 0)) }));
    part('colours').addEventListener('change', () => this.app.go({ colours: part('colours').value }));
    closesByItself(part('options'));
    part('back').addEventListener('click', () => this.app.back());
    part('reset').addEventListener('click', () => this.app.go({ zoom: [] }));
    part('info-button').addEventListener('click', () => part('info').showModal());
    part('info').addEventListener('click', (/** @type {MouseEvent} */ event) => {
      if (event.target === part('info')) part('info').close();
    });
    part('theme-button').addEventListener('click', () => {
      remember('theme', this.app.model.dark ? 'light' : 'dark');
      this.app.setTheme(!this.app.model.dark);
    });
  }
}
