// @ts-check
// What all readers of the page's data ask of it: each function takes whatever was in the JSON and gives what the rest of the page can
// rely on, or throws a sentence. Pure.

import { visible } from './words.js';

/**
 * @param {any} value
 * @param {string} name  for the message
 * @param {number} [length]  wanted
 * @returns {any[]}
 */
export function array(value, name, length) {
  check(Array.isArray(value), `"${name}" is missing`);
  check(length === undefined || value.length === length, `"${name}" has ${value.length} values instead of ${length}`);
  return value;
}

/**
 * Numbers that can be summed up: none so large that whole ones are no longer exact.
 * @param {any} value
 * @param {string} name
 * @param {number} [length]  wanted
 * @param {boolean} [signed]  whether they may be negative
 * @returns {number[]}
 */
export function numbers(value, name, length, signed = false) {
  const all = array(value, name, length);
  const least = signed ? -Number.MAX_SAFE_INTEGER : 0;
  // The message is made only when it is wanted: these loops are most of the work of opening a large page.
  for (let i = 0; i < all.length; i++) {
    const number = all[i];
    if (!(typeof number === 'number' && number >= least && number <= Number.MAX_SAFE_INTEGER)) check(false, `"${name}" holds what is no number, or none that can be`);
  }
  return all;
}

/**
 * Whole numbers from `least` to below `end`.
 * @param {any} value
 * @param {string} name
 * @param {number} end  all are less; at most 2^31
 * @param {number} [length]  wanted
 * @param {number} [least]
 * @returns {Int32Array}
 */
export function indices(value, name, end, length, least = 0) {
  const all = array(value, name, length);
  const checked = new Int32Array(all.length);
  for (let i = 0; i < all.length; i++) {
    const index = all[i];
    if ((index | 0) !== index || index < least || index >= end) check(false, `"${name}" leads to ${index}, which is not there`);
    checked[i] = index;
  }
  return checked;
}

/**
 * Indices if `below` is finite, else any numbers.
 * @param {any} value
 * @param {string} name
 * @param {number} [length]  wanted
 * @param {number} [below]  all are less
 * @returns {number[]}
 */
export function quantities(value, name, length, below = Infinity) {
  return below === Infinity ? numbers(value, name, length) : Array.from(indices(value, name, below, length));
}

/**
 * Times, none before the one before it.
 * @param {any} value
 * @param {string} name
 * @returns {Float64Array}
 */
export function instantsIn(value, name) {
  const all = new Float64Array(numbers(value, name));
  check(all.every((time, i) => i === 0 || time >= all[i - 1]), `"${name}" goes back in time`);
  return all;
}

/**
 * @param {any} value
 * @param {string} name
 * @returns {string} without anything that acts
 */
export function textIn(value, name) {
  check(typeof value === 'string', `"${name}" holds what is no text`);
  return visible(value);
}

/**
 * @param {any} value
 * @param {string} name
 * @param {number} [length]  wanted
 * @returns {string[]} without anything that acts
 */
export function textsIn(value, name, length) {
  return array(value, name, length).map((text) => textIn(text, name));
}

/**
 * @param {boolean} holds
 * @param {string} otherwise
 */
export function check(holds, otherwise) {
  if (!holds) throw new Error(`The data of this page are damaged: ${otherwise}.`);
}
