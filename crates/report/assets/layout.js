// @ts-check
// View → rectangles, and back from a point to the rectangle under it. Pure: no document, no canvas.

/**
 * @typedef {import('./views.js').View} View
 * @typedef {{id: number[], x: number[], width: number[]}} Row  from left to right, in CSS pixels
 */

/** Narrower rectangles are left out: they could not be seen, and would be most of the work. In CSS pixels. */
export const MIN_WIDTH = 0.3;

/** Height of a row, in CSS pixels. */
export const ROW_HEIGHT = 22;

/**
 * One row per depth. The callers of the zoomed node and the node itself take the whole width.
 * @param {View} view
 * @param {number} column  gives the widths
 * @param {number} zoomed  node id
 * @param {number} width  of the picture
 * @param {number} [minWidth]
 * @returns {Row[]}
 */
export function layoutRows(view, column, zoomed, width, minWidth = MIN_WIDTH) {
  /** @type {Row[]} */
  const rows = [];
  for (let id = zoomed; id >= 0; id = view.parent[id]) rows.push({ id: [id], x: [0], width: [width] });
  rows.reverse();
  const value = view.columns[column];
  if (!(value[zoomed] > 0)) return rows;
  const scale = width / value[zoomed];
  for (let row = rows[rows.length - 1]; row.id.length > 0; row = rows[rows.length - 1]) {
    /** @type {Row} */
    const below = { id: [], x: [], width: [] };
    for (let i = 0; i < row.id.length; i++) {
      let x = row.x[i];
      for (const child of view.children(row.id[i], column)) {
        const w = value[child] * scale;
        // Widest first, but one that stands for all smaller ones comes last and may be wide.
        if (w >= minWidth) {
          below.id.push(child);
          below.x.push(x);
          below.width.push(w);
        }
        x += w;
      }
    }
    if (below.id.length === 0) break;
    rows.push(below);
  }
  return rows;
}

/**
 * Place in a row of the rectangle at `x`, or −1.
 * @param {Row | undefined} row
 * @param {number} x
 * @returns {number}
 */
export function indexAt(row, x) {
  if (!row) return -1;
  let low = 0;
  let high = row.x.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (row.x[middle] <= x) low = middle + 1;
    else high = middle;
  }
  const at = low - 1;
  return at >= 0 && x < row.x[at] + row.width[at] ? at : -1;
}

/**
 * Row and place of a node, or null if it has no rectangle.
 * @param {Row[]} rows
 * @param {View} view
 * @param {number} id
 * @returns {{depth: number, index: number} | null}
 */
export function placeOf(rows, view, id) {
  let depth = 0;
  for (let at = view.parent[id]; at >= 0; at = view.parent[at]) depth += 1;
  const index = rows[depth]?.id.indexOf(id) ?? -1;
  return index < 0 ? null : { depth, index };
}

/**
 * Where an arrow key leads: up to the parent, down to the widest child, left and right along the row.
 * @param {Row[]} rows
 * @param {View} view
 * @param {number} id
 * @param {'up' | 'down' | 'left' | 'right'} way
 * @returns {number} the node there; the same one if there is none
 */
export function neighbour(rows, view, id, way) {
  const place = placeOf(rows, view, id);
  if (!place) return 0;
  const row = rows[place.depth];
  switch (way) {
    case 'up': return Math.max(0, view.parent[id]);
    case 'down': return rows[place.depth + 1]?.id.find((child) => view.parent[child] === id) ?? id;
    case 'left': return row.id[Math.max(0, place.index - 1)];
    case 'right': return row.id[Math.min(row.id.length - 1, place.index + 1)];
  }
}
