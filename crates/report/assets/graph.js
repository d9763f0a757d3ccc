// @ts-check
// The flame graph on its canvas: pointing, clicking, keys. What it shows is the model's; what a click means for the whole page is the
// application's (main.js).

import { ROW_HEIGHT, indexAt, layoutRows, neighbour, placeOf } from './layout.js';
import { pathOf } from './views.js';
import { drawGraph, prepareCanvas } from './draw.js';
import { describe, remarks, sentence } from './described.js';
import { part, showTooltip } from './panels.js';
import { nodeRecords } from './records.js';
import { toSvg } from './picture.js';

/** @typedef {import('./main.js').Application} Application */

export class GraphView {
  /** @param {Application} app */
  constructor(app) {
    this.app = app;
    this.place = part('graph');
    this.idle = 'Click a frame to zoom in, point at it for its numbers';
    this.canvas = part('graph-canvas');
    this.tooltip = part('tooltip');
    /** @type {import('./layout.js').Row[]} */
    this.rows = [];
    /** Whether the root is at the bottom. */
    this.flames = false;
    this.hovered = -1;
    this.listen();
  }

  get model() {
    return this.app.model;
  }

  /** After the model has changed. */
  show() {
    const { model } = this;
    this.hovered = -1;
    this.tooltip.hidden = true;
    this.rows = layoutRows(model.view, model.column, model.zoomed, this.place.clientWidth);
    part('graph-height').style.height = `${this.rows.length * ROW_HEIGHT}px`;
    // The root is seen first, wherever it is.
    const flames = model.look.flames;
    if (flames && !this.flames) this.place.scrollTop = this.place.scrollHeight;
    this.flames = flames;
    const empty = !(model.view.columns[model.column][0] > 0);
    part('graph-empty').hidden = !empty;
    part('graph-empty').textContent = `Nothing to draw: 0 bytes ${model.chosen.words()}.`;
  }

  /** On the next frame of the screen. */
  draw() {
    this.drawPart(this.place.clientWidth, this.place.clientHeight, this.place.scrollTop);
  }

  /** All rows at once, as far as a canvas can go: paper does not scroll. */
  drawForPaper() {
    const height = Math.min(this.rows.length, 500) * ROW_HEIGHT;
    this.drawPart(this.place.clientWidth, height, 0, this.rows.length * ROW_HEIGHT);
  }

  /**
   * @param {number} width
   * @param {number} height
   * @param {number} top
   * @param {number} [whole]  height of all rows, as `yOf`
   */
  drawPart(width, height, top, whole) {
    drawGraph(prepareCanvas(this.canvas, width, height), this.picture(top, height, whole));
  }

  /**
   * @param {number} top
   * @param {number} height
   * @param {number} [whole]  as `yOf`
   * @returns {import('./draw.js').Picture}
   */
  picture(top, height, whole) {
    const { model } = this;
    const { css } = this.app;
    return {
      rows: this.rows,
      zoomDepth: this.zoomDepth(),
      y: (depth) => this.yOf(depth, whole),
      fill: (id) => model.fill(id),
      label: (id) => model.labelOf(id),
      remarks: (id) => remarks(model, id),
      matched: model.matched ? (id) => model.isMatched(id) : null,
      hovered: this.hovered,
      selected: this.app.selected,
      top,
      height,
      style: {
        ink: css('--ink'), soft: css('--frame-soft'), panel: css('--panel'), match: css('--match'),
        accent: css('--accent'), font: `12px ${css('--sans')}`,
      },
    };
  }

  /** The rectangles as rows, from the top to the bottom and from left to right. */
  records() {
    return nodeRecords(this.model, this.rows.flatMap((row) => row.id), this.rows.flatMap((row, depth) => row.id.map(() => depth)));
  }

  /** The whole picture, whatever part of it is in sight. */
  toSvg() {
    const { model, rows } = this;
    const { css } = this.app;
    const context = /** @type {CanvasRenderingContext2D} */ (this.canvas.getContext('2d'));
    context.font = `12px ${css('--sans')}`;
    const zoomDepth = this.zoomDepth();
    const callers = new Set(rows.slice(0, zoomDepth).flatMap((row) => row.id));
    const { number, words } = model.headline();
    return toSvg({
      rows,
      width: this.place.clientWidth,
      title: `${model.page.title}: ${number} ${words}`,
      // Not written out: the page names no address at all.
      namespace: document.querySelector('svg')?.namespaceURI ?? '',
      fill: (id) => (model.isMatched(id) ? css('--match') : model.fill(id)),
      y: (depth) => this.yOf(depth, rows.length * ROW_HEIGHT),
      label: (id) => model.labelOf(id),
      remarks: (id) => remarks(model, id),
      words: (id) => sentence(model, id),
      faded: (id) => callers.has(id) || (model.matched !== null && !model.isMatched(id)),
      measure: (text) => context.measureText(text.slice(0, 1000)).width,
      style: { ink: css('--ink'), soft: css('--soft'), panel: css('--panel'), font: css('--sans') },
    });
  }

