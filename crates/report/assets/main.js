// @ts-check
// The page's events: what the reader does → the model → drawing. Starts everything, at the end of this file.

import { readPage } from './data.js';
import { pathOf } from './views.js';
import { ROW_HEIGHT, indexAt, layoutRows, neighbour, placeOf } from './layout.js';
import { fromAddress, toAddress } from './address.js';
import { drawGraph, prepareCanvas } from './draw.js';
import { drawTimeline } from './timeline.js';
import { Model } from './model.js';
import { choice, element, showFacts, showLegend, showTable, showTooltip } from './panels.js';
import { duration, humanBytes, metricPhrase, temporaryPhrase } from './words.js';

/**
 * @param {string} id
 * @returns {any} the element of the template
 */
function part(id) {
  const found = document.getElementById(id);
  if (!found) throw new Error(`The page has no part "${id}".`);
  return found;
}

/** A page that cannot be shown says why, instead of staying empty. @param {unknown} error */
function fail(error) {
  const failure = part('failure');
  failure.hidden = false;
  failure.textContent = `This flame graph cannot be shown. ${error instanceof Error ? error.message : String(error)}`;
}

class FlameGraph {
  /** @param {Model} model */
  constructor(model) {
    this.model = model;
    /** What an address without "#" shows. */
    this.first = model.look;
    /** @type {import('./layout.js').Row[]} */
    this.rows = [];
    this.hovered = -1;
    this.selected = -1;
    this.pointer = -1;
    this.drawing = 0;
    /** @type {{sort: 'own' | 'total', all: boolean}} */
    this.table = { sort: 'own', all: false };
    this.graph = part('graph');
    this.canvas = part('graph-canvas');
    this.tooltip = part('tooltip');
    this.searchBox = part('search');
    /** Steps of the reader that the browser's back button can take back. */
    this.steps = 0;
    /** @type {(name: string) => string} CSS variable → value */
    this.css = () => '';
    /** Mark what is chosen in the three switches. @type {((value: string) => void)[]} */
    this.marks = [];
  }

  start() {
    const { page } = this.model;
    part('title').textContent = page.title;
    document.title = page.title;
    const warnings = part('warnings');
    warnings.replaceChildren(...page.warnings.map((warning) => element('li', warning)));
    warnings.hidden = page.warnings.length === 0;
    showFacts(part('facts'), page.facts);
    part('temporary-words').textContent = temporaryPhrase(page.temporaryWithin);
    part('diff-words').hidden = !this.model.difference;
    part('interpreter-label').hidden = !this.model.hasInterpreter;
    // In a difference the colours say what changed.
    part('by-package-label').hidden = this.model.difference;
    part('timeline').hidden = page.timeline.length === 0;
    this.makeSwitches();
    this.listenToTools();
    this.listenToGraph();
    this.listenToTimeline();
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
    return fromAddress(location.hash, this.first, this.model.page.metrics.map((metric) => metric.key));
  }

  /**
   * Shows another look without writing it down.
   * @param {import('./address.js').Look} look
   */
  show(look) {
    const before = this.model.look;
    this.model.show(look);
    const sameNodes = look.inverted === before.inverted && look.metric === before.metric && look.byLine === before.byLine && look.interpreter === before.interpreter;
    if (!sameNodes) this.selected = -1;
    this.hovered = -1;
    this.tooltip.hidden = true;
    this.showTools();
    this.layout();
  }

  /**
   * Shows another look and writes it into the address, as a new step or in place of the last one.
   * @param {Partial<import('./address.js').Look>} change
   * @param {boolean} [step]
   */
  go(change, step = true) {
    const look = { ...this.model.look, ...change };
    const moved = ['metric', 'inverted', 'byLine', 'interpreter'].some((key) => key in change);
    // Another tree has other paths: keep the zoom as far as the path still leads, but not when turned over.
    if ('inverted' in change && change.inverted !== this.model.look.inverted) look.zoom = [];
    this.show(look);
    if (moved) look.zoom = pathOf(this.model.view, this.model.zoomed);
    const address = toAddress(look, this.first);
    if (step && address !== toAddress(this.addressed(), this.first)) this.steps += 1;
    else step = false;
    try {
      history[step ? 'pushState' : 'replaceState']({ steps: this.steps }, '', address);
    } catch {
      // In a frame without an address of its own the page works, only without links and the back button.
    }
  }

  back() {
    if (this.steps > 0) history.back();
    else if (this.model.zoomed > 0) this.go({ zoom: pathOf(this.model.view, this.model.view.parent[this.model.zoomed]) });
  }

