// @ts-check
// The application: what the reader does → the model → the view that shows it. Starts everything, at the end of this file.

import { readPage, unpackPage } from './data.js';
import { pathOf } from './views.js';
import { COLOURS, WIDTHS, fromAddress, toAddress } from './address.js';
import { SMALLER } from './prune.js';
import { Model } from './model.js';
import { choice, closesByItself, element, part, recall, remember, showFacts, showLegend } from './panels.js';
import { SidePanel } from './side.js';
import { GraphView } from './graph.js';
import { TableView } from './table.js';
import { TreeView } from './tree.js';
import { Downloads } from './download.js';
import { LeaksView } from './leaks_view.js';
import { TypesView } from './types_view.js';
import { ChangesView } from './changes_view.js';
import { TimeBar } from './timebar.js';
import { Filters } from './filters.js';
import { metricKeys } from './selection.js';
import { hasGroup } from './asked.js';
import { AddressBar } from './address_bar.js';
import { dayAndTime, metricHint, temporaryPhrase } from './words.js';

/**
 * @typedef {import('./address.js').Look} Look
 * @typedef {object} PageView  one way to show the model, of which one is visible
 * @property {HTMLElement} place
 * @property {HTMLElement} [focused]  what takes the focus, if not the place itself
 * @property {() => void} show  after the model or the size of the place has changed
 * @property {(way: number) => string} [step]  to the next match of the search in an order of its own; says where that is
 * @property {() => void} [draw]  on the next frame of the screen after `Application.draw` was called
 * @property {() => void} [drawForPaper]  instead, before the page is printed
 * @property {() => import('./records.js').Records} [records]  what is displayed, to be saved or copied
 * @property {(id: number) => void} [reveal]  brings a selected node into sight
 * @property {(id: number) => void} [goTo]  likewise, zooming or opening as needed
 * @property {() => {number: string, words: string}} [headline]  what stands at the top, if not the model's total
 * @property {() => string} [searchResult]  what the search found, if it does not search the graph
 * @property {string} [hint]  what stands at the foot, if no frames are selected here
 */

/** The options that are on or off: part of the page, part of the look. */
const OPTIONS = /** @type {const} */ ([
  ['by-line', 'byLine'], ['imports', 'imports'], ['interpreter', 'interpreter'], ['only-project', 'onlyProject'], ['merge-recursion', 'mergeRecursion'],
  ['by-source', 'bySource'], ['flames', 'flames'],
  ['only-grew', 'onlyGrew'],
]);

/** A page that cannot be shown says why, instead of staying empty. @param {unknown} error */
function fail(error) {
  const failure = part('failure');
  failure.hidden = false;
  failure.textContent = `This flame graph cannot be shown. ${error instanceof Error ? error.message : String(error)}`;
}

export class Application {
  /** @param {Model} model */
  constructor(model) {
    this.model = model;
    /** What an address without "#" shows. */
    this.first = model.look;
    /** Node of the model's view, −1: none. */
    this.selected = -1;
    this.drawing = 0;
    this.searchBox = part('search');
    /** What the search found, and at which of it the reader is. @type {{nodes: number[], at: number} | null} */
    this.found = null;
    /** Ends the wait for more letters. */
    this.searchNow = () => {};
    this.bar = new AddressBar();
    /** Steps of the reader that the browser's back button can take back. */
    this.steps = 0;
    /** @type {(name: string) => string} CSS variable → value */
    this.css = () => '';
    /** Mark what is chosen in the switches. @type {((value: string) => void)[]} */
    this.marks = [];
    /** Those that there is a switch for. @type {{key: string, label: string}[]} */
    this.metrics = [];
    this.graph = new GraphView(this);
    this.side = new SidePanel(this);
    this.downloads = new Downloads(this);
    this.time = new TimeBar(this);
    this.filters = new Filters(this);
    /** By `Look.view`. @type {Record<string, PageView>} */
    this.views = { calls: this.graph, inverted: this.graph, tree: new TreeView(this), table: new TableView(this) };
    if (model.difference || model.page.course) this.views.changes = new ChangesView(this);
    if (model.page.leaks) this.views.leaks = new LeaksView(this, model.page.leaks);
    if (model.page.types.length > 0) this.views.types = new TypesView(this, model.page.types);
  }

