// @ts-check
// The plot of memory over time at the top of the page: a click chooses an instant, a drag a window, the edges of a
// window can be dragged again; all of it with the keyboard as well. What is chosen is the look's, here are only gestures.
// How the plot is zoomed is zoombar.js's.

import { highestPart, nearestInstant, nearestPoint, pointName, pointNanos } from './course.js';
import { prepareCanvas } from './draw.js';
import { paintShapes } from './shapes.js';
import { PLOT_FONT, hasRss, pointUnder, timeShapes } from './time_shapes.js';
import { timelineScale } from './timeline.js';
import { element, part } from './panels.js';
import { pointWords, windowWords } from './selection.js';
import { clockTime, duration, humanBytes, instantWords } from './words.js';
import { PlotZoom } from './zoombar.js';

/**
 * @typedef {import('./main.js').Application} Application
 * @typedef {import('./course.js').Course} Course
 */

/** So near to an edge of the window a press moves that edge; so far a press must move to be a drag. In CSS pixels. */
const EDGE = 6;
const STILL = 3;

export class TimeBar {
  /** @param {Application} app */
  constructor(app) {
    this.app = app;
    this.canvas = part('timeline-canvas');
    /** x of the mouse, −1: not here. */
    this.pointer = -1;
    /** Where a press began, and the other end of the window that it makes. @type {{x: number, fixed: number, moved: boolean} | null} */
    this.drag = null;
    /** A choice that waits for the next frame of the screen. @type {{from: string, to: string} | null} */
    this.pending = null;
    this.zoom = new PlotZoom(this);
    part('timeline').hidden = this.timeline.length === 0;
    part('whole').addEventListener('click', () => this.app.go({ from: '', to: '' }));
    if (this.timeline.length > 0) this.listen();
  }

  get timeline() {
    return this.app.model.page.timeline;
  }

  get course() {
    return this.app.model.page.course;
  }

  /** What is chosen, in nanoseconds: the same twice is an instant, null is the whole run. */
  get chosen() {
    const { span } = this.app.model.chosen;
    const course = /** @type {Course} */ (this.course);
    if (span === null) return null;
    if ('point' in span) return { from: pointNanos(course, span.point), to: pointNanos(course, span.point) };
    return { from: course.nanos[span.from], to: course.nanos[span.to] };
  }

  /** What the mark in the timeline says. */
  instant() {
    return this.app.model.page.metrics[0]?.key === 'live' ? 'Shown: at' : 'Peak at';
  }

  /** "Peak at 1.2 s"; "" if that is not known. */
  peakWords() {
    const { peakAt } = this.app.model.page;
    return peakAt === null ? '' : `${this.instant()} ${duration(peakAt)}`;
  }

  /** "At 1.2 s", "From 1.2 s to 3.4 s"; "" if nothing is chosen. */
  chosenWords() {
    const { page, chosen: { span } } = this.app.model;
    if (span === null) return '';
    const words = 'point' in span ? `at ${pointWords(page, span.point)}` : windowWords(page, span);
    return `${words[0].toUpperCase()}${words.slice(1)}`;
  }

  /** After the look has changed. */
  show() {
    if (this.timeline.length === 0) return;
    const { page, chosen } = this.app.model;
    const { span } = chosen;
    part('whole').hidden = span === null;
    part('whole').textContent = page.span ? 'Whole window' : 'Whole run';
    const words = span === null ? '' : 'point' in span ? pointWords(page, span.point) : windowWords(page, span);
    part('chosen').textContent = this.chosenWords();
    const { canvas, course } = this;
    const most = this.timeline.live.reduce((a, b) => Math.max(a, b), 0);
    const { peakAt } = page;
    const peak = peakAt === null ? '' : `, ${this.instant().toLowerCase()} ${duration(peakAt)}`;
    canvas.setAttribute('aria-label', `Live bytes over time, at most ${humanBytes(most)}${peak}${this.zoom.words()}`);
    this.zoom.show();
    if (course === null) return;
    const chosenAt = this.chosen;
    canvas.setAttribute('aria-valuenow', String((chosenAt === null ? course.nanos[0] : chosenAt.to) / 1e9));
    canvas.setAttribute('aria-valuetext', words || (page.span ? 'the whole window' : 'the whole run'));
  }

  /** When most was live in the window that is shown, if that is what is shown; in nanoseconds. */
  highest() {
    const { span, metric } = this.app.model.chosen;
    if (span === null || !('from' in span) || metric.key !== 'peak') return null;
    const course = /** @type {Course} */ (this.course);
    return course.peakNanos[highestPart(course, span.from, span.to)];
  }

