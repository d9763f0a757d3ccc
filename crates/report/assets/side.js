// @ts-check
// The panel beside the graph: all about the function that is selected. Opens with the first selection; closed by the
// reader it stays closed, in other pages too. All text goes in by `textContent`.

import { KINDS } from './data.js';
import { prepareCanvas } from './draw.js';
import { askedBy, overTime } from './function_cells.js';
import { element, part, recall, remember } from './panels.js';
import { duration, fileAndLine, humanBytes, percent, signed } from './words.js';

/**
 * @typedef {import('./main.js').Application} Application
 * @typedef {import('./functions.js').Part} Part
 */

/** Milliseconds from which telling is slow. */
const SIDE_SLOW = 10;
/** Nodes that are gone through in a millisecond, the first time. */
const SIDE_NODES = 5_000;
/** Callers, callees and lines shown at first. */
const SIDE_ROWS = 12;
/** Narrowest and widest panel, in CSS pixels; the graph keeps the same least width. */
const SIDE_LEAST = 220;
const SIDE_MOST = 900;

export class SidePanel {
  /** @param {Application} app */
  constructor(app) {
    this.app = app;
    this.place = part('side');
    /** One frame of the function told about, −1: none yet. */
    this.frame = -1;
    this.wanted = recall('side') !== 'closed';
    /** Milliseconds that telling took last time, at first by the size of the tree; and whether it waits for the next frame of the screen. */
    this.took = app.model.tree.size / SIDE_NODES;
    this.waits = false;
    /** Lists of which the reader wants to see all. @type {Set<string>} */
    this.whole = new Set();
    this.setWidth(Number(recall('side-width')) || 340);
    part('side-close').addEventListener('click', () => this.toggle(false));
    part('side-button').addEventListener('click', () => this.toggle());
    this.listenToEdge();
  }

  /** @param {boolean} [open]  without it: the other way */
  toggle(open = !this.isOpen) {
    this.wanted = open;
    remember('side', open ? 'open' : 'closed');
    if (open && this.frame < 0) this.frame = this.app.model.heaviestFrame();
    const within = this.place.contains(document.activeElement);
    this.show();
    // On a small screen it is below the view.
    if (open) this.place.scrollIntoView({ block: 'nearest' });
    if (!open && within) part('side-button').focus();
  }

  get isOpen() {
    return this.wanted && this.frame >= 0;
  }

  /** Tells about the function of a frame. @param {number} frame */
  about(frame) {
    if (frame < 0) return;
    const { functions } = this.app.model.lines;
    if (functions[frame] !== functions[this.frame]) this.whole.clear();
    this.frame = frame;
    this.show();
  }

