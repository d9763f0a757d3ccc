// @ts-check
// The call tree: nodes of the data → one tree with equal siblings merged, and the sums over it.
// Pure. How a tree is looked at (from the top, inverted) is views.js; where it is drawn, layout.js.
//
// Values are kept as a list of columns, one number per tree node:
//
//     0 bytes   1 counts   2 bytes before   3 counts before   4 width in bytes   5 width in counts
//     6 change in bytes   7 change in counts
//
// Without a "before" side there are only the first two, and a frame is as wide as its value. With one, the
// width of a frame is the sum, over the call paths through it, of the larger of the two sides. So a path that
// is gone keeps its width, children always fit exactly into their parent, and the inverted view adds up too. The last two are the
// same with how much each call path changed, whatever the sign. The reader chooses among these and the two sides.

export const BYTES = 0;
export const COUNTS = 1;
export const BEFORE = 2;
export const WIDTH = 4;
export const CHANGED = 6;

/**
 * @typedef {import('./data.js').Nodes} Nodes
 * @typedef {import('./data.js').Frames} Frames
 * @typedef {import('./data.js').Amounts} Amounts
 * @typedef {{size: number, parent: Int32Array, frame: Int32Array, treeNode: Int32Array}} CallTree
 *   Node 0 is the root ("all", frame −1, parent −1). `treeNode` tells for each node of the data where it went.
 * @typedef {Float64Array[]} Columns
 */

/**
 * Which frames count as the same one: each by itself, or all lines of one function together.
 * @param {Frames} frames
 * @param {boolean} byLine
 * @returns {Int32Array} for each frame the first frame that is the same
 */
export function sameFrames(frames, byLine) {
  /** @type {Map<string, number>} */
  const first = new Map();
  const same = new Int32Array(frames.length);
  for (let f = 0; f < frames.length; f++) {
    const key = JSON.stringify([frames.name[f], frames.file[f], frames.kind[f], byLine ? frames.line[f] : 0]);
    const known = first.get(key);
    if (known === undefined) first.set(key, f);
    same[f] = known ?? f;
  }
  return same;
}

/**
 * Merges siblings of the same frame. A hidden frame goes to its nearest visible caller, with its own values.
 * @param {Nodes} nodes
 * @param {Int32Array} same  from `sameFrames`
 * @param {(frame: number) => boolean} [hidden]
 * @param {Uint8Array | null} [hiddenNodes]  1 for the nodes that are hidden whatever their frame is
 * @returns {CallTree}
 */
export function mergeNodes(nodes, same, hidden = () => false, hiddenNodes = null) {
  const n = nodes.length;
  const parent = new Int32Array(n + 1);
  const frame = new Int32Array(n + 1);
  const treeNode = new Int32Array(n);
  parent[0] = frame[0] = -1;
  let size = 1;
  const nodeOf = nodeTable(n, parent, frame);
  const isHidden = Uint8Array.from(same, (_, f) => Number(hidden(f)));
  for (let i = 0; i < n; i++) {
    const above = nodes.parent[i] < 0 ? 0 : treeNode[nodes.parent[i]];
    if (isHidden[nodes.frame[i]] || hiddenNodes?.[i]) {
      treeNode[i] = above;
      continue;
    }
    const node = nodeOf(above, same[nodes.frame[i]], size);
    if (node === size) size += 1;
    treeNode[i] = node;
  }
  return { size, parent: parent.slice(0, size), frame: frame.slice(0, size), treeNode };
}

/**
 * Finds a node by its parent and its frame; a hash table in one array, several times as fast as a Map.
 * @param {number} most  nodes there can be besides the root
 * @param {Int32Array} parent  written to
 * @param {Int32Array} frame  likewise
 * @returns {(above: number, f: number, made: number) => number} the node there is, or `made`, which then is that node
 */
