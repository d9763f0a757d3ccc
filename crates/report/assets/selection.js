// @ts-check
// Which part of the data is looked at: a span of the run, a process, a thread, a function that allocates, a metric.
// What the reader chose → the amounts of the cells that count. Pure.

import { WINDOW_METRICS, highestPart, liveAtPoint, pointNanos, spanOf, windowMetric } from './course.js';
import { instantWords, metricPhrase } from './words.js';

/**
 * @typedef {import('./data.js').Page} Page
 * @typedef {import('./data.js').Amounts} Amounts
 * @typedef {import('./course.js').Course} Course
 * @typedef {import('./course.js').Span} Span
 * @typedef {import('./address.js').Look} Look
 * @typedef {{key: string, label: string, after: Amounts, before: Amounts | null}} Shown
 */

export class Selection {
  /** @type {Shown} */
  metric;
  /** 1 for the cells that count, null: all. @type {Uint8Array | null} */
  pass;

  /**
   * @param {Page} page
   * @param {Look} look
   * @param {Selection | null} [last]  what was chosen before: some of it may still hold
   */
  constructor(page, look, last = null) {
    this.page = page;
    this.span = spanOf(page, look);
    this.metrics = metricsOf(page, this.span);
    const known = this.metrics.some((metric) => metric.key === look.metric);
    const key = known ? look.metric : (this.span === null ? page.metrics[page.defaultMetric] : this.metrics[0]).key;
    const same = last !== null && last.metric.key === key && JSON.stringify(last.span) === JSON.stringify(this.span);
    this.metric = same ? last.metric : this.amountsOf(key);
    this.filter = filterOf(page, look);
    this.pass = last !== null && JSON.stringify(last.filter) === JSON.stringify(this.filter) ? last.pass : passOf(page, this.filter);
  }

  /**
   * @param {string} key
   * @returns {Shown}
   */
  amountsOf(key) {
    const { page, span } = this;
    const { label } = /** @type {{label: string}} */ (this.metrics.find((metric) => metric.key === key));
    const course = /** @type {Course} */ (page.course);
    if (span === null) return /** @type {Shown} */ (page.metrics.find((metric) => metric.key === key));
    if ('point' in span) return { key, label, after: liveAtPoint(course, page.cells.length, span.point), before: null };
    return { key, label, ...windowMetric(page, key, span.from, span.to) };
  }

  /**
   * What the numbers mean, to follow one: "live at the peak".
   * @returns {string}
   */
  words() {
    const { page, span, metric } = this;
    const course = /** @type {Course} */ (page.course);
    const of = this.filterWords();
    if (span === null) {
      if (page.span === null) return metricPhrase(metric.key) + of;
      const words = pageWindowWords(page.span);
      return (metric.key === 'live' ? `live ${words}` : windowPhrase(metric.key, words, instantWords(page.peakAt ?? 0, stepOf(page.span)))) + of;
    }
    if ('point' in span) return `live at ${pointWords(page, span.point)}${of}`;
    const highest = metric.key === 'peak' ? pointWords(page, 2 * highestPart(course, span.from, span.to) + 1) : '';
    return windowPhrase(metric.key, windowWords(page, span), highest) + of;
  }

  /** Which instant or window is chosen, else which the page is of: "at 1.2 s", "from 1.2 s to 3.4 s"; "at any time" without. */
  spanWords() {
    const { page, span } = this;
    if (span === null) return page.span === null ? 'at any time' : pageWindowWords(page.span);
    return 'point' in span ? `at ${pointWords(page, span.point)}` : windowWords(page, span);
  }

  /** Whose allocations are meant, to be put behind; "" for all. */
  filterWords() {
    const { page, filter } = this;
    const words = [];
    if (filter.process >= 0) words.push(`process ${page.processes.pid[filter.process]}`);
    if (filter.thread >= 0) words.push(`thread ${threadName(page, filter.thread)}`);
    if (filter.allocator >= 0) words.push(page.allocators[filter.allocator]);
    return words.length > 0 ? `, only ${words.join(', ')}` : '';
  }
}

/**
 * What a metric of a window means: "allocated from 1.2 s to 3.4 s".
 * @param {string} metric
 * @param {string} window
 * @param {string} highest  its highest instant, for the peak
 */
