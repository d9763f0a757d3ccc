// @ts-check
// What is chosen above a list ↔ its part of the page's address: "verdict:grows,sort:bytes". Pure.

/**
 * Only what is not as at first.
 * @param {Record<string, string | number>} chosen
 * @param {Record<string, string | number>} first
 * @returns {string}
 */
export function toListAddress(chosen, first) {
  return Object.keys(first).filter((name) => chosen[name] !== first[name]).map((name) => `${name}:${chosen[name]}`).join(',');
}

/**
 * Anything that makes no sense is passed over. Whether there is such a verdict, such a census, is for the list to say.
 * @template {Record<string, string | number>} Chosen
 * @param {string} text
 * @param {Chosen} first
 * @returns {Chosen}
 */
export function fromListAddress(text, first) {
  /** @type {Record<string, string | number>} */
  const chosen = { ...first };
  for (const part of text.split(',')) {
    const [name, value = ''] = part.split(':');
    if (!Object.hasOwn(first, name)) continue;
    if (typeof first[name] === 'string' && /^\w*$/.test(value)) chosen[name] = value;
    else if (typeof first[name] === 'number' && /^\d{1,9}$/.test(value)) chosen[name] = Number(value);
  }
  return /** @type {Chosen} */ (chosen);
}

/**
 * The order of this name, or another.
 * @template Row
 * @param {Record<string, (a: Row, b: Row) => number>} orders
 * @param {string} name
 * @param {string} otherwise  one that there is
 */
export function orderNamed(orders, name, otherwise) {
  return orders[Object.hasOwn(orders, name) ? name : otherwise];
}
