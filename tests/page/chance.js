// Numbers by chance that are the same in every run, and ways to damage a text or a value with them.

/** xorshift32 of a seed that is not 0. @param {number} seed */
export function chance(seed) {
  let state = seed >>> 0 || 1;
  /** A whole number from 0 to below `below`. @param {number} below */
  const number = (below) => {
    state ^= state << 13;
    state >>>= 0;
    state ^= state >>> 17;
    state ^= state << 5;
    state >>>= 0;
    return state % below;
  };
  /** @template T @param {T[]} list @returns {T} */
  const one = (list) => list[number(list.length)];
  return { number, one };
}

/** What stands in place of a value: other types, and numbers that no index or amount can be. */
const STRANGE = [null, true, -1, 0.5, 1e308, -1e308, 4294967296, 9007199254740993, '', 'x', '9', [], {}, [[]], { length: 3 }];

/**
 * Damages a value in one place: a part is left out, replaced, made shorter or longer, or two parts change places.
 * @param {any} value  an object or an array; changed
 * @param {{number: (below: number) => number, one: (list: any[]) => any}} by
 * @returns {string} what was done, for the message of a test
 */
export function damage(value, by) {
  let [at, path] = [value, ''];
  for (;;) {
    const keys = Object.keys(at);
    const key = by.one(keys);
    const below = at[key];
    path += `.${key}`;
    // Down to a leaf as a rule; sometimes a whole column.
    if (below !== null && typeof below === 'object' && Object.keys(below).length > 0 && by.number(4) > 0) {
      at = below;
      continue;
    }
    return `${path}: ${hurt(at, key, by)}`;
  }
}

function hurt(at, key, by) {
  const below = at[key];
  switch (by.number(Array.isArray(below) ? 5 : 2)) {
    case 0:
      if (Array.isArray(at)) at.splice(Number(key), 1);
      else delete at[key];
      return 'left out';
    case 1: {
      const other = by.one(STRANGE);
      at[key] = structuredClone(other);
      return `${JSON.stringify(other)} in its place`;
    }
    case 2:
      below.length = by.number(below.length + 1);
      return `cut to ${below.length}`;
    case 3:
      below.push(structuredClone(by.one(STRANGE)));
      return 'one more';
    default: {
      const [a, b] = [by.number(below.length || 1), by.number(below.length || 1)];
      [below[a], below[b]] = [below[b], below[a]];
      return `${a} and ${b} changed places`;
    }
  }
}

/**
 * Damages a text: cut, a character changed, a piece left out or repeated.
 * @param {string} text
 * @param {{number: (below: number) => number}} by
 */
export function damageText(text, by) {
  const at = by.number(text.length);
  switch (by.number(4)) {
    case 0: return text.slice(0, at);
    case 1: return text.slice(0, at) + String.fromCharCode(text.charCodeAt(at) ^ (1 << by.number(7))) + text.slice(at + 1);
    case 2: return text.slice(0, at) + text.slice(at + 1 + by.number(40));
    default: return text.slice(0, at) + text.slice(Math.max(0, at - by.number(40)));
  }
}
