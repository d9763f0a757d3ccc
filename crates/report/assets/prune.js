// @ts-check
// What is left out of a call tree or put together in it, without a byte getting lost: whatever is chosen here, the
// own values of all nodes together stay the same. Pure.

import { INTERPRETER, NATIVE } from './data.js';
import { nodeTable } from './calls.js';
import { remembered } from './views.js';

/**
 * @typedef {import('./data.js').Frames} Frames
 * @typedef {import('./calls.js').CallTree} CallTree
 * @typedef {import('./views.js').View} View
 * @typedef {import('./address.js').Look} Look
 */

/** The frame of a node that stands for several small ones. */
export const SMALLER = -2;

/** Number of the kind "Project". */
const PROJECT = 0;

/**
 * Which frames belong to the import system; the other frames of kind "Interpreter" are frozen modules such as runpy.
 * @param {Frames} frames
 * @returns {Uint8Array} 1 or 0 per frame
 */
export function importFrames(frames) {
  return frames.kind.map((kind, f) => Number(kind === INTERPRETER && /importlib|zipimport/.test(frames.file[f])));
}

/**
 * Which frames are not shown; their values go to the nearest caller that is (`mergeNodes`).
 * @param {Frames} frames
 * @param {Look} look
 * @returns {((frame: number) => boolean) | undefined} undefined: all are shown
 */
export function hiddenFrames(frames, look) {
  const { kind } = frames;
  if (look.onlyProject) return (frame) => kind[frame] !== PROJECT;
  if (look.interpreter && look.imports) return undefined;
  const ofImport = importFrames(frames);
  return (frame) => kind[frame] === INTERPRETER && !(ofImport[frame] ? look.imports : look.interpreter);
}

/** Objects of CPython itself: "python3.11", "libpython3.11.so.1.0". */
const INTERPRETER_OBJECT = /^(python3?(\.\d+)?[a-z]*|libpython3.*\.so[.\d]*)$/;
const C_LIBRARY = /^libc\.so/;

/**
 * Which nodes are native code of the interpreter at work: inside a Python frame all of it, so that what Python code asked for is
 * its own; outside of all Python frames what leads to one, with the C library that starts the program and its threads. What has
 * nothing to do with Python code, the interpreter's own start, stays.
 * @param {import('./data.js').Nodes} nodes
 * @param {Frames} frames
 * @returns {Uint8Array} 1 or 0 per node
 */
export function interpreterNodes(nodes, frames) {
  const ofInterpreter = frames.kind.map((kind, f) => Number(kind === NATIVE && INTERPRETER_OBJECT.test(frames.package[f])));
  const ofStart = frames.kind.map((kind, f) => Number(kind === NATIVE && C_LIBRARY.test(frames.package[f])));
  const isPython = frames.kind.map((kind) => Number(kind < NATIVE));
  const inside = new Uint8Array(nodes.length);
  const leads = new Uint8Array(nodes.length);
  for (let i = 0; i < nodes.length; i++) {
    const above = nodes.parent[i];
    inside[i] = above < 0 ? 0 : isPython[nodes.frame[above]] | inside[above];
  }
  for (let i = nodes.length - 1; i >= 0; i--) if (nodes.parent[i] >= 0) leads[nodes.parent[i]] |= isPython[nodes.frame[i]] | leads[i];
  return inside.map((is, i) => (is ? ofInterpreter[nodes.frame[i]] : leads[i] & (ofInterpreter[nodes.frame[i]] | ofStart[nodes.frame[i]])));
}

/**
 * Merges recursion: a frame that is already on its path goes, with all below it, into its outermost occurrence. So
 * main → walk → visit → walk → read becomes main → walk → {visit, read}: no frame is twice on a path, and each
 * node's own values stay with its own frame. What is the same frame is the tree's business: a line, or a function.
 * @param {CallTree} tree
 * @returns {CallTree}
 */
export function mergeRecursion(tree) {
  const { size } = tree;
  const parent = new Int32Array(size);
  const frame = new Int32Array(size);
  /** For each node of `tree` where it went. */
  const to = new Int32Array(size);
  parent[0] = frame[0] = -1;
  let made = 1;
  let frames = 0;
  for (let i = 1; i < size; i++) frames = Math.max(frames, tree.frame[i] + 1);
  // Most frames have one node only: they need not be looked for on the path.
  const nodes = new Int32Array(frames);
  for (let i = 1; i < size; i++) nodes[tree.frame[i]] += 1;
  const nodeOf = nodeTable(size, parent, frame);
  for (let i = 1; i < size; i++) {
    const f = tree.frame[i];
    const above = to[tree.parent[i]];
    let node = nodes[f] > 1 ? above : 0;
    while (node > 0 && frame[node] !== f) node = parent[node];
    if (node === 0) {
      node = nodeOf(above, f, made);
      if (node === made) made += 1;
    }
    to[i] = node;
  }
  return { size: made, parent: parent.slice(0, made), frame: frame.slice(0, made), treeNode: tree.treeNode.map((node) => to[node]) };
}

/**
 * The same view with all children of a node that are smaller than a share of the whole put into one node, the last.
 * @param {View} view
 * @param {number} column  by which they are measured; asked for another column, children are as they were
 * @param {number} least  smallest share shown by itself, 0 to 1
 * @returns {View & {together: Map<number, number>}} together: how many direct children a node stands for
 */
export function smallerTogether(view, column, least) {
  /** @type {Map<number, number>} */
  const together = new Map();
  const limit = least * view.columns[column][0];
  if (!(limit > 0)) return { ...view, together };
  const value = view.columns[column];
  const pruned = remembered((/** @type {number} */ id) => {
    const all = view.children(id, column);
    const shown = all.filter((child) => value[child] >= limit);
    const small = all.filter((child) => value[child] < limit && value[child] > 0);
    if (small.length === 0) return shown;
    const sums = view.columns.map((values) => small.reduce((sum, child) => sum + values[child], 0));
    const node = view.add(id, SMALLER, sums);
    together.set(node, small.length);
    return Int32Array.of(...shown, node);
  });
  const children = (/** @type {number} */ id, /** @type {number} */ asked) => {
    if (view.frame[id] === SMALLER) return new Int32Array(0);
    return asked === column ? pruned(id, column) : view.children(id, asked);
  };
  return { ...view, children, together };
}
