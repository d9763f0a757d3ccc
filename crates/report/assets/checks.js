// @ts-check
// What all readers of the page's data ask of it. Pure.

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
 * An array of numbers, each from 0 to `below`.
 * @param {any} value
 * @param {string} name
 * @param {number} [length]  wanted
 * @param {number} [below]  all are less; without it any
 * @returns {number[]}
 */
export function quantities(value, name, length, below = Infinity) {
  const list = array(value, name, length);
  check(list.every((n) => typeof n === 'number' && n >= 0 && n < below), `"${name}" has a value that cannot be`);
  return list;
}

/**
 * @param {boolean} holds
 * @param {string} otherwise
 */
export function check(holds, otherwise) {
  if (!holds) throw new Error(`The data of this page are damaged: ${otherwise}.`);
}
