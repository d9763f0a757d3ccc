// @ts-check
// What the search found in what is shown: the nodes in the order in which the reader is led to them, and the total in words. Pure.

import { matchTotals } from './calls.js';
import { counted, percent, signed } from './words.js';

/** @typedef {import('./model.js').Model} Model */

/**
 * The nodes that the search found, the widest first. Inverted, of which there may be far more than the page could
 * hold, those that are wide enough to be found on the screen.
 * @param {Model} model
 * @returns {number[]}
 */
export function foundNodes(model) {
  if (!model.matched) return [];
  const { base, column } = model;
  const width = base.columns[column];
  const least = Math.max((width[0] * model.look.least) / 100, model.turned ? width[0] / 1000 : 0);
  /** @type {number[]} */
  const found = [];
  const consider = (/** @type {number} */ id) => {
    if (width[id] > 0 && width[id] >= least && model.isMatched(id)) found.push(id);
  };
  if (model.turned) {
    const next = [0];
    for (let id = next.pop(); id !== undefined; id = next.pop()) {
      for (const child of base.children(id, column)) {
        if (width[child] < least) break;
        consider(child);
        next.push(child);
      }
    }
  } else {
    for (let id = 1; id < model.tree.size; id++) consider(id);
  }
  return found.sort((a, b) => width[b] - width[a] || a - b);
}

/** How many frames of the call tree hold something and match the search. @param {Model} model */
function foundCount(model) {
  const { matched, tree } = model;
  if (!matched) return 0;
  let count = 0;
  const holds = new Uint8Array(tree.size);
  for (let i = tree.size - 1; i > 0; i--) {
    if (!holds[i] && model.own.every((column) => column[i] === 0)) continue;
    holds[tree.parent[i]] = 1;
    count += matched[tree.frame[i]];
  }
  return count;
}

/** What the search found, in words; "" without a search. @param {Model} model */
export function searchResult(model) {
  if (!model.matched) return '';
  const count = foundCount(model);
  if (count === 0) return 'no match';
  return `${counted(count, 'frame')}: ${searchTotal(model, model.matched)}`;
}

/** @param {Model} model @param {Uint8Array} matched  per frame */
function searchTotal(model, matched) {
  const sums = matchTotals(model.tree, model.own, matched);
  const values = model.valuesOf(sums.map((sum) => [sum]), 0);
  const [before, after] = model.inUnit(values);
  if (model.difference) return `${model.amount(before)} → ${model.amount(after)} (${signed(after - before, (n) => model.amount(n))})`;
  return `${model.amount(after)}, ${percent(after, model.inUnit(model.whole)[1])} of all`;
}
