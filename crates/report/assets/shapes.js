// @ts-check
// A drawing as a list of shapes, which are painted on a canvas or written as SVG: both show the same. Pure but for `paintShapes`.

/**
 * @typedef {object} Shape  one of `line`, `disc`, `box`, `text`, and how it looks
 * @property {{x: number, y: number}[]} [line]  in CSS pixels, as everything here
 * @property {{x: number, y: number, radius: number}} [disc]
 * @property {{x: number, y: number, width: number, height: number, corner: number}} [box]
 * @property {{x: number, y: number, words: string, anchor: 'start' | 'middle' | 'end'}} [text]  `y` of its base line
 * @property {string} [fill]
 * @property {string} [stroke]
 * @property {number} [thickness]  of the stroke; 1 without
 * @property {number[]} [dash]
 * @property {number} [opacity]  1 without
 * @property {string} [title]  what it is, for who points at it in an SVG
 */

/**
 * @param {CanvasRenderingContext2D} context  with the font of the texts
 * @param {Shape[]} shapes
 */
export function paintShapes(context, shapes) {
  context.textBaseline = 'alphabetic';
  context.lineJoin = 'round';
  for (const { line, disc, box, text, fill, stroke, thickness, dash, opacity } of shapes) {
    context.globalAlpha = opacity ?? 1;
    context.fillStyle = fill ?? '';
    if (text) {
      context.textAlign = text.anchor === 'middle' ? 'center' : text.anchor;
      context.fillText(text.words, text.x, text.y);
      continue;
    }
    context.beginPath();
    for (const { x, y } of line ?? []) context.lineTo(x, y);
    if (disc) context.arc(disc.x, disc.y, disc.radius, 0, 7);
    if (box) context.roundRect(box.x, box.y, box.width, box.height, box.corner);
    if (fill) context.fill();
    if (stroke) {
      context.strokeStyle = stroke;
      context.lineWidth = thickness ?? 1;
      context.setLineDash(dash ?? []);
      context.stroke();
    }
  }
  context.globalAlpha = 1;
  context.setLineDash([]);
}

/**
 * @param {Shape[]} shapes
 * @param {{width: number, height: number, title: string, namespace: string, font: string, size: number}} frame
 *   `namespace` of SVG, `size` of the font in pixels
 * @returns {string} a whole file
 */
export function shapesToSvg(shapes, { width, height, title, namespace, font, size }) {
  const attributes = (/** @type {Record<string, string | number | undefined>} */ all) => Object.entries(all)
    .map(([name, value]) => (value === undefined ? '' : ` ${name}="${typeof value === 'number' ? svgNumber(value) : escapedXml(value)}"`)).join('');
  const written = shapes.map(({ line, disc, box, text, fill, stroke, thickness, dash, opacity, title: named }) => {
    const look = attributes({ fill: fill ?? 'none', stroke, 'stroke-width': thickness, 'stroke-dasharray': dash?.join(' '), 'stroke-linejoin': stroke && (line?.length ?? 0) > 2 ? 'round' : undefined, opacity });
    const [name, place] = line ? ['path', { d: line.map(({ x, y }, i) => `${i === 0 ? 'M' : 'L'}${svgNumber(x)} ${svgNumber(y)}`).join('') }]
      : disc ? ['circle', { cx: disc.x, cy: disc.y, r: disc.radius }]
      : box ? ['rect', { x: box.x, y: box.y, width: box.width, height: box.height, rx: box.corner || undefined }]
      : ['text', { x: text?.x, y: text?.y, 'text-anchor': text?.anchor, 'xml:space': 'preserve' }];
    return `<${name}${attributes(place)}${look}>${named ? `<title>${escapedXml(named)}</title>` : ''}${escapedXml(text?.words ?? '')}</${name}>`;
  });
  return [
    `<svg${attributes({ xmlns: namespace, width, height, viewBox: `0 0 ${svgNumber(width)} ${svgNumber(height)}`, 'font-family': font, 'font-size': size })}>`,
    `<title>${escapedXml(title)}</title>`, ...written, '</svg>', '',
  ].join('\n');
}

/**
 * A text that is cut so as to have room.
 * @param {string} words
 * @param {number} room
 * @param {(text: string) => number} measure
 */
export function fittedText(words, room, measure) {
  // A name of a megabyte is not measured whole; so much never fits.
  const long = words.slice(0, 1000);
  const width = measure(long);
  if (width <= room && long === words) return words;
  const fits = Math.floor((long.length * room) / width) - 1;
  return fits >= 2 ? `${long.slice(0, fits)}…` : '';
}

/** At most two digits after the point. @param {number} value */
export function svgNumber(value) {
  return String(Math.round(value * 100) / 100);
}

/** @param {string} text */
export function escapedXml(text) {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');
}
