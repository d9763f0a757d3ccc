// @ts-check
// The plot of memory over time as a picture of its own, as SVG and as PNG: what it shows, zoomed as it is.

import { prepareCanvas } from './draw.js';
import { paintShapes, shapesToSvg } from './shapes.js';
import { PLOT_FONT, timePictureShapes } from './time_shapes.js';

/** @typedef {import('./timebar.js').TimeBar} TimeBar */

/** Height of the picture, and the least width that has room for its key. */
const PICTURE_HEIGHT = 260;
const LEAST_WIDTH = 640;

/** @param {TimeBar} bar */
function picture(bar) {
  const { model, css } = bar.app;
  const font = css('--sans');
  const width = Math.max(LEAST_WIDTH, bar.canvas.clientWidth);
  const context = /** @type {CanvasRenderingContext2D} */ (document.createElement('canvas').getContext('2d'));
  context.font = `${PLOT_FONT}px ${font}`;
  const title = `${model.page.title}: memory over time`;
  const words = { title, chosen: bar.chosenWords(), peak: bar.peakWords() };
  const shapes = timePictureShapes(bar.picture(), words, width, PICTURE_HEIGHT, css, (text) => context.measureText(text).width);
  return { shapes, width, font, title };
}

/** @param {TimeBar} bar @returns {string} */
export function plotSvg(bar) {
  const { shapes, width, font, title } = picture(bar);
  // Not written out: the page names no address at all.
  const namespace = document.querySelector('svg')?.namespaceURI ?? '';
  return shapesToSvg(shapes, { width, height: PICTURE_HEIGHT, title, namespace, font, size: PLOT_FONT });
}

/**
 * @param {TimeBar} bar
 * @param {(picture: Blob | null) => void} done
 */
export function plotPng(bar, done) {
  const { shapes, width, font } = picture(bar);
  const canvas = document.createElement('canvas');
  const context = prepareCanvas(canvas, width, PICTURE_HEIGHT);
  context.font = `${PLOT_FONT}px ${font}`;
  paintShapes(context, shapes);
  canvas.toBlob(done);
}