  /**
   * Likewise, as far down as a canvas can go.
   * @param {(picture: Blob | null) => void} done
   */
  toPng(done) {
    const canvas = document.createElement('canvas');
    const width = this.place.clientWidth;
    const height = Math.min(this.rows.length * ROW_HEIGHT, Math.floor(16_000 / (devicePixelRatio || 1)));
    const context = prepareCanvas(canvas, width, height);
    context.fillStyle = this.app.css('--panel');
    context.fillRect(0, 0, width, height);
    drawGraph(context, { ...this.picture(0, height, this.rows.length * ROW_HEIGHT), hovered: -1, selected: -1 });
    canvas.toBlob(done);
  }

  /**
   * Where a row begins.
   * @param {number} depth
   * @param {number} [whole]  height of the picture; without it what the page has room for, at least
   */
  yOf(depth, whole = Math.max(this.rows.length * ROW_HEIGHT, this.place.clientHeight)) {
    return this.flames ? whole - (depth + 1) * ROW_HEIGHT : depth * ROW_HEIGHT;
  }

  zoomDepth() {
    return pathOf(this.model.view, this.model.zoomed).length;
  }

  /** Scrolls to the zoomed frame, with some of its callers. */
  toZoomed() {
    const y = this.yOf(this.zoomDepth());
    this.place.scrollTop = this.flames ? y + 4 * ROW_HEIGHT - this.place.clientHeight : Math.max(0, y - 3 * ROW_HEIGHT);
  }

  /**
   * @param {MouseEvent} event
   * @returns {number} node id, −1: none
   */
  under(event) {
    const box = this.place.getBoundingClientRect();
    const y = event.clientY - box.top - this.place.clientTop + this.place.scrollTop;
    const depth = this.flames ? Math.floor((this.yOf(0) + ROW_HEIGHT - y) / ROW_HEIGHT) : Math.floor(y / ROW_HEIGHT);
    const at = indexAt(this.rows[depth], event.clientX - box.left - this.place.clientLeft);
    return at < 0 ? -1 : this.rows[depth].id[at];
  }

  listen() {
    const { place } = this;
    place.addEventListener('pointermove', (/** @type {PointerEvent} */ event) => {
      const id = this.under(event);
      place.style.cursor = id >= 0 ? 'pointer' : '';
      if (id !== this.hovered) {
        this.hovered = id;
        this.app.draw();
      }
      if (id < 0) this.tooltip.hidden = true;
      else showTooltip(this.tooltip, describe(this.model, id), event.clientX, event.clientY);
    });
    place.addEventListener('pointerleave', () => this.leave());
    place.addEventListener('scroll', () => this.leave());
    place.addEventListener('click', (/** @type {MouseEvent} */ event) => {
      const id = this.under(event);
      if (id >= 0) this.app.zoom(id);
    });
    place.addEventListener('blur', () => { this.tooltip.hidden = true; });
    place.addEventListener('keydown', (/** @type {KeyboardEvent} */ event) => {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      if (this.key(event.key)) event.preventDefault();
    });
  }

  leave() {
    this.hovered = -1;
    this.tooltip.hidden = true;
    this.app.draw();
  }

  /** @param {string} key @returns {boolean} whether it meant something */
  key(key) {
    const { app, model } = this;
    const [up, down] = this.flames ? /** @type {const} */ (['down', 'up']) : /** @type {const} */ (['up', 'down']);
    const way = /** @type {const} */ ({ ArrowUp: up, ArrowDown: down, ArrowLeft: 'left', ArrowRight: 'right' })[key];
    if (way) app.select(app.selected < 0 ? model.zoomed : neighbour(this.rows, model.view, app.selected, way));
    else if ((key === 'Enter' || key === ' ') && app.selected >= 0) app.zoom(app.selected);
    else return false;
    return true;
  }

  /** Brings a frame into sight, zooming to it if it has no rectangle. @param {number} id */
  goTo(id) {
    if (!placeOf(this.rows, this.model.view, id)) {
      this.app.go({ zoom: pathOf(this.model.view, id) });
      this.toZoomed();
    }
    this.reveal(id);
  }

  /** Brings a frame into sight, with its numbers. @param {number} id */
  reveal(id) {
    this.hovered = -1;
    const place = placeOf(this.rows, this.model.view, id);
    if (!place) return;
    const y = this.yOf(place.depth);
    const { scrollTop, clientHeight } = this.place;
    if (y < scrollTop) this.place.scrollTop = y;
    else if (y + ROW_HEIGHT > scrollTop + clientHeight) this.place.scrollTop = y + ROW_HEIGHT - clientHeight;
    // The panel says more, and hides nothing.
    this.tooltip.hidden = true;
    if (this.app.side.isOpen) return;
    const box = this.place.getBoundingClientRect();
    const row = this.rows[place.depth];
    const x = box.left + row.x[place.index] + Math.min(row.width[place.index] / 2, 40);
    showTooltip(this.tooltip, describe(this.model, id), x, box.top + y - this.place.scrollTop + ROW_HEIGHT / 2);
  }
}