  /** @param {number} id */
  zoom(id) {
    this.selected = id;
    if (id !== this.model.zoomed) {
      this.go({ zoom: pathOf(this.model.view, id) });
      this.graph.scrollTop = Math.max(0, (this.zoomDepth() - 3) * ROW_HEIGHT);
    }
    this.showDetails();
    this.draw();
  }

  zoomDepth() {
    return pathOf(this.model.view, this.model.zoomed).length;
  }

  // ---- switches -----------------------------------------------------------------------------------------

  makeSwitches() {
    const { metrics } = this.model.page;
    const metric = choice(
      part('metric-choice'),
      metrics.map(({ key, label }) => ({ value: key, text: label })),
      (key) => this.go({ metric: key }),
    );
    part('metric-choice').hidden = metrics.length < 2;
    const unit = choice(
      part('unit-choice'),
      [{ value: 'bytes', text: 'Bytes' }, { value: 'blocks', text: 'Blocks' }],
      (value) => this.go({ unit: value === 'blocks' ? 'blocks' : 'bytes' }),
    );
    const view = choice(
      part('view-choice'),
      [
        { value: 'calls', text: 'Callees', title: 'From the outermost callers down to what allocated' },
        { value: 'inverted', text: 'Inverted', title: 'From what allocated to its callers (I)' },
        { value: 'table', text: 'Table', title: 'One row per function (T)' },
      ],
      (value) => this.go(value === 'table' ? { table: true } : { inverted: value === 'inverted', table: false }),
    );
    this.marks = [metric, unit, view];
  }

  showTools() {
    const { model } = this;
    const { look } = model;
    const { number, words } = model.headline();
    part('total').textContent = number;
    part('total-words').textContent = words;
    const chosen = [look.metric, look.unit, look.table ? 'table' : look.inverted ? 'inverted' : 'calls'];
    this.marks.forEach((mark, i) => mark(chosen[i]));
    part('unit-choice').lastChild.textContent = model.noun === 'block' ? 'Blocks' : 'Allocations';
    part('by-line').checked = look.byLine;
    part('interpreter').checked = look.interpreter;
    part('by-package').checked = look.byPackage;
    if (this.searchBox.value !== look.search) this.searchBox.value = look.search;
    this.searchBox.setAttribute('aria-invalid', String(model.searchError !== ''));
    part('search-result').textContent = model.searchError || model.searchResult();
    part('search-result').classList.toggle('wrong', model.searchError !== '');
    part('back').disabled = this.steps === 0 && model.zoomed === 0;
    part('reset').disabled = model.zoomed === 0;
    this.graph.hidden = look.table;
    part('table').hidden = !look.table;
    showLegend(part('legend'), model);
    this.showDetails();
  }

  showDetails() {
    const id = this.selected >= 0 ? this.selected : this.model.zoomed;
    part('details').textContent =
      id > 0 ? this.model.sentence(id) : 'Click a frame to zoom in, point at it for its numbers; ? shows the keys.';
  }

  listenToTools() {
    let timer = 0;
    this.searchBox.addEventListener('input', () => {
      clearTimeout(timer);
      timer = setTimeout(() => this.go({ search: this.searchBox.value }, false), 80);
    });
    part('by-line').addEventListener('change', () => this.go({ byLine: part('by-line').checked }));
    part('interpreter').addEventListener('change', () => this.go({ interpreter: part('interpreter').checked }));
    part('by-package').addEventListener('change', () => this.go({ byPackage: part('by-package').checked }));
    part('back').addEventListener('click', () => this.back());
    part('reset').addEventListener('click', () => this.go({ zoom: [] }));
    part('info-button').addEventListener('click', () => part('info').showModal());
    part('info').addEventListener('click', (/** @type {MouseEvent} */ event) => {
      if (event.target === part('info')) part('info').close();
    });
    part('theme-button').addEventListener('click', () => {
      try {
        localStorage.setItem('heaptide-theme', this.model.dark ? 'light' : 'dark');
      } catch {
        // Storage may be forbidden; the choice then holds until the page is left.
      }
      this.setTheme(!this.model.dark);
    });
  }

  /** @param {boolean} [dark]  without it: as chosen before, else as the system has it */
  setTheme(dark) {
    if (dark === undefined) {
      let chosen = null;
      try {
        chosen = localStorage.getItem('heaptide-theme');
      } catch {
        // As above.
      }
      dark = chosen ? chosen === 'dark' : matchMedia('(prefers-color-scheme: dark)').matches;
    }
    document.documentElement.dataset.theme = dark ? 'dark' : 'light';
    this.model.setDark(dark);
    const style = getComputedStyle(document.documentElement);
    this.css = (name) => style.getPropertyValue(name).trim();
    showLegend(part('legend'), this.model);
    this.draw();
  }