export function nodeTable(most, parent, frame) {
  let length = 16;
  while (length < 2 * most) length *= 2;
  const nodes = new Int32Array(length);
  return (above, f, made) => {
    let hashed = Math.imul(above, 0x9e3779b1) + f;
    hashed = Math.imul(hashed ^ (hashed >>> 16), 0x85ebca6b);
    let at = (hashed ^ (hashed >>> 13)) & (length - 1);
    // The root is nobody's child: 0 is a free place.
    for (; nodes[at] !== 0; at = (at + 1) & (length - 1)) {
      if (parent[nodes[at]] === above && frame[nodes[at]] === f) return nodes[at];
    }
    nodes[at] = made;
    parent[made] = above;
    frame[made] = f;
    return made;
  };
}

/**
 * Own values of the tree's nodes in one metric.
 * @param {CallTree} tree
 * @param {import('./data.js').Cells} cells
 * @param {{after: Amounts, before: Amounts | null}} metric
 * @param {Uint8Array | null} [pass]  1 for the cells that count; null: all
 * @returns {Columns}
 */
export function ownColumns(tree, cells, metric, pass = null) {
  const columns = sideColumns(tree, cells, metric.after, pass);
  if (metric.before) {
    columns.push(...sideColumns(tree, cells, metric.before, pass));
    for (const unit of [BYTES, COUNTS]) {
      columns.push(columns[unit].map((after, i) => Math.max(after, columns[BEFORE + unit][i])));
    }
    for (const unit of [BYTES, COUNTS]) {
      columns.push(columns[unit].map((after, i) => Math.abs(after - columns[BEFORE + unit][i])));
    }
  }
  return columns;
}

/**
 * Own bytes and counts of the tree's nodes.
 * @param {CallTree} tree
 * @param {import('./data.js').Cells} cells
 * @param {Amounts} amounts
 * @param {Uint8Array | null} pass
 * @returns {Columns}
 */
function sideColumns({ size, treeNode }, { node }, amounts, pass) {
  const [bytes, counts] = [new Float64Array(size), new Float64Array(size)];
  for (let cell = 0; cell < node.length; cell++) {
    // At an instant, most have nothing.
    if ((amounts.bytes[cell] === 0 && amounts.counts[cell] === 0) || (pass !== null && pass[cell] === 0)) continue;
    const place = treeNode[node[cell]];
    bytes[place] += amounts.bytes[cell];
    counts[place] += amounts.counts[cell];
  }
  return [bytes, counts];
}

/**
 * Own values and those of everything called from there.
 * @param {CallTree} tree
 * @param {Columns} own
 * @returns {Columns}
 */
export function totalColumns({ size, parent }, own) {
  return own.map((column) => {
    const total = column.slice();
    for (let i = size - 1; i > 0; i--) if (total[i] !== 0) total[parent[i]] += total[i];
    return total;
  });
}

/**
 * The column that gives the widths.
 * @param {Columns} columns
 * @param {number} unit  BYTES or COUNTS
 * @param {string} [widths]  of a difference, one of WIDTHS in address.js
 * @returns {number}
 */
export function widthColumn(columns, unit, widths = 'larger') {
  if (columns.length <= WIDTH) return unit;
  return unit + ({ change: CHANGED, before: BEFORE, after: BYTES }[widths] ?? WIDTH);
}

/**
 * How much of a frame changed: 1 all new, −1 all gone, 0 no change, ½ twice as much as before.
 * @param {number} before
 * @param {number} after
 * @returns {number}
 */
export function change(before, after) {
  const larger = Math.max(before, after);
  return larger > 0 ? (after - before) / larger : 0;
}

/**
 * What a search text means: part of a name whatever its case, or /a regular expression/ with optional flags.
 * @param {string} text
 * @returns {((candidate: string) => boolean) | null} null for an empty text
 * @throws {SyntaxError} if the expression is not one
 */
export function matcher(text) {
  if (text === '') return null;
  const expression = /^\/(.+)\/([imsu]*)$/.exec(text);
  if (expression) {
    const regex = new RegExp(expression[1], expression[2]);
    return (candidate) => regex.test(candidate);
  }
  const part = text.toLowerCase();
  return (candidate) => candidate.toLowerCase().includes(part);
}

