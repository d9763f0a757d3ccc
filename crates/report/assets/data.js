// @ts-check
// The data contract of the page: the JSON text written by html/data.rs → typed columns.
// Everything is checked here, so that nothing after it needs to doubt an index. Pure.

import { visible } from './words.js';

/** The version of the data this script reads; the same number is in html/data.rs. */
export const DATA_VERSION = 2;

/** Names of the frame kinds, in the order of their numbers in the data (`FrameKind` in html.rs). */
export const KINDS = ['Project', 'Library', 'Standard library', 'Interpreter', 'Native', 'Unknown'];

/** Number of the kind "Interpreter" (import system and the like), which the page can hide. */
export const INTERPRETER = 3;

/**
 * @typedef {{name: string[], file: string[], package: string[], source: string[], line: Uint32Array, kind: Uint8Array,
 *   length: number}} Frames  source: what stands in the line, "": not known
 * @typedef {{parent: Int32Array, frame: Int32Array, length: number}} Nodes  parent −1: none
 * @typedef {{bytes: Float64Array, counts: Float64Array}} Amounts  own values, one per node
 * @typedef {{key: string, label: string, after: Amounts, before: Amounts | null}} Metric
 * @typedef {{seconds: Float64Array, live: Float64Array, rss: Float64Array, length: number}} Timeline
 * @typedef {{title: string, facts: [string, string][], warnings: string[], frames: Frames, nodes: Nodes,
 *   metrics: Metric[], defaultMetric: number, inverted: boolean, temporaryWithin: number, timeline: Timeline,
 *   peakAt: number | null}} Page  inverted: how it opens; temporaryWithin: most other allocations before the release
 */

/**
 * @param {string} text  the JSON
 * @returns {Page}
 * @throws {Error} saying in one sentence what is wrong with the data
 */
export function readPage(text) {
  /** @type {any} */
  let raw;
  try {
    raw = JSON.parse(text);
  } catch (error) {
    throw new Error(`The data of this page are not complete JSON; the file may be cut short (${/** @type {Error} */ (error).message}).`);
  }
  check(raw !== null && typeof raw === 'object', 'the data are not an object');
  if (raw.version !== DATA_VERSION) {
    throw new Error(`The data of this page have version ${raw.version}; its script reads version ${DATA_VERSION}.`);
  }
  const strings = array(raw.strings, 'strings').map((s) => visible(String(s)));
  const frames = readFrames(raw.frames, strings);
  const nodes = readNodes(raw.nodes, frames.length);
  const metrics = array(raw.metrics, 'metrics').map((m) => readMetric(m, nodes.length));
  check(metrics.length > 0, 'there is no metric');
  check(raw.default_metric >= 0 && raw.default_metric < metrics.length, 'the default metric is not there');
  check(typeof raw.inverted === 'boolean', '"inverted" is missing');
  check(raw.temporary_within >= 0, '"temporary_within" is missing');
  const seconds = Float64Array.from(array(raw.timeline?.seconds, 'timeline.seconds'));
  return {
    title: visible(String(raw.title)),
    facts: array(raw.facts, 'facts').map(([label, value]) => [visible(String(label)), visible(String(value))]),
    warnings: array(raw.warnings, 'warnings').map((w) => visible(String(w))),
    frames,
    nodes,
    metrics,
    defaultMetric: raw.default_metric,
    inverted: raw.inverted,
    temporaryWithin: raw.temporary_within,
    timeline: {
      seconds,
      live: Float64Array.from(array(raw.timeline.live, 'timeline.live', seconds.length)),
      rss: Float64Array.from(array(raw.timeline.rss, 'timeline.rss', seconds.length)),
      length: seconds.length,
    },
    peakAt: typeof raw.peak_at_seconds === 'number' ? raw.peak_at_seconds : null,
  };
}

/**
 * @param {any} raw
 * @param {string[]} strings
 * @returns {Frames}
 */
function readFrames(raw, strings) {
  const functions = array(raw?.function, 'frames.function');
  const length = functions.length;
  const files = array(raw.file, 'frames.file', length);
  const packages = array(raw.package, 'frames.package', length);
  const sources = array(raw.source, 'frames.source', length);
  for (const index of [...functions, ...files, ...packages, ...sources]) check(index in strings, `there is no string ${index}`);
  const kind = Uint8Array.from(array(raw.kind, 'frames.kind', length));
  check(kind.every((k) => k < KINDS.length), 'a frame has an unknown kind');
  const file = files.map((i) => strings[i]);
  return {
    name: functions.map((f) => strings[f] || '(unknown function)'),
    file,
    package: packages.map((i) => strings[i]),
    source: sources.map((i) => strings[i]),
    line: Uint32Array.from(array(raw.line, 'frames.line', length)),
    kind,
    length,
  };
}

/**
 * @param {any} raw  `back`: how many nodes before this one its parent is, 0 for none
 * @param {number} frameCount
 * @returns {Nodes}
 */
function readNodes(raw, frameCount) {
  const back = array(raw?.back, 'nodes.back');
  const frame = Int32Array.from(array(raw.frame, 'nodes.frame', back.length));
  const parent = new Int32Array(back.length);
  for (let i = 0; i < back.length; i++) {
    check(back[i] >= 0 && back[i] <= i, `node ${i} has no parent before it`);
    check(frame[i] >= 0 && frame[i] < frameCount, `node ${i} has no frame`);
    parent[i] = back[i] === 0 ? -1 : i - back[i];
  }
  return { parent, frame, length: back.length };
}

/**
 * @param {any} raw
 * @param {number} nodeCount
 * @returns {Metric}
 */
function readMetric(raw, nodeCount) {
  return {
    key: String(raw.key),
    label: visible(String(raw.label)),
    after: readAmounts(raw, nodeCount),
    before: raw.before ? readAmounts(raw.before, nodeCount) : null,
  };
}

/**
 * Sparse to dense: `node` lists the nodes with a value, `bytes` and `counts` their values.
 * @param {any} raw
 * @param {number} nodeCount
 * @returns {Amounts}
 */
function readAmounts(raw, nodeCount) {
  const node = array(raw.node, 'metric.node');
  const bytes = array(raw.bytes, 'metric.bytes', node.length);
  const counts = array(raw.counts, 'metric.counts', node.length);
  const dense = { bytes: new Float64Array(nodeCount), counts: new Float64Array(nodeCount) };
  for (let i = 0; i < node.length; i++) {
    check(node[i] >= 0 && node[i] < nodeCount, `there is no node ${node[i]}`);
    dense.bytes[node[i]] = bytes[i];
    dense.counts[node[i]] = counts[i];
  }
  return dense;
}

/**
 * @param {any} value
 * @param {string} name  for the message
 * @param {number} [length]  wanted
 * @returns {any[]}
 */
function array(value, name, length) {
  check(Array.isArray(value), `"${name}" is missing`);
  check(length === undefined || value.length === length, `"${name}" has ${value.length} values instead of ${length}`);
  return value;
}

/**
 * @param {boolean} holds
 * @param {string} otherwise
 */
function check(holds, otherwise) {
  if (!holds) throw new Error(`The data of this page are damaged: ${otherwise}.`);
}