  // ---- the graph ----------------------------------------------------------------------------------------

  layout() {
    const { model } = this;
    if (model.look.table) {
      this.showTable();
    } else {
      this.rows = layoutRows(model.view, model.column, model.zoomed, this.graph.clientWidth);
      part('graph-height').style.height = `${this.rows.length * ROW_HEIGHT}px`;
      const empty = !(model.view.columns[model.column][0] > 0);
      part('graph-empty').hidden = !empty;
      part('graph-empty').textContent = `Nothing to draw: 0 bytes ${metricPhrase(model.metric.key)}.`;
    }
    this.draw();
  }

  showTable() {
    showTable(part('table'), this.model, this.table, {
      sort: (sort) => { this.table.sort = sort; this.showTable(); },
      all: () => { this.table.all = true; this.showTable(); },
      find: (search) => this.go({ search, table: false, zoom: [] }),
    });
  }

  /** Asks for a drawing before the next frame of the screen, however often it is asked. */
  draw() {
    if (this.drawing) return;
    this.drawing = requestAnimationFrame(() => {
      this.drawing = 0;
      this.drawNow(this.graph.clientWidth, this.graph.clientHeight, this.graph.scrollTop);
      this.drawTime();
    });
  }

  /**
   * @param {number} width
   * @param {number} height
   * @param {number} top
   */
  drawNow(width, height, top) {
    const { model } = this;
    const { css } = this;
    if (model.look.table) return;
    drawGraph(prepareCanvas(this.canvas, width, height), {
      rows: this.rows,
      zoomDepth: this.zoomDepth(),
      fill: (id) => model.fill(id),
      label: (id) => model.nameOf(id),
      remarks: (id) => model.remarks(id),
      matched: model.matched ? (id) => model.isMatched(id) : null,
      hovered: this.hovered,
      selected: this.selected,
      top,
      height,
      style: {
        ink: css('--ink'), soft: css('--frame-soft'), panel: css('--panel'), match: css('--match'),
        accent: css('--accent'), font: `12px ${css('--sans')}`,
      },
    });
  }

  /**
   * @param {MouseEvent} event
   * @returns {number} node id, −1: none
   */
  under(event) {
    const box = this.graph.getBoundingClientRect();
    const depth = Math.floor((event.clientY - box.top - this.graph.clientTop + this.graph.scrollTop) / ROW_HEIGHT);
    const at = indexAt(this.rows[depth], event.clientX - box.left - this.graph.clientLeft);
    return at < 0 ? -1 : this.rows[depth].id[at];
  }

  listenToGraph() {
    this.graph.addEventListener('pointermove', (/** @type {PointerEvent} */ event) => {
      const id = this.under(event);
      this.graph.style.cursor = id >= 0 ? 'pointer' : '';
      if (id !== this.hovered) {
        this.hovered = id;
        this.draw();
      }
      if (id < 0) this.tooltip.hidden = true;
      else showTooltip(this.tooltip, this.model.describe(id), event.clientX, event.clientY);
    });
    this.graph.addEventListener('pointerleave', () => this.leave());
    this.graph.addEventListener('scroll', () => this.leave());
    this.graph.addEventListener('click', (/** @type {MouseEvent} */ event) => {
      const id = this.under(event);
      if (id >= 0) this.zoom(id);
    });
    this.graph.addEventListener('blur', () => { this.tooltip.hidden = true; });
  }

  leave() {
    this.hovered = -1;
    this.tooltip.hidden = true;
    this.draw();
  }

  /** What the mark in the timeline says. */
  instant() {
    return this.model.page.metrics[0]?.key === 'live' ? 'Shown: at' : 'Peak at';
  }

  drawTime() {
    const { timeline, peakAt } = this.model.page;
    if (timeline.length === 0) return;
    const near = drawTimeline(part('timeline-canvas'), timeline, peakAt, this.pointer, this.css);
    const has = timeline.rss.some((bytes) => bytes > 0);
    const at = near < 0 ? '' : `${duration(timeline.seconds[near])}: `;
    const live = element('span', near < 0 ? 'Live bytes' : `${at}${humanBytes(timeline.live[near])} live`);
    const rss = element('span', near < 0 ? 'RSS' : `${humanBytes(timeline.rss[near])} RSS`, 'rss');
    const peak = element('span', peakAt === null ? '' : `${this.instant()} ${duration(peakAt)}`, 'at-peak');
    part('timeline-key').replaceChildren(live, ...(has ? [rss] : []), ...(peakAt === null ? [] : [peak]));
  }

