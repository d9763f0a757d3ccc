// Pages made for tests: a few lines of text → the data of a page.

const assets = new URL('../../crates/report/assets/', import.meta.url);
/** A module of the page. */
export const load = (name) => import(new URL(name, assets).href);
const { readPage } = await load('data.js');
const { Model } = await load('model.js');

/** What the data of a page without a course have beside: a cell for each node. */
export const without = (nodes) => ({
  cells: { node: Array.from({ length: nodes }, (_, i) => i), thread: Array(nodes).fill(-1), allocator: Array(nodes).fill(-1) },
  processes: { pid: [], command: [], ended: [] }, threads: { process: [], tid: [], name: [] }, allocators: [],
  course: null, span: null, marks: { seconds: [], name: [] }, censuses: [], started_unix: 0,
});

/** A page from "parent frame bytes blocks" per node; parent − for none. A frame is a name, ":line", "@package" and "!kind" as wanted. */
export function made(text, { before } = {}) {
  const rows = text.trim().split('\n').map((row) => row.trim().split(/\s+/));
  const frames = [...new Set(rows.map((row) => row[1]))];
  const strings = [];
  const string = (value) => (strings.includes(value) ? strings.indexOf(value) : strings.push(value) - 1);
  const read = frames.map((frame) => {
    const [, name, line, owner, kind] = /^([^:@!]+)(?::(\d+))?(?:@([^!]+))?(?:!(\d))?$/.exec(frame);
    return { name, line: Number(line ?? 7), owner: owner ?? 'job', kind: Number(kind ?? 0) };
  });
  const file = ({ name, kind, owner }) => (kind === 3 ? (name === 'runpy' ? '<frozen runpy>' : '<frozen importlib._bootstrap>') : `${owner}.py`);
  const columns = (list) => ({ cell: list.map((_, i) => i), bytes: list.map((row) => +row[0]), counts: list.map((row) => +row[1]) });
  return readPage(JSON.stringify({
    version: 3, title: 't', facts: [], warnings: [],
    frames: {
      function: read.map(({ name }) => string(name)), file: read.map((frame) => string(file(frame))),
      package: read.map(({ owner }) => string(owner)), source: read.map(({ name, line }) => string(line === 9 ? '' : `${name} at ${line}`)),
      line: read.map(({ line }) => line), kind: read.map(({ kind }) => kind),
    },
    strings,
    nodes: { back: rows.map((row, i) => (row[0] === '-' ? 0 : i - row[0])), frame: rows.map((row) => frames.indexOf(row[1])) },
    ...without(rows.length),
    metrics: [{ key: 'peak', label: 'Peak', ...columns(rows.map((row) => [row[2], row[3]])), before: before ? columns(before) : null }],
    default_metric: 0, inverted: false, temporary_within: 1, timeline: { seconds: [], live: [], rss: [] }, peak_at_seconds: null,
  }));
}

/** A model of such a page that looks at something. */
export function looking(text, look = {}, options = {}) {
  const model = new Model(made(text, options));
  model.show({ ...model.look, interpreter: true, imports: true, ...look });
  return model;
}

/** What is shown, as text: "name bytes(children)" in the order of the page. */
export function outline(model, id = 0) {
  const below = [...model.view.children(id, model.column)].map((child) => outline(model, child));
  return `${model.nameOf(id)} ${model.view.columns[0][id]}${below.length ? `(${below.join(' ')})` : ''}`;
}