  start() {
    const { page } = this.model;
    part('title').textContent = page.title;
    document.title = page.title;
    const warnings = part('warnings');
    warnings.replaceChildren(...page.warnings.map((warning) => element('li', warning)));
    warnings.hidden = page.warnings.length === 0;
    const started = dayAndTime(page.startedUnix);
    showFacts(part('facts'), started ? [...page.facts.slice(0, 1), ['started', started], ...page.facts.slice(1)] : page.facts);
    part('temporary-words').textContent = temporaryPhrase(page.temporaryWithin);
    part('diff-words').hidden = !this.model.difference;
    part('interpreter-label').hidden = !this.model.hasInterpreter;
    part('imports-label').hidden = !this.model.hasImports;
    part('only-project-label').hidden = !this.model.hasProject;
    this.makeSwitches();
    this.listenToTools();
    this.listenToKeys();
    this.listenToWindow();
    part('failure').hidden = true;
    part('page').hidden = false;
    part('search-field').hidden = false;
    this.steps = Number(history.state?.steps) || 0;
    this.setTheme();
    this.show(this.addressed());
  }

  addressed() {
    const { page } = this.model;
    const look = fromAddress(location.hash, this.first, metricKeys(page), Object.keys(this.views));
    return hasGroup(page, look.group) ? look : { ...look, group: this.first.group };
  }

  /** The view that is visible. */
  get view() {
    return this.views[this.model.look.view];
  }

  /**
   * Shows another look without writing it down.
   * @param {Look} look
   */
  show(look) {
    const search = this.model.look.search;
    const others = this.model.show(look);
    if (others) this.selected = -1;
    if (others || look.search !== search) this.found = null;
    this.showTools();
    for (const view of Object.values(this.views)) view.place.hidden = true;
    this.view.place.hidden = false;
    // Before the view, to which it leaves the rest of the width.
    if (this.side.frame < 0) this.side.about(this.model.view.frame[this.model.zoomed]);
    else this.side.show();
    this.view.show();
    this.downloads.show();
    this.draw();
  }

  /**
   * Shows another look and writes it into the address, as a new step or in place of the last one.
   * @param {Partial<Look>} change
   * @param {boolean} [step]
   */
  go(change, step = true) {
    const before = this.model.look;
    const look = { ...before, ...change };
    // What is chosen above one list means nothing to another.
    if (look.view !== before.view) look.list = change.list ?? '';
    // Another tree has other paths: keep the zoom as far as the path still leads, but not when turned over.
    if ((look.view === 'inverted') !== (before.view === 'inverted')) look.zoom = [];
    this.show(look);
    // Heard, not seen: what is shown now.
    if (look.view !== before.view || look.metric !== before.metric || look.unit !== before.unit) {
      this.say(`${part('view-choice').querySelector('[aria-checked="true"]')?.textContent}: ${this.model.headline().number} ${this.model.headline().words}`);
    }
    if (look.zoom.length > 0) look.zoom = pathOf(this.model.view, this.model.zoomed);
    this.write(look, step);
  }

  /**
   * Writes a look into the address, as a new step or in place of the last one.
   * @param {Look} look
   * @param {boolean} step
   */
  write(look, step) {
    // What waits to be written is a step of its own.
    if (step) this.bar.flush();
    const address = toAddress(look, this.first);
    if (step && address !== toAddress(this.addressed(), this.first)) this.bar.push((this.steps += 1), address);
    else this.bar.replace(this.steps, address);
  }

  back() {
    if (this.steps > 0) history.back();
    else if (this.model.zoomed > 0) this.go({ zoom: pathOf(this.model.view, this.model.view.parent[this.model.zoomed]) });
  }

  /** Zooms the graph to a node. @param {number} id */
  zoom(id) {
    this.selected = id;
    this.side.about(this.model.view.frame[id]);
    // What stands for several frames is none.
    if (id !== this.model.zoomed && this.model.view.frame[id] !== SMALLER) {
      this.go({ zoom: pathOf(this.model.view, id) });
      this.graph.toZoomed();
    }
    this.showDetails();
    this.draw();
  }

  /** Selects a node of a view that has brought it into sight itself. @param {number} id */
  choose(id) {
    this.selected = id;
    this.side.about(this.model.view.frame[id]);
    this.showDetails();
  }

  /** Puts words into the foot of the page, where the numbers of what is selected stand. @param {string} words */
  tell(words) {
    part('details').textContent = words;
  }

  /** Says something to who listens to the page. @param {string} words */
  say(words) {
    part('said').textContent = words;
  }

  /** To the next or the previous of what the search found. @param {number} way  1 or −1 */
  step(way) {
    this.searchNow();
    if (!this.model.matched) return;
    if (this.view.step) {
      const where = this.view.step(way);
      this.tell(where ? `Match ${where}  ·  ${part('details').textContent}` : 'No row here matches the search.');
      return;
    }
    const found = (this.found ??= { nodes: this.model.foundNodes(), at: -1 });
    const { nodes } = found;
    if (nodes.length === 0) return;
    found.at = found.at < 0 && way < 0 ? nodes.length - 1 : (found.at + way + nodes.length) % nodes.length;
    const id = nodes[found.at];
    this.selected = id;
    this.side.about(this.model.view.frame[id]);
    this.view.goTo?.(id);
    this.tell(`Match ${found.at + 1} of ${nodes.length}  ·  ${this.model.sentence(id)}`);
    this.draw();
  }

