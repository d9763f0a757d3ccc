// @ts-check
// The rows of the graph → an SVG picture that needs nothing else: text is text, a title on each rectangle. Pure.

import { ROW_HEIGHT } from './layout.js';
import { escapedXml, svgNumber } from './shapes.js';

/**
 * @typedef {object} SvgPicture
 * @property {import('./layout.js').Row[]} rows
 * @property {number} width  in pixels
 * @property {(depth: number) => number} y  of a row
 * @property {string} title
 * @property {string} namespace  of SVG
 * @property {(id: number) => string} fill
 * @property {(id: number) => string} label
 * @property {(id: number) => string[]} remarks  the first that fits follows the label
 * @property {(id: number) => string} words  all about a node, for its title
 * @property {(id: number) => boolean} faded
 * @property {(text: string) => number} measure  width of a text in pixels
 * @property {{ink: string, soft: string, panel: string, font: string}} style
 */

/** Narrower rectangles carry no text; room left and right of it. */
const SVG_TEXT = 26;
const SVG_PAD = 6;
/** Height of the title above the graph. */
const SVG_HEAD = 30;

/**
 * @param {SvgPicture} picture
 * @returns {string}
 */
export function toSvg(picture) {
  const { rows, width, style, title } = picture;
  const height = SVG_HEAD + rows.length * ROW_HEIGHT + 8;
  const parts = [
    `<svg xmlns="${escapedXml(picture.namespace)}" width="${svgNumber(width)}" height="${height}" viewBox="0 0 ${svgNumber(width)} ${height}" font-family="${escapedXml(style.font)}" font-size="12">`,
    `<title>${escapedXml(title)}</title>`,
    `<rect width="100%" height="100%" fill="${escapedXml(style.panel)}"/>`,
    `<text x="${SVG_PAD}" y="20" font-size="13" fill="${escapedXml(style.ink)}">${escapedXml(title)}</text>`,
  ];
  rows.forEach((row, depth) => {
    const y = SVG_HEAD + picture.y(depth);
    row.id.forEach((id, i) => parts.push(rectangle(picture, id, row.x[i], y, row.width[i])));
  });
  parts.push('</svg>', '');
  return parts.join('\n');
}

/**
 * @param {SvgPicture} picture
 * @param {number} id
 * @param {number} x
 * @param {number} y
 * @param {number} width
 * @returns {string}
 */
function rectangle(picture, id, x, y, width) {
  const { style } = picture;
  const drawn = width > 3 ? width - 1 : Math.max(width, 0.5);
  const faded = picture.faded(id) ? ' opacity="0.45"' : '';
  const box = `<rect x="${svgNumber(x)}" y="${y + 0.5}" width="${svgNumber(drawn)}" height="${ROW_HEIGHT - 1.5}" rx="${width > 8 ? 3 : 0}" fill="${escapedXml(picture.fill(id))}"/>`;
  const text = width < SVG_TEXT ? '' : labelled(picture, id, x + SVG_PAD, y + ROW_HEIGHT / 2 + 4.5, drawn - 2 * SVG_PAD, style);
  return `<g${faded}><title>${escapedXml(picture.words(id))}</title>${box}${text}</g>`;
}

/**
 * @param {SvgPicture} picture
 * @param {number} id
 * @param {number} x
 * @param {number} y
 * @param {number} room
 * @param {SvgPicture['style']} style
 * @returns {string}
 */
function labelled(picture, id, x, y, room, style) {
  const label = picture.label(id);
  const width = picture.measure(label);
  const text = (/** @type {string} */ words, /** @type {number} */ at, /** @type {string} */ color) =>
    `<text x="${svgNumber(at)}" y="${y}" fill="${escapedXml(color)}" xml:space="preserve">${escapedXml(words)}</text>`;
  if (width > room) {
    const fits = Math.floor((label.length * room) / width) - 1;
    return fits >= 2 ? text(`${label.slice(0, fits)}…`, x, style.ink) : '';
  }
  const remark = picture.remarks(id).find((words) => width + 10 + picture.measure(words) <= room);
  return text(label, x, style.ink) + (remark ? text(remark, x + width + 10, style.soft) : '');
}
