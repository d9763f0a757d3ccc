// @ts-check
// The data contract of the page: the text written by html/data.rs → JSON → typed columns.
// Everything is checked here, so that nothing after it needs to doubt an index. Pure.

import { array, check, indices, instantsIn, numbers, textsIn } from './checks.js';
import { withHighest } from './highest.js';
import { readLeaks } from './data_leaks.js';
import { readTypes } from './data_types.js';

/** The version of the data this script reads; the same number is in html/data.rs. */
export const DATA_VERSION = 3;

/** Names of the frame kinds, in the order of their numbers in the data (`FrameKind` in html.rs). */
export const KINDS = ['Project', 'Library', 'Standard library', 'Interpreter', 'Native', 'Unknown'];

/** In place of a part of the course: earlier than the first. */
const EARLIER_PART = -1;

/** Number of the kind "Interpreter" (import system and the like), which the page can hide. */
export const INTERPRETER = 3;
/** That of native code. */
export const NATIVE = 4;

/**
 * @typedef {{name: string[], file: string[], package: string[], source: string[], line: Uint32Array, kind: Uint8Array,
 *   length: number}} Frames  source: what stands in the line, "": not known
 * @typedef {{parent: Int32Array, frame: Int32Array, length: number}} Nodes  parent −1: none
 * @typedef {{node: Int32Array, thread: Int32Array, allocator: Int32Array, length: number}} Cells  who had amounts; −1: not known
 * @typedef {{pid: number[], command: string[], ended: (number | null)[], length: number}} Processes  ended: in which part of the course, −1: before
 * @typedef {{process: Int32Array, tid: number[], name: string[], length: number}} Threads
 * @typedef {{bytes: Float64Array, counts: Float64Array}} Amounts  own values, one per cell
 * @typedef {{key: string, label: string, after: Amounts, before: Amounts | null}} Metric
 * @typedef {{seconds: Float64Array, live: Float64Array, rss: Float64Array, length: number}} Timeline
 * @typedef {{title: string, facts: [string, string][], warnings: string[], frames: Frames, nodes: Nodes, cells: Cells,
 *   processes: Processes, threads: Threads, allocators: string[], metrics: Metric[], span: {from: number, to: number} | null,
 *   course: import('./course.js').Course | null,
 *   defaultMetric: number, inverted: boolean, temporaryWithin: number, timeline: Timeline,
 *   marks: {seconds: number[], name: string[]}, censuses: number[], startedUnix: number, peakAt: number | null,
 *   leaks: import('./data_leaks.js').Leaks | null, types: import('./data_types.js').TypesOf[], firstView: string,
 *   modules: string[]}} Page
 *   span: the part of the run that all is of, in seconds, twice the same for an instant, null: all of it;
 *   inverted: how it opens; temporaryWithin: most other allocations before the release; startedUnix: seconds, 0: not known;
 *   firstView: another than the call tree that it opens with, "": none; modules: by frame, none if the data do not tell
 */

/**
 * The JSON of a page: gzip, as Base64.
 * @param {string} text
 * @returns {Promise<string>}
 * @throws {Error} as `readPage`
 */
export async function unpackPage(text) {
  if (typeof DecompressionStream === 'undefined') throw new Error('This browser is too old to unpack its data; those since 2023 can.');
  try {
    return await new Response(new Blob([fromBase64(text.trim())]).stream().pipeThrough(new DecompressionStream('gzip'))).text();
  } catch (error) {
    throw new Error(`The data of this page are not complete; the file may be cut short (${/** @type {Error} */ (error).message}).`);
  }
}

/**
 * @param {string} text
 * @returns {Uint8Array<ArrayBuffer>}
 */
