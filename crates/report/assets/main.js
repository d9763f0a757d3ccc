// @ts-check
// The application: what the reader does → the model → the view that shows it. Starts everything, at the end of this file.

import { readPage, unpackPage } from './data.js';
import { pathOf } from './views.js';
import { fromAddress, toAddress } from './address.js';
import { SMALLER } from './prune.js';
import { sentence } from './described.js';
import { foundNodes } from './found.js';
import { Model } from './model.js';
import { element, part, recall, showFacts, showLegend } from './panels.js';
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
import { Tools } from './tools.js';
import { listenToKeys } from './keys.js';
import { metricKeys } from './selection.js';
import { hasGroup } from './asked.js';
import { AddressBar } from './address_bar.js';
import { dayAndTime, temporaryPhrase } from './words.js';

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
 * @property {string} [idle]  what stands there until one is selected
 */

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
    /** What the search found, and at which of it the reader is. @type {{nodes: number[], at: number} | null} */
    this.found = null;
    this.bar = new AddressBar();
    /** Steps of the reader that the browser's back button can take back. */
    this.steps = 0;
    /** @type {(name: string) => string} CSS variable → value */
    this.css = () => '';
    this.tools = new Tools(this);
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
    part('title').textContent = part('title').title = page.title;
    document.title = page.title;
    const warnings = part('warnings');
    warnings.replaceChildren(...page.warnings.map((warning) => element('li', warning)));
    warnings.hidden = page.warnings.length === 0;
    const started = dayAndTime(page.startedUnix);
    showFacts(part('facts'), started ? [...page.facts.slice(0, 1), ['started', started], ...page.facts.slice(1)] : page.facts);
    part('temporary-words').textContent = temporaryPhrase(page.temporaryWithin);
    part('diff-words').hidden = !this.model.difference;
    part('clock-label').hidden = !(this.model.page.startedUnix > 0 && this.model.page.timeline.seconds.length > 0);
    part('interpreter-label').hidden = !this.model.hasInterpreter;
    part('imports-label').hidden = !this.model.hasImports;
    part('only-project-label').hidden = !this.model.hasProject;
    this.tools.start();
    listenToKeys(this);
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
    this.tools.show();
    this.filters.show();
    this.time.show();
    this.showDetails();
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
    this.tools.searchNow();
    if (!this.model.matched) return;
    if (this.view.step) {
      const where = this.view.step(way);
      this.tell(where ? `Match ${where}  ·  ${part('details').textContent}` : 'No row here matches the search.');
      return;
    }
    const found = (this.found ??= { nodes: foundNodes(this.model), at: -1 });
    const { nodes } = found;
    if (nodes.length === 0) return;
    found.at = found.at < 0 && way < 0 ? nodes.length - 1 : (found.at + way + nodes.length) % nodes.length;
    const id = nodes[found.at];
    this.selected = id;
    this.side.about(this.model.view.frame[id]);
    this.view.goTo?.(id);
    this.tell(`Match ${found.at + 1} of ${nodes.length}  ·  ${sentence(this.model, id)}`);
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

  showDetails() {
    const id = this.selected >= 0 ? this.selected : this.model.zoomed;
    const { hint, idle } = this.view;
    part('details').textContent = hint || (id > 0 ? sentence(this.model, id) : `${idle}; ? shows the keys.`);
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