  /** After anything has changed. Where all that is told took long last time, the view is drawn first. */
  show() {
    this.place.hidden = part('side-edge').hidden = !this.isOpen;
    part('side-button').setAttribute('aria-expanded', String(this.isOpen));
    if (!this.isOpen || this.waits) return;
    if (this.took < SIDE_SLOW) {
      this.tell();
      return;
    }
    this.waits = true;
    // Behind the frame of the screen that has the view, not only behind its drawing.
    requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(() => {
      this.waits = false;
      if (this.isOpen) this.tell();
    })));
  }

  tell() {
    const began = performance.now();
    this.tellNow();
    this.took = performance.now() - began;
  }

  tellNow() {
    const { model } = this.app;
    const { frames } = model;
    const { frame } = this;
    const about = model.lines.about(frame);
    const whole = model.whole;
    const total = model.valuesOfSums(about.total);
    const own = model.valuesOfSums(about.own);
    part('side-name').textContent = frames.name[frame];
    part('side-where').textContent = fileAndLine(frames.file[frame], frames.line[frame]);
    part('side-kind').textContent = [frames.package[frame], KINDS[frames.kind[frame]]].filter(Boolean).join('  ·  ');
    const share = (/** @type {import('./model.js').Values} */ values) => {
      const [before, after] = model.inUnit(values);
      if (model.difference) return `${model.amount(before)} → ${model.amount(after)}`;
      return `${model.amount(after)}, ${percent(after, model.inUnit(whole)[1])}`;
    };
    const other = (/** @type {import('./model.js').Values} */ values) => model.amountIn(model.look.unit === 'bytes' ? 'blocks' : 'bytes', values);
    part('side-numbers').replaceChildren(
      element('dt', 'With callees'), element('dd', share(total)), element('dd', other(total), 'soft'),
      element('dt', 'Itself'), element('dd', share(own)), element('dd', other(own), 'soft'),
    );
    this.showTime();
    const of = about.total;
    this.showLines(about.lines, of);
    this.showParts('side-callers', about.callers, of, 'no caller');
    this.showParts('side-callees', about.callees, of, '');
    this.showAskedBy();
  }

  /** Threads and functions that allocate, where there are several in the page. */
  showAskedBy() {
    const { model } = this.app;
    const { threads, allocators } = askedBy(model, this.frame);
    for (const [id, sums, known] of /** @type {[string, [string, number][], number][]} */ ([
      ['side-threads', threads, model.page.threads.length], ['side-allocators', allocators, model.page.allocators.length],
    ])) {
      part(`${id}-title`).hidden = part(id).hidden = sums.length === 0 || known < 2;
      const all = sums.reduce((sum, [, amount]) => sum + amount, 0);
      this.fill(id, sums, ([name, amount]) => {
        const item = element('li');
        item.append(element('span', name, 'name'), element('span', model.amount(amount), 'number'), element('span', percent(amount, all), 'number soft'), bar(amount / all));
        return item;
      });
    }
  }

  /** Size over time, where the data know it. */
  showTime() {
    const known = overTime(this.app.model, this.frame);
    part('side-time').hidden = known === null;
    if (known) drawSizeOverTime(part('side-time-canvas'), known.values, known.times, this.app.css);
  }

  /** @param {number[]} amounts @param {number[]} of */
  words(amounts, of) {
    const { model } = this.app;
    const [before, after] = model.inUnit(model.valuesOfSums(amounts));
    if (model.difference) return { text: signed(after - before, (n) => model.amount(n)), share: amounts[model.column] / of[model.column] };
    return { text: model.amount(after), share: after / (of[model.column] || 1) };
  }

  /** @param {import('./functions.js').About['lines']} lines @param {number[]} of */
  showLines(lines, of) {
    const { frames } = this.app.model;
    // A function without lines has nothing to tell here.
    const known = lines.filter(({ frame }) => frames.line[frame] > 0);
    part('side-lines-title').hidden = part('side-lines').hidden = known.length === 0;
    this.fill('side-lines', known, (line) => {
      const { text, share } = this.words(line.amounts, of);
      const item = element('li');
      const itself = this.words(line.own, of).text;
      item.title = `Line ${frames.line[line.frame]}: ${text} with callees, ${itself} itself`;
      const code = element('span', frames.source[line.frame] || `line ${frames.line[line.frame]}`, frames.source[line.frame] ? 'code' : 'code soft');
      item.append(element('span', String(frames.line[line.frame]), 'no'), code, element('span', text, 'number'), bar(share));
      return item;
    });
  }

  /** @param {string} id @param {Part[]} parts @param {number[]} of @param {string} none */
  showParts(id, parts, of, none) {
    const { frames } = this.app.model;
    part(`${id}-title`).hidden = part(id).hidden = parts.length === 0;
    this.fill(id, parts, ({ frame, amounts }) => {
      const { text, share } = this.words(amounts, of);
      const item = element('li');
      const name = frame < 0 ? element('span', none, 'soft name') : element('button', frames.name[frame], 'name');
      if (frame >= 0) {
        name.title = `${frames.name[frame]}  ${fileAndLine(frames.file[frame], frames.line[frame])}`;
        name.addEventListener('click', () => this.app.goToFunction(frame));
      }
      item.append(name, element('span', text, 'number'), element('span', percent(share, 1), 'number soft'), bar(share));
      return item;
    });
  }

  /**
   * @template T
   * @param {string} id
   * @param {T[]} parts
   * @param {(part: T) => HTMLElement} make
   */
  fill(id, parts, make) {
    const shown = this.whole.has(id) ? parts : parts.slice(0, SIDE_ROWS);
    const list = part(id);
    list.replaceChildren(...shown.map(make));
    if (shown.length === parts.length) return;
    const more = element('li');
    const button = element('button', `… ${parts.length - shown.length} more`, 'more');
    button.addEventListener('click', () => {
      this.whole.add(id);
      this.show();
      /** @type {HTMLElement | null} */ (list.querySelector(`li:nth-child(${SIDE_ROWS + 1}) button`))?.focus();
    });
    more.append(button);
    list.append(more);
  }

  // ---- width --------------------------------------------------------------------------------------------

  /** @param {number} width */
  setWidth(width) {
    this.width = Math.round(Math.min(SIDE_MOST, Math.max(SIDE_LEAST, width)));
    document.documentElement.style.setProperty('--side', `${this.width}px`);
    part('side-edge').setAttribute('aria-valuenow', String(this.width));
  }

  listenToEdge() {
    const edge = part('side-edge');
    edge.setAttribute('aria-valuemin', String(SIDE_LEAST));
    edge.setAttribute('aria-valuemax', String(SIDE_MOST));
    edge.addEventListener('pointerdown', (/** @type {PointerEvent} */ event) => {
      event.preventDefault();
      edge.focus();
      edge.setPointerCapture(event.pointerId);
    });
    edge.addEventListener('pointermove', (/** @type {PointerEvent} */ event) => {
      if (edge.hasPointerCapture(event.pointerId)) this.setWidth(part('stage').getBoundingClientRect().right - event.clientX - 6);
    });
    edge.addEventListener('pointerup', () => remember('side-width', String(this.width)));
    edge.addEventListener('keydown', (/** @type {KeyboardEvent} */ event) => {
      const step = { ArrowLeft: 24, ArrowRight: -24 }[event.key];
      if (!step) return;
      event.preventDefault();
      this.setWidth((this.width ?? SIDE_LEAST) + step);
      remember('side-width', String(this.width));
    });
  }
}

