// @ts-check
// The two ways to look at a call tree. Both offer the same: `parent`, `frame`, `columns` by node id (0 is the
// root "all") and `children(id, column)`, widest first. Pure; rectangles are made in layout.js.

import { childLists, totalColumns } from './calls.js';

/**
 * @typedef {import('./calls.js').CallTree} CallTree
 * @typedef {import('./calls.js').Columns} Columns
 * @typedef {{parent: ArrayLike<number>, frame: ArrayLike<number>, columns: ArrayLike<number>[],
 *   children: (id: number, column: number) => Int32Array,
 *   add: (parent: number, frame: number, values: number[]) => number}} View
 *   `add` makes a node that `children` does not know, and returns its id.
 */

/**
 * Callers above, what they called below.
 * @param {CallTree} tree
 * @param {Columns} own
 * @param {boolean} [grows]  whether nodes will be added, for which it must be copied
 * @returns {View}
 */
export function topDown(tree, own, grows = false) {
  const totals = totalColumns(tree, own);
  // Plain arrays can grow.
  const columns = grows ? totals.map((column) => Array.from(column)) : totals;
  const parent = grows ? Array.from(tree.parent) : tree.parent;
  const frame = grows ? Array.from(tree.frame) : tree.frame;
  const { start, list } = childLists(tree);
  return {
    parent,
    frame,
    columns,
    children: remembered((id, column) => widestFirst(list.slice(start[id], start[id + 1]), columns[column])),
    add: (above, f, values) => addNode(/** @type {any} */ ({ parent, frame, columns }), above, f, values),
  };
}

/**
 * The functions that allocated above, their callers below. The whole inverted tree can have as many nodes as
 * the call tree has nodes times its depth, so it is made where it is looked at.
 *
 * @param {CallTree} tree
 * @param {Columns} own
 * @returns {View}
 */
export function inverted(tree, own) {
  const parent = [-1];
  const frame = [-1];
  const columns = own.map((column) => [sum(column)]);
  // Per node not yet opened: the call-tree nodes whose values it holds, and for each how far up their caller
  // chain this node is (the next frame to show below it; 0, the root, when the chain ends here).
  /** @type {({holder: Int32Array, next: Int32Array} | null)[]} */
  const closed = [];
  /** @type {(Int32Array | null)[]} */
  const below = [];
  const holders = Int32Array.from({ length: tree.size }, (_, i) => i).filter((i) => i > 0 && own.some((c) => c[i] !== 0));
  closed[0] = { holder: holders, next: holders };

  let frames = 0;
  for (let i = 1; i < tree.size; i++) frames = Math.max(frames, tree.frame[i] + 1);
  /** For each frame the place of its group while a node is opened, counted from 1; else 0. */
  const groupOf = new Int32Array(frames);

  /** @param {number} id */
  function open(id) {
    const here = closed[id];
    if (!here) return below[id] ?? new Int32Array(0);
    closed[id] = null;
    // Counted first, so that each group is as long as it needs to be: at the root all of the tree is gone through.
    /** @type {number[]} */
    const groupFrames = [];
    /** @type {number[]} */
    const counts = [];
    for (let i = 0; i < here.next.length; i++) {
      if (here.next[i] === 0) continue;
      const f = tree.frame[here.next[i]];
      if (groupOf[f] === 0) {
        groupOf[f] = groupFrames.push(f);
        counts.push(0);
      }
      counts[groupOf[f] - 1] += 1;
    }
    const made = new Int32Array(groupFrames.length);
    const groups = groupFrames.map((f, g) => {
      made[g] = parent.length;
      parent.push(id);
      frame.push(f);
      columns.forEach((column) => column.push(0));
      return { holder: new Int32Array(counts[g]), next: new Int32Array(counts[g]) };
    });
    counts.fill(0);
    for (let i = 0; i < here.next.length; i++) {
      if (here.next[i] === 0) continue;
      const g = groupOf[tree.frame[here.next[i]]] - 1;
      const at = counts[g]++;
      groups[g].holder[at] = here.holder[i];
      groups[g].next[at] = tree.parent[here.next[i]];
      for (let c = 0; c < columns.length; c++) columns[c][made[g]] += own[c][here.holder[i]];
    }
    groups.forEach((group, g) => {
      closed[made[g]] = group;
      groupOf[groupFrames[g]] = 0;
    });
    below[id] = made;
    return made;
  }
  return {
    parent,
    frame,
    columns,
    children: remembered((id, column) => widestFirst(open(id).slice(), columns[column])),
    add: (above, f, values) => addNode({ parent, frame, columns }, above, f, values),
  };
}

/**
 * @param {{parent: number[], frame: number[], columns: number[][]}} view
 * @param {number} above
 * @param {number} f
 * @param {number[]} values
 * @returns {number}
 */
function addNode(view, above, f, values) {
  view.columns.forEach((column, c) => column.push(values[c]));
  view.frame.push(f);
  return view.parent.push(above) - 1;
}

/**
 * Makes each answer once.
 * @param {(id: number, column: number) => Int32Array} make
 * @returns {(id: number, column: number) => Int32Array}
 */
export function remembered(make) {
  /** @type {Map<number, Int32Array>[]} */
  const made = [];
  return (id, column) => {
    const known = (made[column] ??= new Map());
    let children = known.get(id);
    if (!children) known.set(id, (children = make(id, column)));
    return children;
  };
}

/**
 * @param {Int32Array} ids
 * @param {ArrayLike<number>} width
 */
function widestFirst(ids, width) {
  return ids.sort((a, b) => width[b] - width[a] || a - b);
}

/**
 * @param {ArrayLike<number>} indices  or the values themselves when there is no `column`
 * @param {ArrayLike<number>} [column]
 */
function sum(indices, column) {
  let s = 0;
  for (let i = 0; i < indices.length; i++) s += column ? column[indices[i]] : indices[i];
  return s;
}

/**
 * The frames from below the root to a node: an address that stays true when the page is opened again.
 * @param {View} view
 * @param {number} id
 * @returns {number[]}
 */
export function pathOf(view, id) {
  const path = [];
  for (let at = id; at > 0; at = view.parent[at]) path.push(view.frame[at]);
  return path.reverse();
}

/**
 * The node at a path, or as far down as the path leads.
 * @param {View} view
 * @param {number[]} path
 * @returns {number}
 */
export function nodeAt(view, path) {
  let id = 0;
  for (const frame of path) {
    const next = view.children(id, 0).find((child) => view.frame[child] === frame);
    if (next === undefined) break;
    id = next;
  }
  return id;
}