function fromBase64(text) {
  // What browsers since 2025 do themselves.
  const { fromBase64: native } = /** @type {any} */ (Uint8Array);
  if (native) return native.call(Uint8Array, text);
  const binary = atob(text);
  const bytes = new Uint8Array(binary.length);
  for (let i = 0; i < binary.length; i++) bytes[i] = binary.charCodeAt(i);
  return bytes;
}

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
  const strings = textsIn(raw.strings, 'strings');
  const frames = readFrames(raw.frames, strings);
  const nodes = readNodes(raw.nodes, frames.length);
  const processes = readProcesses(raw.processes);
  const threads = readThreads(raw.threads, processes.length);
  const allocators = textsIn(raw.allocators, 'allocators');
  const cells = readCells(raw.cells, nodes.length, threads.length, allocators.length);
  const marks = readMarks(raw.marks);
  const metrics = array(raw.metrics, 'metrics').map((m) => readMetric(m, cells.length));
  check(metrics.length > 0, 'there is no metric');
  check(Number.isInteger(raw.default_metric) && raw.default_metric in metrics, 'the default metric is not there');
  check(metrics.every(({ before }) => (before === null) === (metrics[0].before === null)), 'only some metrics have two sides');
  check(new Set(metrics.map(({ key }) => key)).size === metrics.length, 'two metrics have the same name');
  check(typeof raw.inverted === 'boolean', '"inverted" is missing');
  check(Number.isInteger(raw.temporary_within) && raw.temporary_within >= 0, '"temporary_within" is missing');
  const seconds = instantsIn(raw.timeline?.seconds, 'timeline.seconds');
  const course = raw.course === null ? null : readCourse(raw.course, cells.length, marks.name.length);
  const modules = raw.modules === undefined ? [] : Array.from(indices(raw.modules, 'modules', strings.length, frames.length), (i) => strings[i]);
  const leaks = readLeaks(raw.leaks, nodes.length);
  const types = readTypes(raw.types);
  const firstView = raw.view === 'leaks' && leaks ? 'leaks' : raw.view === 'types' && types.length > 0 ? 'types' : '';
  return {
    title: textsIn([raw.title], 'title')[0],
    facts: array(raw.facts, 'facts').map((fact) => readFact(fact)),
    warnings: textsIn(raw.warnings, 'warnings'),
    frames,
    nodes,
    cells,
    processes,
    threads,
    allocators,
    metrics,
    span: raw.span === null ? null : readSpan(raw.span),
    course,
    defaultMetric: raw.default_metric,
    inverted: raw.inverted,
    temporaryWithin: raw.temporary_within,
    timeline: withHighest({
      seconds,
      live: new Float64Array(numbers(raw.timeline.live, 'timeline.live', seconds.length)),
      rss: new Float64Array(numbers(raw.timeline.rss, 'timeline.rss', seconds.length)),
      length: seconds.length,
    }, course),
    marks,
    censuses: numbers(raw.censuses, 'censuses'),
    startedUnix: numbers([raw.started_unix], 'started_unix')[0],
    peakAt: raw.peak_at_seconds === null ? null : numbers([raw.peak_at_seconds], 'peak_at_seconds')[0],
    modules,
    leaks,
    types,
    firstView,
  };
}

/**
 * @param {any} raw
 * @returns {{from: number, to: number}}
 */
function readSpan(raw) {
  const [from, to] = instantsIn(array(raw, 'span', 2), 'span');
  return { from, to };
}

/**
 * @param {any} raw
 * @returns {[string, string]}
 */
function readFact(raw) {
  const [label, value] = textsIn(array(raw, 'a fact', 2), 'a fact');
  return [label, value];
}

/**
 * @param {any} raw
 * @param {string[]} strings
 * @returns {Frames}
 */
