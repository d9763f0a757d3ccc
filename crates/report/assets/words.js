// @ts-check
// How numbers and names are put into words: bytes, counts, shares, times, frame names.
// Pure: numbers and text in, text out. Where the words are shown is main.js's and draw.js's business.

const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'];

/**
 * Bytes with three significant digits: "512 B", "1.5 KiB", "12.3 MiB".
 * @param {number} bytes
 * @returns {string}
 */
export function humanBytes(bytes) {
  const sign = bytes < 0 ? '−' : '';
  let value = Math.abs(bytes);
  let unit = 0;
  // 1023.5 would be rounded to "1024": the next unit reads better.
  while (value >= 1023.5 && unit < UNITS.length - 1) {
    value /= 1024;
    unit += 1;
  }
  const digits = unit === 0 || value >= 99.95 ? 0 : value >= 9.995 ? 1 : 2;
  const number = digits === 0 ? value.toFixed(0) : value.toFixed(digits).replace(/\.?0+$/, '');
  return `${sign}${number} ${UNITS[unit]}`;
}

/**
 * Bytes in the unit that another number of bytes has: "0.75 GiB" beside "1.5 GiB".
 * @param {number} bytes
 * @param {number} other
 * @returns {string}
 */
export function bytesBeside(bytes, other) {
  const unit = humanBytes(other).split(' ')[1];
  return `${Number((bytes / 1024 ** UNITS.indexOf(unit)).toPrecision(3))} ${unit}`;
}

/**
 * A whole number with its thousands set apart: "12,345".
 * @param {number} count
 * @returns {string}
 */
export function exact(count) {
  const digits = String(Math.round(Math.abs(count))).replace(/\B(?=(\d{3})+$)/g, ',');
  return count < 0 ? `−${digits}` : digits;
}

/**
 * "12,345 blocks", "1 block".
 * @param {number} count
 * @param {string} noun  in the singular
 * @returns {string}
 */
export function counted(count, noun) {
  return `${exact(count)} ${noun}${count === 1 ? '' : 's'}`;
}

/**
 * What the counts of a metric count: memory that is held is counted in blocks, a flow in allocations.
 * @param {string} metric  key of the metric
 * @returns {string}
 */
export function countNoun(metric) {
  if (metric === 'byte_seconds') return 'block-second';
  return ['peak', 'leaked', 'live', 'growth'].includes(metric) ? 'block' : 'allocation';
}

/**
 * What the numbers of a metric mean, to follow a number: "12 MiB live at the peak".
 * @param {string} metric  key of the metric
 * @returns {string}
 */
export function metricPhrase(metric) {
  switch (metric) {
    case 'peak': return 'live at the peak';
    case 'live': return 'live then';
    case 'byte_seconds': return 'memory over time';
    case 'leaked': return 'leaked: still live at the end';
    case 'allocated': return 'allocated in all';
    case 'temporary': return 'in temporary allocations';
    default: return metric;
  }
}

/**
 * What a metric tells, and what it is good for.
 * @param {string} metric  key of the metric
 * @param {boolean} inWindow  of a window, not of the whole run
 * @param {number} within  see `temporaryPhrase`
 * @returns {string}
 */
export function metricHint(metric, inWindow, within) {
  switch (metric) {
    case 'peak': return `Live at the instant of most live bytes${inWindow ? ' of the window' : ''}: what the machine must have room for`;
    case 'live': return 'Live at this instant';
    case 'leaked': return inWindow ? 'Allocated in the window and live at its end' : 'Live at the end; of several processes, at the end of each';
    case 'allocated': return 'All that was asked for, freed or not: what costs time';
    case 'temporary': return `Allocated and ${temporaryPhrase(within)}`;
    case 'byte_seconds': return 'Bytes times the seconds that they were live: what is held for long';
    case 'growth': return 'Live at the end of the window against its beginning';
    default: return '';
  }
}

/**
 * What is temporary, to explain the word.
 * @param {number} within  most other allocations between
 * @returns {string}
 */
export function temporaryPhrase(within) {
  const others = within === 0 ? 'no other allocation' : `at most ${counted(within, 'other allocation')}`;
  return `freed soon after: by the thread that allocated it, with ${others} of that thread between`;
}

/**
 * A share of a whole: "12.3%", "<0.01%"; "–" of nothing.
 * @param {number} part
 * @param {number} whole
 * @returns {string}
 */
export function percent(part, whole) {
  if (!(whole > 0)) return '–';
  const share = (100 * part) / whole;
  if (part > 0 && share < 0.01) return '<0.01%';
  // Nearly all is not all.
  if (part < whole && share >= 99.995) return '>99.99%';
  return `${share.toFixed(share >= 99.95 ? (part === whole ? 0 : 2) : share >= 10 ? 1 : 2)}%`;
}

/**
 * A difference with its sign always shown: "+1.5 MiB", "−3", "±0".
 * @param {number} difference
 * @param {(n: number) => string} words
 * @returns {string}
 */