  /** @returns {import('./time_shapes.js').TimePicture} */
  picture() {
    const { look, page: { span, peakAt, marks, censuses, startedUnix } } = this.app.model;
    const { timeline, zoom, chosen } = this;
    return { timeline, started: look.clock ? startedUnix : 0, range: zoom.range, span, steps: zoom.steps(), peakAt, marks, censuses, chosen, highest: this.highest() };
  }

  draw() {
    const { timeline, canvas } = this;
    const { css, model: { page } } = this.app;
    const { peakAt, marks } = page;
    if (timeline.length === 0) return;
    const { range } = this.zoom;
    const [width, height] = [canvas.clientWidth, canvas.clientHeight];
    const context = prepareCanvas(canvas, width, height);
    context.font = `${PLOT_FONT}px ${css('--sans')}`;
    const picture = this.picture();
    paintShapes(context, timeShapes(picture, width, height, css, (text) => context.measureText(text).width));
    const under = pointUnder(picture, width, height, this.pointer);
    if (under) paintShapes(context, [{ line: [{ x: under.x, y: under.scale.y0 }, { x: under.x, y: under.scale.y1 }], stroke: css('--faint') }]);
    const near = under ? under.point : -1;
    const has = hasRss(timeline);
    const clock = near < 0 ? '' : clockTime(page.startedUnix, timeline.seconds[near]);
    const perPixel = (range.to - range.from) / Math.max(1, width);
    const at = near < 0 ? '' : `${instantWords(timeline.seconds[near], perPixel)}${clock && ` (${clock})`}: `;
    const live = element('span', near < 0 ? 'Live bytes' : `${at}${humanBytes(timeline.live[near])} live`);
    const rss = element('span', near < 0 ? 'RSS' : `${humanBytes(timeline.rss[near])} RSS`, 'rss');
    const peak = element('span', this.peakWords(), 'at-peak');
    const mark = near < 0 ? -1 : this.markNear();
    part('timeline-key').classList.toggle('values', near >= 0);
    part('timeline-key').replaceChildren(
      ...(mark < 0 ? [] : [element('span', `Mark “${marks.name[mark]}”`, 'mark')]), live, ...(has ? [rss] : []), ...(peakAt === null ? [] : [peak]),
    );
  }

  /** @returns {import('./timeline.js').Scale} */
  scale() {
    return timelineScale(this.timeline, this.canvas.clientWidth, this.canvas.clientHeight, this.zoom.range);
  }

  /** Nanoseconds at a place; beside the plot those at its end. @param {number} x */
  nanosAt(x) {
    const { from, to, left, right } = this.scale();
    const place = Math.min(1, Math.max(0, (x - left) / (right - left)));
    return Math.max(0, (from + (to - from) * place) * 1e9);
  }

  /** @param {number} nanos */
  xOf(nanos) {
    const { from, to, left, right } = this.scale();
    return left + ((right - left) * (nanos / 1e9 - from)) / (to - from);
  }

  /** The mark under the mouse, −1: none. */
  markNear() {
    const { seconds } = this.app.model.page.marks;
    let near = -1;
    let closest = EDGE;
    for (const [mark, at] of seconds.entries()) {
      const distance = Math.abs(this.xOf(at * 1e9) - this.pointer);
      if (distance <= closest) [near, closest] = [mark, distance];
    }
    return near;
  }

  /** @param {string} key @returns {boolean} whether it meant something */
  zoomKey(key) {
    return this.timeline.length > 0 && this.zoom.key(key);
  }