function readFrames(raw, strings) {
  const { length } = array(raw?.function, 'frames.function');
  const textsOf = (/** @type {string} */ name) =>
    Array.from(indices(raw[name], `frames.${name}`, strings.length, length), (index) => strings[index]);
  return {
    name: textsOf('function').map((name) => name || '(unknown function)'),
    file: textsOf('file'),
    package: textsOf('package'),
    source: textsOf('source'),
    line: Uint32Array.from(indices(raw.line, 'frames.line', 2 ** 31, length)),
    kind: Uint8Array.from(indices(raw.kind, 'frames.kind', KINDS.length, length)),
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
  const frame = indices(raw.frame, 'nodes.frame', frameCount, back.length);
  const parent = new Int32Array(back.length);
  for (let i = 0; i < back.length; i++) {
    if ((back[i] | 0) !== back[i] || back[i] < 0 || back[i] > i) check(false, `node ${i} has no parent before it`);
    parent[i] = back[i] === 0 ? -1 : i - back[i];
  }
  return { parent, frame, length: back.length };
}

/**
 * @param {any} raw
 * @returns {Processes}
 */
function readProcesses(raw) {
  const pid = numbers(raw?.pid, 'processes.pid');
  const { length } = pid;
  return {
    pid,
    command: textsIn(array(raw.command, 'processes.command', length), 'processes.command'),
    ended: array(raw.ended, 'processes.ended', length).map((part) => (part === null ? null : indices([part], 'processes.ended', 2 ** 31, 1, EARLIER_PART)[0])),
    length,
  };
}

/**
 * @param {any} raw
 * @param {number} processes  how many there are
 * @returns {Threads}
 */
function readThreads(raw, processes) {
  const tid = numbers(raw?.tid, 'threads.tid');
  const { length } = tid;
  return {
    process: indices(raw.process, 'threads.process', processes, length),
    tid,
    name: textsIn(array(raw.name, 'threads.name', length), 'threads.name'),
    length,
  };
}

/**
 * @param {any} raw
 * @param {number} nodes
 * @param {number} threads
 * @param {number} allocators
 * @returns {Cells}
 */
function readCells(raw, nodes, threads, allocators) {
  const node = indices(raw?.node, 'cells.node', nodes);
  const { length } = node;
  return {
    node,
    thread: indices(raw.thread, 'cells.thread', threads, length, -1),
    allocator: indices(raw.allocator, 'cells.allocator', allocators, length, -1),
    length,
  };
}

/** @param {any} raw */
function readMarks(raw) {
  const seconds = numbers(raw?.seconds, 'marks.seconds');
  return { seconds, name: textsIn(array(raw.name, 'marks.name', seconds.length), 'marks.name') };
}

/**
 * @param {any} raw
 * @param {number} cells
 * @returns {Metric}
 */
function readMetric(raw, cells) {
  check(raw?.before !== undefined, 'a metric does not say whether it has two sides');
  const [key, label] = textsIn([raw.key, raw.label], 'metric.key');
  return {
    key,
    label,
    after: readAmounts(raw, cells),
    before: raw.before === null ? null : readAmounts(raw.before, cells),
  };
}

/**
 * Sparse to dense: `cell` lists the cells with a value, `bytes` and `counts` their values.
 * @param {any} raw
 * @param {number} cells
 * @returns {Amounts}
 */
function readAmounts(raw, cells) {
  const cell = indices(raw?.cell, 'metric.cell', cells);
  const bytes = numbers(raw.bytes, 'metric.bytes', cell.length);
  const counts = numbers(raw.counts, 'metric.counts', cell.length);
  const dense = { bytes: new Float64Array(cells), counts: new Float64Array(cells) };
  for (let i = 0; i < cell.length; i++) {
    dense.bytes[cell[i]] = bytes[i];
    dense.counts[cell[i]] = counts[i];
  }
  return dense;
}

/**
 * @param {any} raw
 * @param {number} cells
 * @param {number} marks
 * @returns {import('./course.js').Course}
 */
function readCourse(raw, cells, marks) {
  const nanos = instantsIn(raw?.instants?.nanos, 'course.instants.nanos');
  const parts = nanos.length - 1;
  check(parts >= 0, 'the course has no instant');
  // Those of `peaks` are differences.
  const amounts = (/** @type {any} */ rows, /** @type {string} */ name, /** @type {number} */ length) => ({
    bytes: new Float64Array(numbers(rows.bytes, `course.${name}.bytes`, length, name === 'peaks')),
    counts: new Float64Array(numbers(rows.counts, `course.${name}.counts`, length, name === 'peaks')),
  });
  const cellsOf = (/** @type {string} */ name) => indices(raw[name]?.cell, `course.${name}.cell`, cells);
  const lives = (/** @type {string} */ name) => {
    const cell = cellsOf(name);
    const born = indices(raw[name].born, `course.${name}.born`, parts, cell.length, EARLIER_PART);
    return { cell, born, died: indices(raw[name].died, `course.${name}.died`, parts + 1, cell.length), ...amounts(raw[name], name, cell.length) };
  };
  const flows = (/** @type {string} */ name) => {
    const cell = cellsOf(name);
    return { cell, part: indices(raw[name].part, `course.${name}.part`, parts, cell.length), ...amounts(raw[name], name, cell.length) };
  };
  const leaked = cellsOf('leaked');
  return {
    parts,
    nanos,
    live: new Float64Array(numbers(raw.instants.live, 'course.instants.live', nanos.length)),
    mark: indices(raw.instants.mark, 'course.instants.mark', marks, nanos.length, -1),
    peakNanos: new Float64Array(numbers(raw.peaks_at?.nanos, 'course.peaks_at.nanos', parts)),
    peakBytes: new Float64Array(numbers(raw.peaks_at.bytes, 'course.peaks_at.bytes', parts)),
    lives: lives('lives'),
    late: lives('late'),
    flows: flows('flows'),
    brief: flows('brief'),
    peaks: flows('peaks'),
    leaked: {
      cell: leaked,
      born: indices(raw.leaked.born, 'course.leaked.born', parts, leaked.length),
      ...amounts(raw.leaked, 'leaked', leaked.length),
    },
  };
}