  listenToTimeline() {
    const canvas = part('timeline-canvas');
    const { timeline, peakAt } = this.model.page;
    const most = timeline.live.reduce((a, b) => Math.max(a, b), 0);
    canvas.setAttribute('aria-label', `Live bytes over time, at most ${humanBytes(most)}${peakAt === null ? '' : `, ${this.instant().toLowerCase()} ${duration(peakAt)}`}`);
    canvas.addEventListener('pointermove', (/** @type {PointerEvent} */ event) => {
      this.pointer = event.offsetX;
      this.draw();
    });
    canvas.addEventListener('pointerleave', () => {
      this.pointer = -1;
      this.draw();
    });
  }

  // ---- keys and window ----------------------------------------------------------------------------------

  listenToKeys() {
    document.addEventListener('keydown', (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey || part('info').open) return;
      const typing = event.target === this.searchBox;
      if (typing ? this.typedKey(event.key) : this.pageKey(event.key)) event.preventDefault();
    });
    this.graph.addEventListener('keydown', (/** @type {KeyboardEvent} */ event) => {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      if (this.graphKey(event.key)) event.preventDefault();
    });
  }

  /** @param {string} key @returns {boolean} whether the key meant something */
  typedKey(key) {
    if (key === 'Escape' && this.searchBox.value !== '') this.go({ search: '' }, false);
    else if (key === 'Escape' || key === 'Enter') this.graph.focus();
    else return false;
    return true;
  }

  /** @param {string} key @returns {boolean} */
  pageKey(key) {
    const { look } = this.model;
    switch (key) {
      case '/': this.searchBox.focus(); this.searchBox.select(); return true;
      case 'Escape': this.back(); return true;
      case '0': this.go({ zoom: [] }); return true;
      case 'i': case 'I': this.go({ inverted: !look.inverted, table: false }); return true;
      case 't': case 'T': this.go({ table: !look.table }); return true;
      case 'c': case 'C': this.copy(); return true;
      case '?': part('info').showModal(); return true;
      default: return false;
    }
  }

  /** @param {string} key @returns {boolean} */
  graphKey(key) {
    const way = /** @type {const} */ ({ ArrowUp: 'up', ArrowDown: 'down', ArrowLeft: 'left', ArrowRight: 'right' })[key];
    if (way) this.select(this.selected < 0 ? this.model.zoomed : neighbour(this.rows, this.model.view, this.selected, way));
    else if ((key === 'Enter' || key === ' ') && this.selected >= 0) this.zoom(this.selected);
    else return false;
    return true;
  }

  /** @param {number} id */
  select(id) {
    this.selected = id;
    this.hovered = -1;
    const place = placeOf(this.rows, this.model.view, id);
    if (place) {
      const y = place.depth * ROW_HEIGHT;
      const { scrollTop, clientHeight } = this.graph;
      if (y < scrollTop) this.graph.scrollTop = y;
      else if (y + ROW_HEIGHT > scrollTop + clientHeight) this.graph.scrollTop = y + ROW_HEIGHT - clientHeight;
      const box = this.graph.getBoundingClientRect();
      const row = this.rows[place.depth];
      const x = box.left + row.x[place.index] + Math.min(row.width[place.index] / 2, 40);
      showTooltip(this.tooltip, this.model.describe(id), x, box.top + y - this.graph.scrollTop + ROW_HEIGHT / 2);
    }
    this.showDetails();
    this.draw();
  }

  async copy() {
    const id = this.hovered > 0 ? this.hovered : this.selected;
    if (id <= 0) return;
    try {
      await navigator.clipboard.writeText(this.model.callPath(id));
      part('details').textContent = 'The call path is copied.';
    } catch {
      part('details').textContent = 'The browser did not allow copying.';
    }
  }

  listenToWindow() {
    new ResizeObserver(() => this.layout()).observe(this.graph);
    addEventListener('popstate', (event) => {
      this.steps = Number(event.state?.steps) || 0;
      this.show(this.addressed());
    });
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => this.setTheme());
    addEventListener('beforeprint', () => {
      // Paper does not scroll: all rows at once, as far as a canvas can go.
      const rows = Math.min(this.rows.length, 500);
      this.setTheme(false);
      cancelAnimationFrame(this.drawing);
      this.drawing = 0;
      this.drawTime();
      this.drawNow(this.graph.clientWidth, rows * ROW_HEIGHT, 0);
    });
    addEventListener('afterprint', () => {
      this.setTheme();
      this.layout();
    });
  }
}

addEventListener('error', (event) => fail(event.error ?? event.message));
addEventListener('unhandledrejection', (event) => fail(event.reason));
try {
  new FlameGraph(new Model(readPage(part('data').textContent))).start();
} catch (error) {
  fail(error);
}
