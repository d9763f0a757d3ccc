// @ts-check
// The page's data and what the reader looks at → everything shown: tree, view, widths, matches, words.
// No document and no canvas here; main.js passes the reader's wishes in, draw.js and panels.js show the result.

import { INTERPRETER, NATIVE } from './data.js';
import { BEFORE, BYTES, COUNTS, change, widthColumn } from './calls.js';
import { frameTotals, mergeNodes, ownColumns, sameFrames, totalColumns } from './calls.js';
import { matchFrames, matcher } from './calls.js';
import { inverted, nodeAt, topDown } from './views.js';
import { Selection } from './selection.js';
import { liveAt } from './course.js';
import { firstLook } from './address.js';
import { LineTree } from './functions.js';
import { askerRows, isAsker } from './asked.js';
import { onlyGrown } from './changes.js';
import { SMALLER, hiddenFrames, importFrames, interpreterNodes, mergeRecursion, smallerTogether } from './prune.js';
import { changeColor, kindColor, packageColor, rootColor, shareColor } from './colors.js';
import { countNoun, counted, exact, fileAndLine, humanBytes, signed, tellingName } from './words.js';

/**
 * @typedef {import('./address.js').Look} Look
 * @typedef {{bytes: number, counts: number, beforeBytes: number, beforeCounts: number}} Values
 */

export class Model {
  /** @param {import('./data.js').Page} page */
  constructor(page) {
    this.page = page;
    this.frames = page.frames;
    const isDifference = page.metrics[0].before !== null;
    const imports = importFrames(page.frames);
    this.hasImports = imports.some((is) => is === 1);
    /** 1 for the nodes that are native code of the interpreter. */
    this.ofInterpreter = interpreterNodes(page.nodes, page.frames);
    this.hasInterpreter = page.frames.kind.some((kind, f) => kind === INTERPRETER && !imports[f]) || this.ofInterpreter.includes(1);
    /** Whether there is something to tell the project's own code from. */
    this.hasProject = page.frames.kind.some((kind) => kind === 0) && page.frames.kind.some((kind) => kind !== 0);
    this.dark = false;
    /** @type {Look} */
    this.look = firstLook(page.metrics[page.defaultMetric].key, page.inverted, isDifference ? 'growth' : 'kind');
    // Lines are told apart in the data of a difference, but what only moved would look like a change.
    if (isDifference) this.look.byLine = false;
    if (page.firstView) this.look.view = page.firstView;
    // What grew the most is what a difference is looked at for.
    if (isDifference) this.look.sort = 'own-change';
    this.chosen = new Selection(page, this.look);
    /** How all grew, by node of the tree, made when asked for. @type {Float64Array | null} */
    this.grown = null;
    this.zoomed = 0;
    /** Why the search text is not a search, "" if it is one. */
    this.searchError = '';
    /** @type {Uint8Array | null} per frame */
    this.matched = null;
    /** @type {string[]} fill per frame, made when asked for */
    this.fills = [];
    /** What `shownMetric` made last. @type {{of: import('./selection.js').Shown, pass: Uint8Array | null, metric: import('./selection.js').Shown} | null} */
    this.grownPaths = null;
    this.tree = this.makeTree();
    /** What `kinds` told last. @type {{tree: import('./calls.js').CallTree | null, kinds: Set<number>}} */
    this.kindsOf = { tree: null, kinds: new Set() };
    this.own = this.ownOf(this.tree);
    this.column = widthColumn(this.own, BYTES);
    /** The view with every small frame by itself. @type {import('./views.js').View} */
    this.base = this.makeBase();
    this.view = smallerTogether(this.base, this.column, 0);
    this.lines = new LineTree(this);
  }

  /**
   * Looks at something else. Does only the work that the change needs.
   * @param {Look} look
   * @returns {boolean} whether the nodes are others than before
   */
  show(look) {
    const before = this.look;
    this.look = look;
    if (look.colours !== before.colours) this.fills = [];
    const frames = /** @type {const} */ (['byLine', 'interpreter', 'imports', 'onlyProject', 'mergeRecursion']).some((name) => look[name] !== before[name]);
    const pruned = look.least !== before.least || (look.least > 0 && (look.unit !== before.unit || look.widths !== before.widths));
    const last = this.chosen;
    this.chosen = new Selection(this.page, look, last);
    const amounts = last.metric !== this.chosen.metric || last.pass !== this.chosen.pass || look.onlyGrew !== before.onlyGrew;
    // Where small frames are put together there will be nodes more.
    const grows = look.least > 0 !== before.least > 0;
    const others = frames || grows || amounts || (look.view === 'inverted') !== (before.view === 'inverted');
    if (others) {
      if (frames) this.tree = this.makeTree();
      if (frames || amounts) this.own = this.ownOf(this.tree);
      this.grown = null;
    }
    this.column = widthColumn(this.own, look.unit === 'bytes' ? BYTES : COUNTS, look.widths);
    if (others) this.base = this.makeBase();
    if (others || pruned) this.view = smallerTogether(this.base, this.column, look.least / 100);
    if (frames || look.search !== before.search) this.search(look.search);
    // A link leads to a frame even if it is too small to be shown by itself.
    this.zoomed = nodeAt(this.base, look.zoom);
    return others || pruned;
  }