function windowPhrase(metric, window, highest) {
  switch (metric) {
    case 'peak': return `live at the highest instant ${window}, ${highest}`;
    case 'leaked': return `allocated ${window} and live at its end`;
    case 'temporary': return `in temporary allocations ${window}`;
    case 'growth': return `live, ${window}`;
    case 'byte_seconds': return `memory over time, ${window}`;
    default: return `allocated ${window}`;
  }
}

/**
 * @param {Page} page
 * @param {Span} span
 * @returns {{key: string, label: string}[]}
 */
function metricsOf(page, span) {
  if (span === null) return page.metrics;
  return 'point' in span ? [{ key: 'live', label: 'Live' }] : WINDOW_METRICS;
}

/**
 * The keys of all metrics that there are, whatever the span.
 * @param {Page} page
 * @returns {string[]}
 */
export function metricKeys(page) {
  const keys = page.metrics.map((metric) => metric.key);
  return page.course === null ? keys : [...new Set([...keys, ...WINDOW_METRICS.map((metric) => metric.key)])];
}

/**
 * What of the filters makes sense; −1: all.
 * @param {Page} page
 * @param {Look} look
 */
function filterOf(page, look) {
  const within = (/** @type {number} */ index, /** @type {number} */ length) => (index < length ? index : -1);
  return {
    process: within(look.process, page.processes.length),
    thread: within(look.thread, page.threads.length),
    allocator: page.allocators.indexOf(look.allocator),
  };
}

/**
 * @param {Page} page
 * @param {{process: number, thread: number, allocator: number}} filter
 * @returns {Uint8Array | null}
 */
function passOf({ cells, threads }, { process, thread, allocator }) {
  if (process < 0 && thread < 0 && allocator < 0) return null;
  const pass = new Uint8Array(cells.length);
  for (let c = 0; c < cells.length; c++) {
    const of = cells.thread[c];
    pass[c] = Number(
      (process < 0 || (of >= 0 && threads.process[of] === process)) && (thread < 0 || of === thread) && (allocator < 0 || cells.allocator[c] === allocator),
    );
  }
  return pass;
}

/**
 * "worker (4005)", "4005"; what is no thread, or several that are put together, has no number.
 * @param {Page} page
 * @param {number} thread
 */
export function threadName({ threads }, thread) {
  if (threads.tid[thread] === 0) return threads.name[thread];
  return threads.name[thread] ? `${threads.name[thread]} (${threads.tid[thread]})` : String(threads.tid[thread]);
}

/**
 * "3.2 s", "3.2 s (mark “loaded”)"; told from the points beside it as far as times are exact.
 * @param {Page} page
 * @param {number} point
 */
export function pointWords(page, point) {
  const course = /** @type {Course} */ (page.course);
  const mark = point & 1 ? -1 : course.mark[point >> 1];
  const { nanos } = course;
  const i = point >> 1;
  const apart = Math.min((nanos[i + 1] ?? Infinity) - nanos[i], point & 1 ? Infinity : nanos[i] - (nanos[i - 1] ?? -Infinity));
  const time = instantWords(pointNanos(course, point) / 1e9, Math.max(apart / 1e9, 0.001));
  return mark < 0 ? time : `${time} (mark “${page.marks.name[mark]}”)`;
}

/**
 * "from 1.2 s to 3.4 s".
 * @param {Page} page
 * @param {{from: number, to: number}} span
 */
export function windowWords(page, { from, to }) {
  return `from ${pointWords(page, 2 * from)} to ${pointWords(page, 2 * to)}`;
}

/** So far apart are instants of a page of a window, in seconds. @param {{from: number, to: number}} span */
function stepOf({ from, to }) {
  return Math.max((to - from) / 200, 0.001);
}

/**
 * What a page is of that is not of a whole run: "from 1.2 s to 3.4 s", "at 1.2 s".
 * @param {{from: number, to: number}} span  seconds
 * @returns {string}
 */
export function pageWindowWords(span) {
  const [from, to] = [span.from, span.to].map((seconds) => instantWords(seconds, stepOf(span)));
  return span.from === span.to ? `at ${from}` : `from ${from} to ${to}`;
}