export function signed(difference, words) {
  if (difference === 0) return '±0';
  return (difference > 0 ? '+' : '') + words(difference);
}

/**
 * Seconds since the start: "850 ms", "12.3 s", "4 min 05 s", "2 h 03 min".
 * @param {number} seconds
 * @returns {string}
 */
export function duration(seconds) {
  if (seconds === 0) return '0 s';
  if (seconds < 1) return `${Number((seconds * 1000).toPrecision(3))} ms`;
  if (seconds < 60) return `${Number(seconds.toPrecision(3))} s`;
  const two = (/** @type {number} */ n) => String(n).padStart(2, '0');
  const whole = Math.round(seconds);
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${two(whole % 60)} s`;
  return `${Math.floor(whole / 3600)} h ${two(Math.floor((whole % 3600) / 60))} min`;
}

/**
 * An instant, in as many digits as are needed to tell it from others so far away: "12.345 s", "2 h 03 min 05.2 s"; as `duration`
 * where that is exact enough.
 * @param {number} seconds  since the start
 * @param {number} step  seconds
 * @returns {string}
 */
export function instantWords(seconds, step) {
  const short = duration(seconds);
  const exactTo = seconds < 60 ? 10 ** (Math.floor(Math.log10(seconds)) - 2) : seconds < 3600 ? 1 : 60;
  if (seconds === 0 || step >= exactTo || !(step > 0)) return short;
  // Not more than a nanosecond: nothing is measured by less.
  const digits = Math.min(9, Math.max(0, -Math.floor(Math.log10(step) + 1e-9)));
  if (seconds < 1) return `${Number((seconds * 1000).toFixed(Math.max(0, digits - 3)))} ms`;
  if (seconds < 60) return `${Number(seconds.toFixed(digits))} s`;
  const two = (/** @type {number} */ n) => String(n).padStart(2, '0');
  const rounded = Number(seconds.toFixed(digits));
  const minutes = Math.floor(rounded / 60);
  const rest = (rounded - 60 * minutes).toFixed(digits).replace(/^(\d)(\.|$)/, '0$1$2');
  return minutes < 60 ? `${minutes} min ${rest} s` : `${Math.floor(minutes / 60)} h ${two(minutes % 60)} min ${rest} s`;
}

/**
 * Time of day of an instant, where the reader is: "14:03:07", or "14:03", "14:03:07.25" as is needed to tell it from others so far
 * away; "" if it is not known.
 * @param {number} started  seconds since 1970, 0: not known
 * @param {number} seconds  since then
 * @param {number} [step]  seconds
 * @returns {string}
 */
export function clockTime(started, seconds, step = 1) {
  if (!(started > 0)) return '';
  const two = (/** @type {number} */ n) => String(n).padStart(2, '0');
  const digits = Math.min(6, Math.max(0, -Math.floor(Math.log10(step) + 1e-9)));
  const rounded = Number((started + seconds).toFixed(digits));
  const date = new Date(Math.floor(rounded) * 1000);
  const hour = `${two(date.getHours())}:${two(date.getMinutes())}`;
  return step >= 60 ? hour : `${hour}:${two(date.getSeconds())}${(rounded % 1).toFixed(digits).slice(1)}`;
}

/**
 * Day and time of day, where the reader is: "2026-11-22 14:03:07"; "" if it is not known.
 * @param {number} started  seconds since 1970, 0: not known
 * @returns {string}
 */
export function dayAndTime(started) {
  if (!(started > 0)) return '';
  const date = new Date(started * 1000);
  const two = (/** @type {number} */ n) => String(n).padStart(2, '0');
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())} ${clockTime(started, 0)}`;
}

/**
 * The text with every character that is invisible or turns the reading direction written out, so that
 * a name cannot pose as another one: "a\u202eb".
 * @param {string} text
 * @returns {string}
 */
export function visible(text) {
  return text.replace(
    /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u115f\u1160\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ufeff\ufff9-\ufffb]|[\u{e0000}-\u{e007f}]/gu,
    (c) => {
      const code = /** @type {number} */ (c.codePointAt(0)).toString(16);
      return code.length > 4 ? `\\u{${code}}` : `\\u${code.padStart(4, '0')}`;
    },
  );
}

/**
 * The last part of a path, "/" or "\" apart.
 * @param {string} path
 * @returns {string}
 */
export function baseName(path) {
  return path.slice(Math.max(path.lastIndexOf('/'), path.lastIndexOf('\\')) + 1) || path;
}

/**
 * The same, with its directory where the name alone tells nothing: "flask/__init__.py".
 * @param {string} path  also with ":line" behind it
 * @returns {string}
 */
export function tellingName(path) {
  return /[^/\\]+[/\\]__(init|main)__\.py[^/\\]*$/.exec(path)?.[0] ?? baseName(path);
}

/**
 * "file:line", the file alone when the line is unknown (0), "" when the file is.
 * @param {string} file
 * @param {number} line
 * @returns {string}
 */
export function fileAndLine(file, line) {
  return file && line > 0 ? `${file}:${line}` : file;
}