  /** What is shown, in all cells. */
  get metric() {
    return this.chosen.metric;
  }

  /** Whether there are two sides, before and after. */
  get difference() {
    return this.metric.before !== null;
  }

  /** Whether the data tell how it grew. */
  get canGrow() {
    return this.difference || this.page.course !== null;
  }

  /** Whether callers are below. */
  get turned() {
    return this.look.view === 'inverted';
  }

  /** The kinds of the frames in the tree. @returns {Set<number>} */
  get kinds() {
    if (this.kindsOf.tree !== this.tree) {
      const { tree, frames } = this;
      const kinds = new Set();
      for (let i = 1; i < tree.size; i++) kinds.add(frames.kind[tree.frame[i]]);
      this.kindsOf = { tree, kinds };
    }
    return this.kindsOf.kinds;
  }

  makeTree() {
    const tree = mergeNodes(this.page.nodes, sameFrames(this.frames, this.look.byLine), hiddenFrames(this.frames, this.look), this.hiddenNodes());
    return this.look.mergeRecursion ? mergeRecursion(tree) : tree;
  }

  /** Which nodes are not shown, beside those of hidden frames. @returns {Uint8Array | null} */
  hiddenNodes() {
    return this.look.interpreter ? null : this.ofInterpreter;
  }

  /**
   * Own values of the nodes of a tree made of the page's nodes.
   * @param {import('./calls.js').CallTree} tree
   */
  ownOf(tree) {
    return ownColumns(tree, this.page.cells, this.shownMetric(), this.chosen.pass);
  }

  /** The metric as it is looked at: all of it, or with two sides only the call paths that grew. */
  shownMetric() {
    const { metric, pass } = this.chosen;
    if (!this.look.onlyGrew || !metric.before) return metric;
    if (this.grownPaths?.of !== metric || this.grownPaths.pass !== pass) this.grownPaths = { of: metric, pass, metric: onlyGrown(this.page, metric, pass) };
    return this.grownPaths.metric;
  }

  makeBase() {
    return this.turned ? inverted(this.tree, this.own) : topDown(this.tree, this.own, this.look.least > 0);
  }

  /** @param {string} text */
  search(text) {
    this.searchError = '';
    this.matched = null;
    try {
      const matches = matcher(text);
      if (matches) this.matched = matchFrames(this.frames, matches);
    } catch (error) {
      this.searchError = /** @type {Error} */ (error).message;
    }
  }

  /** @param {number} id */
  isMatched(id) {
    const frame = this.view.frame[id];
    return frame >= 0 && this.matched !== null && this.matched[frame] === 1;
  }

  /**
   * @param {ArrayLike<number>[]} columns
   * @param {number} id
   * @returns {Values}
   */
  valuesOf(columns, id) {
    const at = (/** @type {number} */ column) => columns[column]?.[id] ?? 0;
    return { bytes: at(BYTES), counts: at(COUNTS), beforeBytes: at(BEFORE), beforeCounts: at(BEFORE + COUNTS) };
  }

  /** @param {number[]} sums  one per column @returns {Values} */
  valuesOfSums(sums) {
    return this.valuesOf(sums.map((sum) => [sum]), 0);
  }

  /** @returns {Values} of all nodes together */
  get whole() {
    return this.valuesOf(this.view.columns, 0);
  }

  /** The noun for what is counted: block or allocation. */
  get noun() {
    return countNoun(this.metric.key);
  }

  /** @param {Values} values */
  inUnit(values) {
    return this.look.unit === 'bytes' ? [values.beforeBytes, values.bytes] : [values.beforeCounts, values.counts];
  }

  /**
   * In words, in the chosen unit.
   * @param {number} value
   * @returns {string}
   */
  amount(value) {
    return this.look.unit === 'bytes' ? humanBytes(value) : counted(value, this.noun);
  }

  /**
   * What is there now, in words.
   * @param {string} unit
   * @param {Values} values
   */
  amountIn(unit, values) {
    return unit === 'bytes' ? humanBytes(values.bytes) : counted(values.counts, this.noun);
  }

  /** The frame that asked for the most itself, −1: nobody did. */
  heaviestFrame() {
    const own = this.own[this.column];
    let node = 0;
    for (let i = 1; i < this.tree.size; i++) if (node === 0 || own[i] > own[node]) node = i;
    return this.tree.frame[node];
  }

  /** The number at the top of the page and the words behind it. */
  headline() {
    const { bytes, counts, beforeBytes } = this.whole;
    const meaning = this.chosen.words();
    // The unit of memory over time has seconds in it.
    const unit = this.metric.key === 'byte_seconds' ? '·s' : '';
    if (!this.difference) return { number: `${humanBytes(bytes)}${unit}`, words: `${meaning}, ${counted(counts, this.noun)}` };
    const from = `${humanBytes(beforeBytes)} before, ${humanBytes(bytes)} after, ${meaning}${this.look.onlyGrew ? ', of the call paths that grew' : ''}`;
    return { number: signed(bytes - beforeBytes, humanBytes), words: from };
  }

