// @ts-check
// Zooming of the plot of memory over time: its buttons, keys and wheel. What is shown is the look's; the arithmetic is range.js's.

import { part } from './panels.js';
import { rangeAround, rangeName, rangeNamed, rangeWith, rangeWithin, wholeRange, zoomedAt } from './range.js';
import { instantWords } from './words.js';

/**
 * @typedef {import('./timebar.js').TimeBar} TimeBar
 * @typedef {import('./range.js').Range} Range
 */

/** How much nearer one press of a key leads, and a hundred pixels of the wheel. */
const NEARER = 2;
const NEARER_BY_WHEEL = 1.4;
/** CSS pixels between two ticks below which they would be one grey line. */
const TICKS_APART = 4;

export class PlotZoom {
  /** @param {TimeBar} bar */
  constructor(bar) {
    this.bar = bar;
    /** All that can be shown: the run, or the window that the page is of. @type {Range} */
    this.whole = bar.timeline.length > 0 ? wholeRange(bar.timeline) : { from: 0, to: 1 };
    const { span } = bar.app.model.page;
    if (span !== null && span.from < span.to) this.whole = rangeAround(this.whole, span);
    /** What was chosen before the first click of what may be a double click. @type {{from: string, to: string} | null} */
    this.before = null;
    part('plot-window').addEventListener('click', () => this.toWindow());
    part('plot-out').addEventListener('click', () => this.out());
  }

  /** What the plot shows. @returns {Range} */
  get range() {
    return rangeNamed(this.whole, this.bar.app.model.look.plot);
  }

  get isZoomed() {
    return this.name(this.range) !== '';
  }

  /** @param {Range} range */
  name(range) {
    return rangeName(this.whole, range);
  }

  /** The window that is chosen with something beside it, null if there is none. @returns {Range | null} */
  get window() {
    const { chosen } = this.bar;
    return chosen === null || chosen.from === chosen.to ? null : rangeAround(this.whole, { from: chosen.from / 1e9, to: chosen.to / 1e9 });
  }

  /** The name of the range that has an instant in sight. @param {number} nanos */
  with(nanos) {
    return this.name(rangeWith(this.whole, this.range, nanos / 1e9));
  }

  /** What is shown, to be put behind; "" for all. */
  words() {
    if (!this.isZoomed) return '';
    const { from, to } = this.range;
    return `; shown from ${instantWords(from, (to - from) / 100)} to ${instantWords(to, (to - from) / 100)}`;
  }

  /** After the look has changed. */
  show() {
    const { window } = this;
    part('plot-window').hidden = window === null || this.name(window) === this.name(this.range);
    part('plot-out').hidden = !this.isZoomed;
  }

  /** Where a window can begin and end, in nanoseconds; none if that is not to be told apart. @returns {Iterable<number>} */
  steps() {
    const { course, canvas } = this.bar;
    if (course === null || !this.isZoomed) return [];
    const { from, to } = this.range;
    const steps = course.nanos.filter((nanos) => nanos / 1e9 >= from && nanos / 1e9 <= to);
    return steps.length * TICKS_APART > canvas.clientWidth ? [] : steps;
  }

  /**
   * Shows another range, as a new step of the reader or in place of the last.
   * @param {Range} range
   * @param {boolean} step
   */
  go(range, step) {
    const { app } = this.bar;
    const plot = this.name(range);
    if (plot === app.model.look.plot) return;
    const held = document.activeElement;
    // Nothing else of the page depends on it.
    app.model.look = { ...app.model.look, plot };
    this.bar.show();
    // A button that is gone gives its focus to the one that stands in its place, or to the plot.
    if (held instanceof HTMLElement && held.hidden) ([part('plot-out'), part('plot-window')].find(({ hidden }) => !hidden) ?? this.bar.canvas).focus();
    app.draw();
    app.write(app.model.look, step);
    app.say(plot ? `The plot${this.words()}` : 'The plot shows all of it');
  }

  toWindow() {
    const { window } = this;
    if (window) this.go(window, true);
  }

  out() {
    this.go(this.whole, true);
  }

  /** A click is about to choose something. */
  pressed() {
    const { from, to } = this.bar.app.model.look;
    this.before ??= { from, to };
    // Longer than any double click takes.
    setTimeout(() => { this.before = null; }, 1000);
  }

  /** @param {string} key @returns {boolean} whether it meant something */
  key(key) {
    const { window, range } = this;
    if (key === '+' || key === '-') {
      const { chosen } = this.bar;
      const middle = chosen === null ? (this.bar.app.model.page.peakAt ?? 0) : (chosen.from + chosen.to) / 2e9;
      const at = middle >= range.from && middle <= range.to ? middle : (range.from + range.to) / 2;
      this.go(zoomedAt(this.whole, range, key === '+' ? NEARER : 1 / NEARER, at), false);
      return true;
    }
    if (window !== null && this.name(window) !== this.name(range)) this.toWindow();
    else this.out();
    return true;
  }

  listen() {
    const { canvas } = this.bar;
    canvas.addEventListener('wheel', (/** @type {WheelEvent} */ event) => {
      const { range } = this;
      // By lines or by pages, where the mouse counts so.
      const unit = [1, 33, 400][event.deltaMode] ?? 1;
      if (event.ctrlKey || event.metaKey) {
        this.go(zoomedAt(this.whole, range, NEARER_BY_WHEEL ** ((-event.deltaY * unit) / 100), this.bar.nanosAt(event.offsetX) / 1e9), false);
      } else if (this.isZoomed && (event.shiftKey || event.deltaX !== 0)) {
        const moved = ((event.deltaX || event.deltaY) * unit * (range.to - range.from)) / Math.max(1, canvas.clientWidth);
        this.go(rangeWithin(this.whole, range.from + moved, range.to - range.from), false);
      } else {
        return;
      }
      event.preventDefault();
    }, { passive: false });
    canvas.addEventListener('dblclick', () => {
      if (!this.isZoomed) return;
      // The two clicks have chosen an instant, which was not meant.
      const { before, bar } = this;
      bar.app.go({ ...before, plot: '' });
    });
  }
}
