// @ts-check
// The colours of the frames: by whose code they are, shaded by package, or by package alone; in a difference by the change.
// Pure: numbers and names in, CSS colours out.

/** Hue, saturation, lightness by kind (order of KINDS in data.js), light theme and dark theme. */
const LIGHT = [[30, 86, 70], [205, 62, 76], [152, 40, 72], [48, 12, 80], [262, 48, 81], [220, 8, 85]];
const DARK = [[24, 58, 40], [208, 46, 37], [158, 34, 31], [48, 6, 33], [262, 28, 43], [220, 6, 28]];

/**
 * A number from 0 to 1 that is always the same for a text (FNV-1a).
 * @param {string} text
 * @returns {number}
 */
export function hash(text) {
  let h = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) h = Math.imul(h ^ text.charCodeAt(i), 0x01000193);
  // The low bits are the good ones; mix them upwards.
  h ^= h >>> 15;
  return (Math.imul(h, 0x2c1b3c6d) >>> 0) / 2 ** 32;
}

/**
 * @param {number} kind
 * @param {string} shade  text that picks the shade; "" for the middle one
 * @param {boolean} dark
 * @returns {string}
 */
export function kindColor(kind, shade, dark) {
  const [hue, saturation, light] = (dark ? DARK : LIGHT)[kind];
  const a = shade ? hash(shade) - 0.5 : 0;
  const b = shade ? hash(`${shade}~`) - 0.5 : 0;
  // Libraries and native functions are told apart by shade; the other kinds should above all look like themselves.
  const spread = kind === 1 || kind === 4 ? 34 : 8;
  return `hsl(${Math.round(hue + spread * a)} ${saturation}% ${Math.round(light + 7 * b)}%)`;
}

/**
 * Any hue, the same for a package in every page.
 * @param {string} name
 * @param {boolean} dark
 * @returns {string}
 */
export function packageColor(name, dark) {
  const [saturation, light] = dark ? [36, 34] : [56, 77];
  return `hsl(${Math.round(360 * hash(name))} ${saturation}% ${Math.round(light + 6 * (hash(`${name}~`) - 0.5))}%)`;
}

/**
 * From blue (all gone) over grey (no change) to red (all new). Red and blue of equal lightness and with grey
 * between them stay apart for all common kinds of colour blindness.
 * @param {number} change  from −1 to 1, see calls.js
 * @param {boolean} dark
 * @returns {string}
 */
export function changeColor(change, dark) {
  const none = dark ? [58, 62, 69] : [232, 232, 230];
  const full = change > 0 ? (dark ? [190, 52, 58] : [232, 108, 102]) : dark ? [48, 108, 190] : [96, 158, 226];
  // Even a small change must be told from none.
  const strength = change === 0 ? 0 : 0.18 + 0.82 * Math.min(1, Math.abs(change));
  const mixed = none.map((from, i) => Math.round(from + (full[i] - from) * strength));
  return `rgb(${mixed.join(' ')})`;
}

/**
 * From pale yellow (next to nothing) to red (all): how much of the whole a frame holds. The scale is logarithmic, down to
 * a thousandth: in most runs nearly all frames are below a tenth.
 * @param {number} share  from 0 to 1
 * @param {boolean} dark
 * @returns {string}
 */
export function shareColor(share, dark) {
  const heat = share > 0 ? Math.min(1, Math.max(0, 1 + Math.log10(share) / 3)) : 0;
  const hue = Math.round(56 - 50 * heat);
  return dark ? `hsl(${hue} ${Math.round(18 + 40 * heat)}% ${Math.round(28 + 12 * heat)}%)` : `hsl(${hue} ${Math.round(50 + 36 * heat)}% ${Math.round(86 - 18 * heat)}%)`;
}

/**
 * The colour of the root and of what is not a frame.
 * @param {boolean} dark
 */
export function rootColor(dark) {
  return dark ? 'hsl(220 8% 24%)' : 'hsl(220 10% 91%)';
}