  /** @param {number} id */
  nameOf(id) {
    const frame = this.view.frame[id];
    if (frame === SMALLER) return `${exact(this.view.together.get(id) ?? 0)} smaller`;
    return frame < 0 ? 'all' : this.frames.name[frame];
  }

  /** What stands in the rectangle of a node. @param {number} id */
  labelOf(id) {
    return (this.look.bySource && this.sourceOf(this.view.frame[id])) || this.fileOfModule(id) || this.nameOf(id);
  }

  /** Of code at the top of a file the file: all of it is called alike. "" of other code. @param {number} id */
  fileOfModule(id) {
    return this.nameOf(id) === '<module>' ? tellingName(this.placeOf(id)) : '';
  }

  /** @param {number} id */
  placeOf(id) {
    const frame = this.view.frame[id];
    if (frame < 0) return '';
    return fileAndLine(this.frames.file[frame], this.look.byLine ? this.frames.line[frame] : 0);
  }

  /** How a node changed in a difference, in the chosen unit. @param {number} id */
  changeOf(id) {
    const [before, after] = this.inUnit(this.valuesOf(this.view.columns, id));
    return change(before, after);
  }

  /**
   * How a node grew, from −1 to 1: the two sides of a difference; the ends of a window; the second half of a run.
   * @param {number} id
   */
  growth(id) {
    if (this.difference) return this.changeOf(id);
    // Where callers are below, a node stands for paths of several nodes of the tree: there its frame tells.
    this.grown ??= this.growthOfNodes();
    return (this.turned ? this.grown[this.tree.size + this.view.frame[id]] : this.grown[id]) || 0;
  }

  /** By node of the tree, and behind them by frame. */
  growthOfNodes() {
    const { page, tree, chosen } = this;
    const grown = new Float64Array(tree.size + this.frames.length);
    const { course, cells } = page;
    if (course === null) return grown;
    const { span } = chosen;
    const [from, to] = span !== null && 'from' in span ? [span.from, span.to] : [course.parts >> 1, Math.max(0, course.parts - 1)];
    const sides = { before: liveAt(course, cells.length, from), after: liveAt(course, cells.length, to) };
    const own = ownColumns(tree, cells, sides, chosen.pass);
    const total = totalColumns(tree, own);
    for (let i = 0; i < tree.size; i++) grown[i] = change(total[BEFORE][i], total[BYTES][i]);
    for (const { frame, total: sums } of frameTotals(tree, own, total)) grown[tree.size + frame] = change(sums[BEFORE], sums[BYTES]);
    return grown;
  }

  /** @param {boolean} dark */
  setDark(dark) {
    this.dark = dark;
    this.fills = [];
  }

  /** @param {number} id */
  fill(id) {
    const frame = this.view.frame[id];
    const { colours } = this.look;
    if ((colours === 'growth' && this.canGrow) || this.metric.key === 'growth') return changeColor(this.growth(id), this.dark);
    if (frame < 0) return rootColor(this.dark);
    if (colours === 'share') return shareColor(this.view.columns[this.column][id] / this.view.columns[this.column][0], this.dark);
    const owner = this.frames.package[frame];
    const kind = this.frames.kind[frame];
    // All of a native program is one object as a rule.
    return (this.fills[frame] ??= colours === 'packages'
      ? packageColor(owner, this.dark)
      : kindColor(kind, kind === NATIVE ? `${owner} ${this.frames.name[frame]}` : owner, this.dark));
  }

  /**
   * The packages whose own code holds the most, in the chosen unit, the largest first.
   * @param {number} most
   * @returns {string[]}
   */
  packages(most) {
    /** @type {Map<string, number>} */
    const sums = new Map();
    const own = this.own[this.look.unit === 'bytes' ? BYTES : COUNTS];
    for (let id = 1; id < this.tree.size; id++) {
      if (own[id] === 0) continue;
      const name = this.frames.package[this.tree.frame[id]];
      sums.set(name, (sums.get(name) ?? 0) + own[id]);
    }
    const found = [...sums].filter(([, sum]) => sum > 0).sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1));
    return found.slice(0, most).map(([name]) => name);
  }

  /**
   * What stands in the line of a frame; "" if it is not known or several lines are one frame.
   * @param {number} frame
   * @returns {string}
   */
  sourceOf(frame) {
    return frame >= 0 && this.look.byLine ? this.frames.source[frame] : '';
  }

  /**
   * Rows of the table, in no order.
   * @returns {import('./rows.js').Row[]}
   */
  tableRows() {
    if (isAsker(this.look.group)) return askerRows(this);
    const groups = this.lines.groups(this.look.group);
    const found = new Uint8Array(this.frames.length);
    this.matched?.forEach((matched, frame) => { found[groups[frame]] |= matched; });
    return this.lines.rows(this.look.group).map(({ frame, own, total }) => ({
      frame, own: this.valuesOfSums(own), total: this.valuesOfSums(total), found: found[frame] === 1,
    }));
  }
}
