// @ts-check
// Python objects by type as rows to show: between which censuses, in which order. Pure.

import { fromListAddress, orderNamed } from './choices.js';
import { duration } from './words.js';

/**
 * @typedef {import('./data_types.js').TypeRow} TypeRow
 * @typedef {import('./data_types.js').TypesOf} TypesOf
 * @typedef {{process: number, from: number, to: number, sort: string, only: string}} TypesChoice
 *   `process`: its place; `from`, `to`: places of censuses; `only`: "grew", "steady", "new" or "" for all
 * @typedef {{type: TypeRow, before: {objects: number, bytes: number}, after: {objects: number, bytes: number}}} TypeChange
 */

/**
 * The first and the last census of a process, of those that the page is of.
 * @param {TypesOf[]} processes
 * @param {number} process
 * @param {{from: number, to: number} | null} [span]  the part of the run that the page is of, in seconds; null: all
 * @returns {TypesChoice}
 */
export function firstTypesChoice(processes, process, span = null) {
  const { censuses } = processes[process];
  const { from, to } = span === null ? { from: 0, to: censuses.length - 1 } : censusesWithin(censuses, span.from, span.to, '');
  return { process, from, to, sort: from < to ? 'growth' : 'bytes', only: '' };
}

/**
 * What an address chooses, of what there is.
 * @param {string} text
 * @param {TypesOf[]} processes
 * @param {{from: number, to: number} | null} [span]  as `firstTypesChoice`
 * @returns {TypesChoice}
 */
export function addressedTypes(text, processes, span = null) {
  const { process } = fromListAddress(text, firstTypesChoice(processes, 0));
  const first = firstTypesChoice(processes, process < processes.length ? process : 0, span);
  const chosen = fromListAddress(text, first);
  const within = (/** @type {number} */ census) => Math.min(census, processes[first.process].censuses.length - 1);
  return { ...chosen, process: first.process, from: within(chosen.from), to: within(chosen.to) };
}

/**
 * The censuses that a chosen instant or window means.
 * @param {import('./data_types.js').Census[]} censuses  at least one, ascending
 * @param {number} from  seconds
 * @param {number} to  the same: an instant; its census is the last one not after it
 * @param {string} words  "at 1.2 s", "from 1.2 s to 3.4 s"
 * @returns {{from: number, to: number, sentence: string}} places of the census to compare with and of the one that is shown
 */
export function censusesWithin(censuses, from, to, words) {
  const named = (/** @type {number} */ census) => `${census + 1}, after ${duration(censuses[census].seconds)}`;
  const until = censuses.findLastIndex(({ seconds }) => seconds <= to);
  const first = censuses.findIndex(({ seconds }) => seconds >= from);
  if (from === to) {
    if (until < 0) return { from: 0, to: 0, sentence: `There was no census yet ${words}; shown is the first: ${named(0)}.` };
    return { from: 0, to: until, sentence: `Shown is the last census there was ${words}: ${named(until)}${until > 0 ? `, compared with the first, after ${duration(censuses[0].seconds)}` : ''}.` };
  }
  if (first >= 0 && first < until) return { from: first, to: until, sentence: `Compared are the first and the last census ${words}: ${named(first)}, and ${named(until)}.` };
  if (first >= 0 && first === until) return { from: first, to: first, sentence: `There was one census ${words}: ${named(first)}; growth needs two.` };
  const near = Math.max(until, 0);
  return { from: near, to: near, sentence: `There was no census ${words}; shown is the ${until < 0 ? 'next' : 'last before it'}: ${named(near)}.` };
}

/**
 * A type's numbers at a census.
 * @param {TypeRow} type
 * @param {number} census  its place
 */
export function numbersAt({ at, objects, bytes }, census) {
  let place = -1;
  while (place + 1 < at.length && at[place + 1] <= census) place += 1;
  return place < 0 ? { objects: 0, bytes: 0 } : { objects: objects[place], bytes: bytes[place] };
}

/** The orders of types, each with the most first. */
const TYPE_ORDERS = /** @type {Record<string, (a: TypeChange, b: TypeChange) => number>} */ ({
  growth: (a, b) => Number(b.type.steady) - Number(a.type.steady) || bytesGrown(b) - bytesGrown(a) || objectsGrown(b) - objectsGrown(a),
  byGrowth: (a, b) => bytesGrown(b) - bytesGrown(a),
  byNumber: (a, b) => objectsGrown(b) - objectsGrown(a),
  objects: (a, b) => b.after.objects - a.after.objects,
  bytes: (a, b) => b.after.bytes - a.after.bytes,
});

/** @param {TypeChange} change */
export function bytesGrown({ before, after }) {
  return after.bytes - before.bytes;
}

/** @param {TypeChange} change */
export function objectsGrown({ before, after }) {
  return after.objects - before.objects;
}

/**
 * The types that there were at either of the chosen censuses, in their order; equal ones as the data have them.
 * @param {TypesOf} process
 * @param {TypesChoice} chosen
 * @param {(name: string) => boolean} [found]  by the search
 * @returns {TypeChange[]}
 */
export function typeChanges(process, chosen, found = () => true) {
  const order = orderNamed(TYPE_ORDERS, chosen.sort, 'bytes');
  return process.types
    .filter(({ name }) => found(name))
    .map((type) => ({ type, before: numbersAt(type, chosen.from), after: numbersAt(type, chosen.to) }))
    .filter((change) => {
      const grew = bytesGrown(change) > 0 || objectsGrown(change) > 0;
      if (chosen.only === 'grew') return grew;
      if (chosen.only === 'steady') return change.type.steady;
      if (chosen.only === 'new') return change.type.fresh !== null;
      return change.before.objects > 0 || change.after.objects > 0;
    })
    .sort((a, b) => order(a, b) || a.type.index - b.type.index);
}