  /** Selects a node, and brings it into sight. @param {number} id */
  select(id) {
    this.selected = id;
    this.side.about(this.model.view.frame[id]);
    this.view.reveal?.(id);
    this.showDetails();
    this.draw();
  }

  /** Tells about a function, and selects its widest place. @param {number} frame */
  goToFunction(frame) {
    const id = this.model.lines.widestOf(frame);
    this.side.about(frame);
    if (id < 0) return;
    this.selected = id;
    this.view.goTo?.(id);
    this.showDetails();
    this.draw();
  }

  /** Asks for a drawing before the next frame of the screen, however often it is asked. */
  draw() {
    if (this.drawing) return;
    this.drawing = requestAnimationFrame(() => {
      this.drawing = 0;
      this.view.draw?.();
      this.time.draw();
    });
  }

  // ---- switches -----------------------------------------------------------------------------------------

  makeSwitches() {
    const unit = choice(
      part('unit-choice'),
      [{ value: 'bytes', text: 'Bytes' }, { value: 'blocks', text: 'Blocks' }],
      (value) => this.go({ unit: value === 'blocks' ? 'blocks' : 'bytes' }),
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
        ...lists.filter(({ value }) => value in this.views),
      ],
      (view) => this.go({ view }),
    );
    const widths = { larger: 'Both', change: 'Difference', before: 'Before', after: 'After' };
    const width = choice(
      part('width-choice'),
      WIDTHS.map((value) => ({ value, text: widths[/** @type {'larger'} */ (value)], title: value === 'larger' ? 'As wide as the larger side' : undefined })),
      (value) => this.go({ widths: value }),
    );
    this.marks = [() => {}, unit, view, width];
  }

  /** An instant has other metrics than a window or the whole run. */
  showMetrics() {
    const { metrics } = this.model.chosen;
    if (metrics === this.metrics) return;
    this.metrics = metrics;
    const { page, span } = this.model.chosen;
    const inWindow = span !== null || page.span !== null;
    const options = metrics.map(({ key, label }) => ({ value: key, text: label, title: metricHint(key, inWindow, page.temporaryWithin) }));
    this.marks[0] = choice(part('metric-choice'), options, (key) => this.go({ metric: key }));
    part('metric-choice').hidden = metrics.length < 2;
  }

  showTools() {
    const { model } = this;
    const { look } = model;
    const { number, words } = this.view.headline?.() ?? model.headline();
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
    this.filters.show();
    this.time.show();
    if (this.searchBox.value !== look.search) this.searchBox.value = look.search;
    this.searchBox.setAttribute('aria-invalid', String(model.searchError !== ''));
    part('search-result').textContent = model.searchError || (this.view.searchResult ? this.view.searchResult() : model.searchResult());
    part('search-result').classList.toggle('wrong', model.searchError !== '');
    part('search-next').hidden = part('search-previous').hidden = model.matched === null;
    part('back').disabled = this.steps === 0 && model.zoomed === 0;
    part('reset').disabled = model.zoomed === 0;
    showLegend(part('legend'), model);
    this.showDetails();
  }

  /** What stands in the sheet of options, and on its button how many of them are not as at first. */
  showOptions() {
    const { model, first } = this;
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

  showDetails() {
    const id = this.selected >= 0 ? this.selected : this.model.zoomed;
    part('details').textContent =
      this.view.hint ? this.view.hint : id > 0 ? this.model.sentence(id) : 'Click a frame to zoom in, point at it for its numbers; ? shows the keys.';
  }

  listenToTools() {
    let timer = 0;
    let took = 0;
    const search = () => {
      clearTimeout(timer);
      if (this.searchBox.value === this.model.look.search) return;
      const from = performance.now();
      this.go({ search: this.searchBox.value }, false);
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
    part('search-next').addEventListener('click', () => this.step(1));
    part('search-previous').addEventListener('click', () => this.step(-1));
    for (const [id, name] of OPTIONS) part(id).addEventListener('change', () => this.go({ [name]: part(id).checked }));
    part('least').addEventListener('change', () => this.go({ least: Math.min(100, Math.max(0, Number(part('least').value) || 0)) }));
    part('colours').addEventListener('change', () => this.go({ colours: part('colours').value }));
    closesByItself(part('options'));
    part('back').addEventListener('click', () => this.back());
    part('reset').addEventListener('click', () => this.go({ zoom: [] }));
    part('info-button').addEventListener('click', () => part('info').showModal());
    part('info').addEventListener('click', (/** @type {MouseEvent} */ event) => {
      if (event.target === part('info')) part('info').close();
    });
    part('theme-button').addEventListener('click', () => {
      remember('theme', this.model.dark ? 'light' : 'dark');
      this.setTheme(!this.model.dark);
    });
  }

  /** @param {boolean} [dark]  without it: as chosen before, else as the system has it */
  setTheme(dark) {
    if (dark === undefined) {
      const chosen = recall('theme');
      dark = chosen ? chosen === 'dark' : matchMedia('(prefers-color-scheme: dark)').matches;
    }
    document.documentElement.dataset.theme = dark ? 'dark' : 'light';
    this.model.setDark(dark);
    const style = getComputedStyle(document.documentElement);
    this.css = (name) => style.getPropertyValue(name).trim();
    showLegend(part('legend'), this.model);
    this.side.show();
    this.draw();
  }

  // ---- keys and window ----------------------------------------------------------------------------------

  listenToKeys() {
    document.addEventListener('keydown', (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey || part('info').open) return;
      const typing = event.target === this.searchBox;
      // Another field or list has its own use for keys.
      if (!typing && event.target instanceof Element && event.target.matches('input:not([type="checkbox"]), select')) return;
      if (typing ? this.typedKey(event.key, event.shiftKey) : this.pageKey(event.key)) event.preventDefault();
    });
  }

  /** @param {string} key @param {boolean} shift @returns {boolean} whether the key meant something */
  typedKey(key, shift) {
    if (key === 'Escape' && this.searchBox.value !== '') this.go({ search: '' }, false);
    else if (key === 'Enter' && this.searchBox.value !== '') this.step(shift ? -1 : 1);
    else if (key === 'Escape' || key === 'Enter' || key === 'ArrowDown') (this.view.focused ?? this.view.place).focus();
    else return false;
    return true;
  }

  /** @param {string} key @returns {boolean} */
  pageKey(key) {
    switch (key) {
      case '/': this.searchBox.focus(); this.searchBox.select(); return true;
      case 'Escape': this.back(); return true;
      case '0': this.go({ zoom: [] }); return true;
      case 'r': case 'R': this.go({ flames: !this.model.look.flames }); return true;
      case 'i': case 'I': this.toggle('inverted'); return true;
      case 't': case 'T': this.toggle('table'); return true;
      case 'o': case 'O': this.toggle('tree'); return true;
      case 'l': case 'L': this.toggle('leaks'); return true;
      case 'y': case 'Y': this.toggle('types'); return true;
      case 'g': case 'G': this.toggle('changes'); return true;
      case 'c': case 'C': this.copy(); return true;
      case 'd': case 'D': this.side.toggle(); return true;
      case 'z': case 'Z': case '+': case '-': return this.time.zoomKey(key);
      case '?': part('info').showModal(); return true;
      default: return false;
    }
  }

  /** To this view if the page has it, and from it back to the callees. @param {string} view */
  toggle(view) {
    if (!(view in this.views)) return;
    this.go({ view: this.model.look.view === view ? 'calls' : view });
  }

  async copy() {
    const id = this.graph.hovered > 0 ? this.graph.hovered : this.selected;
    if (id <= 0) return;
    try {
      await navigator.clipboard.writeText(this.model.callPath(id));
      part('details').textContent = 'The call path is copied.';
    } catch {
      part('details').textContent = 'The browser did not allow copying.';
    }
  }

  listenToWindow() {
    const sizes = new ResizeObserver(() => {
      this.view.show();
      this.draw();
    });
    for (const place of new Set(Object.values(this.views).map((view) => view.place))) sizes.observe(place);
    addEventListener('popstate', (event) => {
      this.bar.forget();
      this.steps = Number(event.state?.steps) || 0;
      this.show(this.addressed());
    });
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => this.setTheme());
    addEventListener('beforeprint', () => {
      this.setTheme(false);
      cancelAnimationFrame(this.drawing);
      this.drawing = 0;
      this.time.draw();
      this.view.drawForPaper?.();
    });
    addEventListener('afterprint', () => {
      this.setTheme();
      this.show(this.model.look);
    });
  }
}

addEventListener('error', (event) => fail(event.error ?? event.message));
addEventListener('unhandledrejection', (event) => fail(event.reason));
unpackPage(part('data').textContent)
  .then((json) => new Application(new Model(readPage(json))).start())
  .catch(fail);