/** How much of the function a row is. @param {number} share */
function bar(share) {
  const made = element('i', undefined, 'bar');
  made.style.width = `${Math.max(0, Math.min(100, 100 * share))}%`;
  made.setAttribute('aria-hidden', 'true');
  return made;
}

/**
 * Where a plot of sizes over time goes through: it keeps a size until the next instant.
 * @param {ArrayLike<number>} values  bytes, none negative
 * @param {ArrayLike<number>} times  seconds, ascending, as many as values
 * @param {number} width
 * @param {number} height
 * @returns {{x: number, y: number}[]}
 */
export function sizeShape(values, times, width, height) {
  let top = 1;
  for (let i = 0; i < values.length; i++) top = Math.max(top, values[i]);
  const from = times[0];
  const span = Math.max(times[times.length - 1] - from, 1e-9);
  /** @type {{x: number, y: number}[]} */
  const points = [];
  for (let i = 0; i < values.length; i++) {
    const x = (width * (times[i] - from)) / span;
    if (i > 0) points.push({ x, y: points[points.length - 1].y });
    points.push({ x, y: height - (height * values[i]) / top });
  }
  return points;
}

/**
 * @param {HTMLCanvasElement} canvas
 * @param {ArrayLike<number>} values  bytes at each instant
 * @param {ArrayLike<number>} times  seconds
 * @param {(name: string) => string} style  CSS variable → value
 */
export function drawSizeOverTime(canvas, values, times, style) {
  const [width, height] = [canvas.clientWidth, canvas.clientHeight];
  const context = prepareCanvas(canvas, width, height);
  if (values.length === 0) return;
  const most = Math.max(...Array.from(values));
  const points = sizeShape(values, times, width, height - 18);
  context.beginPath();
  context.moveTo(0, height - 4);
  for (const { x, y } of points) context.lineTo(x, y + 14);
  context.lineTo(points[points.length - 1].x, height - 4);
  context.fillStyle = style('--live-fill');
  context.fill();
  context.beginPath();
  for (const { x, y } of points) context.lineTo(x, y + 14);
  context.strokeStyle = style('--live');
  context.lineWidth = 1.5;
  context.stroke();
  context.font = `11px ${style('--sans')}`;
  context.fillStyle = style('--soft');
  context.textBaseline = 'top';
  context.fillText(`at most ${humanBytes(most)}`, 0, 0);
  context.textAlign = 'right';
  context.fillText(`${duration(times[0])} – ${duration(times[times.length - 1])}`, width, 0);
  context.textAlign = 'left';
}
