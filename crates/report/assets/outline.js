// @ts-check
// The call tree as an outline: which nodes are open → the rows to show, and where keys lead. Pure.

/**
 * @typedef {import('./views.js').View} View
 * @typedef {{id: number[], level: number[], parent: number[]}} Outline  rows from top to bottom: node, depth (0: the root) and
 *   the row of the parent (−1: none)
 */

/** Deeper paths are not opened by themselves. */
const WIDEST_DEPTH = 300;

/**
 * The children that hold anything, widest first.
 * @param {View} view
 * @param {number} column
 * @param {number} id
 * @returns {Int32Array}
 */
export function shownChildren(view, column, id) {
  const value = view.columns[column];
  return view.children(id, column).filter((child) => value[child] > 0);
}

/**
 * @param {View} view
 * @param {number} column  gives the order
 * @param {Set<number>} open
 * @returns {Outline}
 */
export function outlineRows(view, column, open) {
  /** @type {Outline} */
  const rows = { id: [], level: [], parent: [] };
  const next = [{ id: 0, level: 0, parent: -1 }];
  for (let row = next.pop(); row; row = next.pop()) {
    const at = rows.id.push(row.id) - 1;
    rows.level.push(row.level);
    rows.parent.push(row.parent);
    if (!open.has(row.id)) continue;
    const children = shownChildren(view, column, row.id);
    for (let i = children.length - 1; i >= 0; i--) next.push({ id: children[i], level: row.level + 1, parent: at });
  }
  return rows;
}

/**
 * Opens a node and the widest below it, down to the end: the path that holds the most is seen at once.
 * @param {View} view
 * @param {number} column
 * @param {Set<number>} open  added to
 * @param {number} id
 */
export function openWidest(view, column, open, id) {
  for (let depth = 0; depth < WIDEST_DEPTH; depth++) {
    const children = shownChildren(view, column, id);
    if (children.length === 0) return;
    open.add(id);
    id = children[0];
  }
}

/**
 * Opens a node and what is below it until there is a choice: a node with several children is the last to be opened.
 * @param {View} view
 * @param {number} column
 * @param {Set<number>} open  added to
 * @param {number} id
 */
export function openLine(view, column, open, id) {
  for (;;) {
    const children = shownChildren(view, column, id);
    if (children.length === 0) return;
    open.add(id);
    if (children.length > 1) return;
    id = children[0];
  }
}

/**
 * Opens all callers of a node.
 * @param {View} view
 * @param {Set<number>} open  added to
 * @param {number} id
 */
export function openTo(view, open, id) {
  for (let at = view.parent[id]; at >= 0; at = view.parent[at]) open.add(at);
}
