// @ts-check
// What the page tells of one function, over all places where it was called. Pure.
//
// Recursion counts once, and in a way that lets all adds up. A call path that passes through the function several
// times belongs to its outermost occurrence as far as callers go, and to its innermost as far as lines and callees
// go. So the callers make up the function's total exactly; so do its lines; so do its callees and what it asked for
// itself.

import { frameTotals, mergeNodes, sameFrames, totalColumns } from './calls.js';
import { hiddenFrames } from './prune.js';

/**
 * @typedef {import('./calls.js').CallTree} CallTree
 * @typedef {import('./calls.js').Columns} Columns
 * @typedef {import('./model.js').Model} Model
 * @typedef {{frame: number, amounts: number[]}} Part  a function (by one of its frames; −1: none, the outermost callers)
 *   or a line, and one sum per column
 * @typedef {{own: number[], total: number[], callers: Part[], callees: Part[], lines: (Part & {own: number[]})[]}} About
 */

/**
 * @param {CallTree} tree  with lines apart
 * @param {Columns} own
 * @param {Int32Array} functions  for each frame the first one of the same function
 * @param {number} frame  any frame of the function
 * @param {Columns} [total]  of the tree's nodes, where it is known
 * @returns {About} nothing sorted
 */
export function aboutFunction(tree, own, functions, frame, total = totalColumns(tree, own)) {
  const wanted = functions[frame];
  const none = () => own.map(() => 0);
  const add = (/** @type {number[]} */ sums, /** @type {Columns} */ columns, /** @type {number} */ node) => {
    for (let c = 0; c < sums.length; c++) sums[c] += columns[c][node];
  };
  const holds = (/** @type {number} */ node) => own.some((column) => column[node] !== 0);
  /** @type {(parts: Map<number, Part>, key: number) => number[]} */
  const sumsOf = (parts, key) => {
    let found = parts.get(key);
    if (!found) parts.set(key, (found = { frame: key, amounts: none() }));
    return found.amounts;
  };
  const about = { own: none(), total: none() };
  const callers = new Map();
  const callees = new Map();
  const lines = new Map();
  /** @type {Map<number, number[]>} */
  const ownLines = new Map();
  /** The innermost node of the function on the way to each node, 0: none. */
  const inside = new Int32Array(tree.size);
  /** The function called from there, by its first frame. */
  const callee = new Int32Array(tree.size);
  const { size, parent, frame: frames } = tree;
  for (let i = 1; i < size; i++) {
    const above = parent[i];
    const f = frames[i];
    if (functions[f] === wanted) {
      inside[i] = i;
      add(about.own, own, i);
      const line = ownLines.get(f) ?? none();
      ownLines.set(f, line);
      add(line, own, i);
      if (inside[above] === 0) {
        add(about.total, total, i);
        add(sumsOf(callers, above === 0 ? -1 : functions[frames[above]]), total, i);
      }
    } else if (inside[above] > 0) {
      inside[i] = inside[above];
      callee[i] = inside[above] === above ? functions[f] : callee[above];
      if (holds(i)) add(sumsOf(callees, callee[i]), own, i);
    }
    if (inside[i] > 0 && holds(i)) add(sumsOf(lines, frames[inside[i]]), own, i);
  }
  return {
    ...about,
    callers: [...callers.values()],
    callees: [...callees.values()],
    lines: [...lines.values()].map((line) => ({ ...line, own: ownLines.get(line.frame) ?? none() })),
  };
}

/**
 * @param {string[]} texts
 * @returns {Int32Array} for each the place of the first one that is the same
 */
function sameTexts(texts) {
  /** @type {Map<string, number>} */
  const first = new Map();
  return Int32Array.from(texts, (text, i) => {
    if (!first.has(text)) first.set(text, i);
    return first.get(text) ?? i;
  });
}

/** The tree with every line apart, whatever is shown, and its sums; made when asked for and kept as long as they hold. */
export class LineTree {
  /** @param {Model} model */
  constructor(model) {
    this.model = model;
    this.functions = sameFrames(model.frames, false);
    /** The amounts of the model for which all below was made. @type {Columns | null} */
    this.madeFor = null;
    /** @type {Record<string, Int32Array>} */
    this.grouped = { function: this.functions };
    /** @type {CallTree} */
    this.tree = model.tree;
    /** @type {Columns} */
    this.own = [];
    /** With callees, made when asked for. @type {Columns | null} */
    this.total = null;
    /** The last answer, for as long as it holds. @type {{own: Columns, of: number, column: number, about: About} | null} */
    this.last = null;
    /** Likewise. @type {{own: Columns, by: string, rows: {frame: number, own: number[], total: number[]}[]} | null} */
    this.lastRows = null;
  }

  /** @returns {{tree: CallTree, own: Columns, functions: Int32Array, model: Model}} what holds now */
  fresh() {
    const { model } = this;
    if (this.madeFor === model.own) return this;
    this.madeFor = model.own;
    this.total = null;
    if (model.look.byLine && !model.look.mergeRecursion) {
      // That is the tree that is shown.
      [this.tree, this.own] = [model.tree, model.own];
      return this;
    }
    this.tree = mergeNodes(model.page.nodes, this.groups('line'), hiddenFrames(model.frames, model.look), model.hiddenNodes());
    this.own = model.ownOf(this.tree);
    return this;
  }

  /**
   * @param {number} frame
   * @returns {About} each list by size, the largest first, without what is zero
   */
  about(frame) {
    const { tree, own, functions, model } = this.fresh();
    const { last } = this;
    if (last?.own === own && last.of === functions[frame] && last.column === model.column) return last.about;
    const about = aboutFunction(tree, own, functions, frame, (this.total ??= totalColumns(tree, own)));
    const order = (/** @type {any[]} */ parts) =>
      parts
        .filter(({ amounts }) => amounts[model.column] > 0)
        .sort((a, b) => b.amounts[model.column] - a.amounts[model.column] || a.frame - b.frame);
    const sorted = { ...about, callers: order(about.callers), callees: order(about.callees), lines: order(about.lines) };
    this.last = { own, of: functions[frame], column: model.column, about: sorted };
    return sorted;
  }

  /**
   * For each frame the first one of the same function, line, file or package.
   * @param {string} by
   * @returns {Int32Array}
   */
  groups(by) {
    const { frames } = this.model;
    return (this.grouped[by] ??= by === 'line' ? sameFrames(frames, true) : sameTexts(by === 'file' ? frames.file : frames.package));
  }

  /**
   * @param {string} by  as `groups`
   * @returns {{frame: number, own: number[], total: number[]}[]} a row for each that holds anything
   */
  rows(by) {
    const { tree, own } = this.fresh();
    if (this.lastRows?.own !== own || this.lastRows.by !== by) {
      const rows = frameTotals(tree, own, (this.total ??= totalColumns(tree, own)), this.groups(by)).filter(({ total }) => total.some((value) => value > 0));
      this.lastRows = { own, by, rows };
    }
    return this.lastRows.rows;
  }

  /**
   * The widest place of a function in what is shown.
   * @param {number} frame
   * @returns {number} node of the model's view, −1: none
   */
  widestOf(frame) {
    const { model, functions } = this;
    const { base } = model;
    const wanted = functions[frame];
    const width = base.columns[model.column];
    let widest = -1;
    const nodes = model.turned ? base.children(0, model.column) : Array.from({ length: model.tree.size - 1 }, (_, i) => i + 1);
    for (const id of nodes) {
      if (functions[base.frame[id]] === wanted && width[id] > (widest < 0 ? 0 : width[widest])) widest = id;
    }
    return widest;
  }
}
