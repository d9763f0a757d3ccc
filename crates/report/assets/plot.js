// @ts-check
// Small curves of something over time, as SVG. Pure but for `curvePicture`.

/**
 * @typedef {{x: number, y: number}[]} Points  y 0: at the foot, 1: at the top; x from 0 to 1
 */

/**
 * A value for each of several parts of equal length, which holds throughout its part.
 * @param {ArrayLike<number>} values
 * @param {number} top  not less than any
 * @returns {Points}
 */
export function stepPoints(values, top) {
  const points = [];
  for (let i = 0; i < values.length; i++) {
    const y = top > 0 ? values[i] / top : 0;
    points.push({ x: i / values.length, y }, { x: (i + 1) / values.length, y });
  }
  return points;
}

/**
 * A value at each of several instants, with straight lines between; one alone is a level line.
 * @param {ArrayLike<number>} seconds  ascending
 * @param {ArrayLike<number>} values
 * @param {number} top
 * @returns {Points}
 */
export function instantPoints(seconds, values, top) {
  const from = seconds[0];
  const span = seconds[seconds.length - 1] - from;
  const y = (/** @type {number} */ i) => (top > 0 ? values[i] / top : 0);
  if (!(span > 0)) return [{ x: 0, y: y(seconds.length - 1) }, { x: 1, y: y(seconds.length - 1) }];
  return Array.from(seconds, (at, i) => ({ x: (at - from) / span, y: y(i) }));
}

/**
 * The `d` of an SVG path. Points on a level line between others of it are left out.
 * @param {Points} points
 * @param {number} width
 * @param {number} height
 * @param {boolean} closed  down to the foot, to be filled
 * @returns {string}
 */
export function pathData(points, width, height, closed) {
  const round = (/** @type {number} */ n) => String(Number(n.toFixed(1)));
  const kept = points.filter(({ y }, i) => i === 0 || i === points.length - 1 || points[i - 1].y !== y || points[i + 1].y !== y);
  const line = kept.map(({ x, y }, i) => `${i === 0 ? 'M' : 'L'}${round(x * width)} ${round(height - y * height)}`).join('');
  return closed && kept.length > 0 ? `${line}L${round(kept[kept.length - 1].x * width)} ${round(height)}L${round(kept[0].x * width)} ${round(height)}Z` : line;
}

/**
 * @param {string} name
 * @param {Record<string, string | number>} attributes
 * @param {string} [text]
 * @returns {SVGElement}
 */
export function svgElement(name, attributes, text) {
  // Of the template's own pictures: an address of the namespace would look like one to be loaded.
  const { namespaceURI } = /** @type {Element} */ (document.querySelector('svg'));
  const made = document.createElementNS(namespaceURI, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, String(value));
  if (text !== undefined) made.textContent = text;
  return /** @type {SVGElement} */ (made);
}

/**
 * A curve in a cell of a table.
 * @param {Points} points
 * @param {string} label  for screen readers
 * @returns {SVGElement}
 */
export function curvePicture(points, label) {
  const [width, height] = [120, 22];
  const picture = svgElement('svg', { class: 'curve', viewBox: `0 -1 ${width} ${height + 2}`, width, height: height + 2, role: 'img', 'aria-label': label });
  picture.append(
    svgElement('path', { class: 'curve-area', d: pathData(points, width, height, true) }),
    svgElement('path', { class: 'curve-line', d: pathData(points, width, height, false) }),
  );
  return picture;
}

/**
 * A curve with axes.
 * @param {Points} points
 * @param {string} label  for screen readers
 * @param {{at: number, text: string}[]} across  marks of the horizontal axis, from 0 to 1
 * @param {{at: number, text: string}[]} up
 * @param {{from: number, text: string}} [shade]  from here to the end the ground is shaded, and why
 * @returns {SVGElement}
 */
export function axesPicture(points, label, across, up, shade) {
  const [width, height, left, foot, head] = [640, 130, 74, 24, 10];
  const picture = svgElement('svg', { class: 'plot', viewBox: `0 0 ${left + width + 16} ${head + height + foot}`, role: 'img', 'aria-label': label });
  const inner = svgElement('g', { transform: `translate(${left} ${head})` });
  if (shade && shade.from < 1) {
    const rect = svgElement('rect', { class: 'plot-shade', x: shade.from * width, y: 0, width: (1 - shade.from) * width, height });
    rect.append(svgElement('title', {}, shade.text));
    inner.append(rect);
  }
  for (const { at, text } of up) {
    const y = height - at * height;
    inner.append(svgElement('path', { class: 'plot-grid', d: `M0 ${y}H${width}` }), svgElement('text', { x: -8, y: y + 4, 'text-anchor': 'end' }, text));
  }
  for (const { at, text } of across) {
    inner.append(svgElement('text', { x: at * width, y: height + 17, 'text-anchor': at < 0.03 ? 'start' : at > 0.97 ? 'end' : 'middle' }, text));
  }
  inner.append(
    svgElement('path', { class: 'curve-area', d: pathData(points, width, height, true) }),
    svgElement('path', { class: 'curve-line', d: pathData(points, width, height, false) }),
  );
  picture.append(inner);
  return picture;
}