/**
 * The frames whose function, file:line or source line matches.
 * @param {Frames} frames
 * @param {(candidate: string) => boolean} matches
 * @returns {Uint8Array} 1 or 0 per frame
 */
export function matchFrames(frames, matches) {
  const matched = new Uint8Array(frames.length);
  for (let f = 0; f < frames.length; f++) {
    matched[f] = Number(matches(frames.name[f]) || matches(`${frames.file[f]}:${frames.line[f]}`) || (frames.source[f] !== '' && matches(frames.source[f])));
  }
  return matched;
}

/**
 * Sum of each column over the call paths that pass through a matching frame. A path with several matching
 * frames counts once. The result is the same however the tree is looked at.
 * @param {CallTree} tree
 * @param {Columns} own
 * @param {Uint8Array} matched  from `matchFrames`
 * @returns {number[]}
 */
export function matchTotals(tree, own, matched) {
  const through = new Uint8Array(tree.size);
  const sums = own.map(() => 0);
  for (let i = 1; i < tree.size; i++) {
    through[i] = through[tree.parent[i]] | matched[tree.frame[i]];
    if (through[i]) for (let c = 0; c < own.length; c++) sums[c] += own[c][i];
  }
  return sums;
}

/** @typedef {{start: Int32Array, list: Int32Array}} ChildLists */

/** Those of the trees that there are: a tree is looked at in many metrics and instants. @type {WeakMap<CallTree, ChildLists>} */
const knownLists = new WeakMap();

/**
 * The children of all nodes: those of node i are `list[start[i]]` to `list[start[i + 1] - 1]`.
 * @param {CallTree} tree
 * @returns {ChildLists}
 */
export function childLists(tree) {
  const known = knownLists.get(tree);
  if (known) return known;
  const { size, parent } = tree;
  const start = new Int32Array(size + 1);
  for (let i = 1; i < size; i++) start[parent[i] + 1] += 1;
  for (let i = 0; i < size; i++) start[i + 1] += start[i];
  const next = start.slice(0, size);
  const list = new Int32Array(Math.max(0, size - 1));
  for (let i = 1; i < size; i++) list[next[parent[i]]++] = i;
  const lists = { start, list };
  knownLists.set(tree, lists);
  return lists;
}

/**
 * One row per frame for the table: what it allocated itself, and with everything it called. A recursive
 * function counts once per path.
 * @param {CallTree} tree
 * @param {Columns} own
 * @param {Columns} total
 * @param {Int32Array} [groups]  for each frame the one whose row it is in; without it each has its own
 * @returns {{frame: number, own: number[], total: number[]}[]}
 */
export function frameTotals(tree, own, total, groups) {
  const rowOf = (/** @type {number} */ node) => (groups ? groups[tree.frame[node]] : tree.frame[node]);
  /** @type {{frame: number, own: number[], total: number[]}[]} */
  const rows = [];
  let keys = 0;
  for (let i = 1; i < tree.size; i++) keys = Math.max(keys, rowOf(i) + 1);
  /** For each key the place of its row, counted from 1, and whether it is on the path from the root to here. */
  const placeOfRow = new Int32Array(keys);
  const onPath = new Uint8Array(keys);
  const { start, list } = childLists(tree);
  // A node is pushed twice: ~node marks the moment when the walk leaves it.
  const stack = Array.from(list.subarray(start[0], start[1]));
  while (stack.length > 0) {
    const node = /** @type {number} */ (stack.pop());
    if (node < 0) {
      onPath[rowOf(~node)] = 0;
      continue;
    }
    const frame = rowOf(node);
    if (placeOfRow[frame] === 0) placeOfRow[frame] = rows.push({ frame, own: own.map(() => 0), total: own.map(() => 0) });
    const row = rows[placeOfRow[frame] - 1];
    for (let c = 0; c < own.length; c++) row.own[c] += own[c][node];
    if (onPath[frame] === 0) {
      for (let c = 0; c < own.length; c++) row.total[c] += total[c][node];
      onPath[frame] = 1;
      stack.push(~node);
    }
    for (let i = start[node]; i < start[node + 1]; i++) stack.push(list[i]);
  }
  return rows;
}
