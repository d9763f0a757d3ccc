// @ts-check
// Rows of rectangles → a canvas. Draws what it is given; knows no events and no state of the page.

import { ROW_HEIGHT } from './layout.js';

/**
 * @typedef {import('./layout.js').Row} Row
 * @typedef {{ink: string, soft: string, panel: string, match: string, accent: string, font: string}} Style
 *
 * @typedef {object} Picture
 * @property {Row[]} rows
 * @property {number} zoomDepth  rows above this one are the callers of the zoomed node
 * @property {(id: number) => string} fill
 * @property {(id: number) => string} label  what stands in the rectangle
 * @property {(id: number) => string[]} remarks  what may follow it, fainter: the first for which there is room
 * @property {((id: number) => boolean) | null} matched  null: no search
 * @property {number} hovered  node id, −1: none
 * @property {number} selected  likewise
 * @property {(depth: number) => number} y  of a row in the whole picture
 * @property {number} top  first pixel shown of the whole picture
 * @property {number} height  pixels shown
 * @property {Style} style
 */

/** Free space left and right of a text in its rectangle. */
const PAD = 6;
/** Rectangles narrower than this carry no text. */
const MIN_TEXT = 26;

/**
 * Sets the size of a canvas in CSS pixels, sharp on any screen, and clears it.
 * @param {HTMLCanvasElement} canvas
 * @param {number} width
 * @param {number} height
 * @returns {CanvasRenderingContext2D}
 */
export function prepareCanvas(canvas, width, height) {
  const ratio = globalThis.devicePixelRatio || 1;
  const [w, h] = [Math.max(1, Math.round(width * ratio)), Math.max(1, Math.round(height * ratio))];
  if (canvas.width !== w || canvas.height !== h) {
    canvas.width = w;
    canvas.height = h;
    canvas.style.width = `${width}px`;
    canvas.style.height = `${height}px`;
  }
  const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext('2d'));
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  return context;
}

/**
 * @param {CanvasRenderingContext2D} context  from `prepareCanvas`
 * @param {Picture} picture
 */
export function drawGraph(context, picture) {
  const { rows, top, height } = picture;
  context.textBaseline = 'middle';
  for (let depth = 0; depth < rows.length; depth++) {
    const y = picture.y(depth) - top;
    if (y > -ROW_HEIGHT && y < height) drawRow(context, picture, depth, y);
  }
  for (const [id, color, thickness] of /** @type {[number, string, number][]} */ ([
    [picture.hovered, picture.style.ink, 1.5],
    [picture.selected, picture.style.accent, 2.5],
  ])) {
    if (id >= 0) outline(context, picture, id, color, thickness);
  }
}

/**
 * @param {CanvasRenderingContext2D} context
 * @param {Picture} picture
 * @param {number} depth
 * @param {number} y
 */
function drawRow(context, picture, depth, y) {
  const row = picture.rows[depth];
  const { style, matched } = picture;
  const caller = depth < picture.zoomDepth;
  for (let i = 0; i < row.id.length; i++) {
    const id = row.id[i];
    const w = row.width[i];
    const hit = matched !== null && matched(id);
    const faded = caller || (matched !== null && !hit);
    // One pixel between neighbours, if there is room for it; a narrow frame still shows as a line.
    const drawn = w > 3 ? w - 1 : Math.max(w, 0.5);
    context.globalAlpha = faded ? 0.45 : 1;
    context.fillStyle = hit ? style.match : picture.fill(id);
    if (w > 8) {
      context.beginPath();
      context.roundRect(row.x[i], y + 0.5, drawn, ROW_HEIGHT - 1.5, 3);
      context.fill();
    } else {
      context.fillRect(row.x[i], y + 0.5, drawn, ROW_HEIGHT - 1.5);
    }
    if (w >= MIN_TEXT) {
      context.globalAlpha = faded ? 0.7 : 1;
      drawText(context, picture, id, row.x[i] + PAD, y + ROW_HEIGHT / 2 + 0.5, drawn - 2 * PAD, hit);
    }
  }
  context.globalAlpha = 1;
}

/** Widths of texts already measured; measuring is most of the time of a drawing. @type {Map<string, number>} */
const measured = new Map();

/**
 * @param {CanvasRenderingContext2D} context
 * @param {string} text
 * @returns {number}
 */
function textWidth(context, text) {
  let width = measured.get(text);
  if (width === undefined) {
    // A name of a megabyte is not measured whole; so much never fits.
    width = context.measureText(text.slice(0, 1000)).width;
    if (measured.size > 50_000) measured.clear();
    measured.set(text, width);
  }
  return width;
}

/**
 * @param {CanvasRenderingContext2D} context
 * @param {Picture} picture
 * @param {number} id
 * @param {number} x
 * @param {number} y
 * @param {number} room
 * @param {boolean} hit
 */
function drawText(context, picture, id, x, y, room, hit) {
  const { style } = picture;
  context.font = style.font;
  context.fillStyle = hit ? style.panel : style.ink;
  const label = picture.label(id);
  const width = textWidth(context, label);
  if (width > room) {
    const fits = Math.floor((Math.min(label.length, 1000) * room) / width) - 1;
    if (fits >= 2) context.fillText(`${label.slice(0, fits)}…`, x, y, room);
    return;
  }
  context.fillText(label, x, y);
  if (width + 40 > room) return;
  const remark = picture.remarks(id).find((text) => width + 10 + textWidth(context, text) <= room);
  if (remark) {
    context.fillStyle = hit ? style.panel : style.soft;
    context.fillText(remark, x + width + 10, y);
  }
}

/**
 * @param {CanvasRenderingContext2D} context
 * @param {Picture} picture
 * @param {number} id
 * @param {string} color
 * @param {number} thickness
 */
function outline(context, picture, id, color, thickness) {
  for (let depth = 0; depth < picture.rows.length; depth++) {
    const y = picture.y(depth) - picture.top;
    if (y <= -ROW_HEIGHT || y >= picture.height) continue;
    const row = picture.rows[depth];
    const i = row.id.indexOf(id);
    if (i < 0) continue;
    const inset = thickness / 2;
    context.strokeStyle = color;
    context.lineWidth = thickness;
    context.beginPath();
    context.roundRect(
      row.x[i] + inset,
      y + inset,
      Math.max(1, row.width[i] - 1 - thickness),
      ROW_HEIGHT - thickness,
      3,
    );
    context.stroke();
    return;
  }
}