  listen() {
    const { canvas } = this;
    this.zoom.listen();
    canvas.addEventListener('pointermove', (/** @type {PointerEvent} */ event) => {
      this.pointer = event.offsetX;
      if (this.drag) this.dragTo(event.offsetX);
      else canvas.style.cursor = this.edgeAt(event.offsetX) ? 'ew-resize' : this.course ? 'crosshair' : '';
      this.app.draw();
    });
    canvas.addEventListener('pointerleave', () => {
      this.pointer = -1;
      this.app.draw();
    });
    if (this.course === null) {
      canvas.setAttribute('role', 'img');
      // No stop for the tab key, but a place for the focus of a button of it that goes.
      canvas.tabIndex = -1;
      return;
    }
    canvas.tabIndex = 0;
    canvas.setAttribute('role', 'slider');
    canvas.setAttribute('aria-valuemin', String(this.course.nanos[0] / 1e9));
    canvas.setAttribute('aria-valuemax', String(this.course.nanos[this.course.parts] / 1e9));
    canvas.addEventListener('pointerdown', (/** @type {PointerEvent} */ event) => {
      if (event.button !== 0) return;
      const edge = this.edgeAt(event.offsetX);
      const chosen = this.chosen;
      const fixed = edge && chosen ? (edge === 'from' ? chosen.to : chosen.from) : this.nanosAt(event.offsetX);
      this.drag = { x: event.offsetX, fixed, moved: false };
      canvas.setPointerCapture(event.pointerId);
    });
    canvas.addEventListener('pointerup', (/** @type {PointerEvent} */ event) => {
      const { drag } = this;
      this.drag = null;
      if (drag && !drag.moved && !this.edgeAt(event.offsetX)) {
        this.zoom.pressed();
        this.choosePoint(nearestPoint(/** @type {Course} */ (this.course), this.nanosAt(event.offsetX)));
      }
    });
    canvas.addEventListener('pointercancel', () => { this.drag = null; });
    canvas.addEventListener('keydown', (/** @type {KeyboardEvent} */ event) => {
      if (event.ctrlKey || event.metaKey || event.altKey || !this.key(event.key, event.shiftKey)) return;
      event.preventDefault();
      event.stopPropagation();
    });
  }

  /** Which edge of the window is at a place. @param {number} x @returns {'from' | 'to' | null} */
  edgeAt(x) {
    const { chosen } = this;
    if (chosen === null || chosen.from === chosen.to) return null;
    const [from, to] = [Math.abs(this.xOf(chosen.from) - x), Math.abs(this.xOf(chosen.to) - x)];
    if (Math.min(from, to) > EDGE) return null;
    return from < to ? 'from' : 'to';
  }

  /** @param {number} x */
  dragTo(x) {
    const drag = this.drag;
    const course = this.course;
    if (!drag || !course || (!drag.moved && Math.abs(x - drag.x) <= STILL)) return;
    const [a, b] = [drag.fixed, this.nanosAt(x)].sort((p, q) => p - q).map((nanos) => nearestInstant(course, nanos));
    if (a === b) return;
    const isFirst = !drag.moved;
    drag.moved = true;
    if (this.pending === null) {
      requestAnimationFrame(() => {
        if (this.pending) this.app.go(this.pending, isFirst);
        this.pending = null;
      });
    }
    this.pending = this.between(a, b);
  }

  /** The names of two instants. @param {number} from @param {number} to */
  between(from, to) {
    const { page } = this.app.model;
    return { from: pointName(page, 2 * from), to: pointName(page, 2 * to) };
  }

  /** @param {number} point @param {boolean} [step] */
  choosePoint(point, step = true) {
    const name = pointName(this.app.model.page, point);
    this.app.go({ from: name, to: name, plot: this.zoom.with(pointNanos(/** @type {Course} */ (this.course), point)) }, step);
  }

  /**
   * Arrows move the instant, with shift the end of a window that begins there; Home and End go to the ends.
   * @param {string} key
   * @param {boolean} shift
   * @returns {boolean} whether it meant something
   */
  key(key, shift) {
    const course = /** @type {Course} */ (this.course);
    const { span } = this.app.model.chosen;
    const steps = { ArrowLeft: -1, ArrowRight: 1, ArrowDown: -1, ArrowUp: 1, PageDown: -20, PageUp: 20, Home: -Infinity, End: Infinity }[key];
    if (key === 'Escape' && span !== null) {
      this.app.go({ from: '', to: '' });
      return true;
    }
    if (key === 'Escape' && this.zoom.isZoomed) {
      this.zoom.out();
      return true;
    }
    if (steps === undefined) return false;
    const within = (/** @type {number} */ place, /** @type {number} */ last) => Math.min(last, Math.max(0, place));
    if (shift) {
      const peak = this.app.model.page.peakAt;
      const start = span === null ? nearestInstant(course, (peak ?? 0) * 1e9) : 'point' in span ? span.point >> 1 : span.from;
      const end = within((span !== null && 'to' in span ? span.to : start) + steps, course.parts);
      if (end > start) this.app.go({ ...this.between(start, end), plot: this.zoom.with(course.nanos[end]) }, false);
      return true;
    }
    // The first arrow leads to the peak, or to the end of the window; those after it go on from there.
    let at = span === null ? nearestPoint(course, (this.app.model.page.peakAt ?? 0) * 1e9) : 'point' in span ? span.point + steps : 2 * span.to;
    if (!Number.isFinite(steps)) at = steps;
    this.choosePoint(within(at, 2 * course.parts), span === null);
    return true;
  }
}
