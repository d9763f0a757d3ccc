// @ts-check
// What was left at the end, as rows to show: which, in which order, in which words. Pure.

import { orderNamed } from './choices.js';
import { VERDICTS } from './data_leaks.js';
import { countNoun, counted, fileAndLine, humanBytes } from './words.js';

/**
 * @typedef {import('./data_leaks.js').Site} Site
 * @typedef {import('./data_leaks.js').Leaks} Leaks
 * @typedef {import('./data.js').Page} Page
 * @typedef {{verdict: string, origin: string, sort: string}} LeaksChoice  `verdict`, `origin`: one, or "" for all
 */

/** The words for verdicts, and what they mean. */
export const VERDICT_WORDS = /** @type {Record<string, [string, string]>} */ ({
  never_freed: ['never freed', 'A leak. Nothing of it was ever released, and it goes on: it grew in most parts of the time since it began.'],
  grows: ['grows', 'A leak. Some of it was released, but what stays becomes more and more; or one block is made larger again and again.'],
  garbage: ['garbage', 'No leak: half of it or more was cyclic garbage that nobody held, which the interpreter’s last collection released.'],
  recent: ['recent', 'Not known: it began in the newest part of the time, which is left out, and may be about to be released.'],
  saw_tooth: ['saw-tooth', 'No leak: it fills and is emptied. It fell by more than half at least twice, and rose again.'],
  bounded: ['bounded', 'No leak: it grew and then stayed, or what it has is replaced. A cache, a pool, a working set.'],
  one_off: ['one-off', 'No leak: it rose a few times, in large steps.'],
  start_up: ['start-up', 'No leak: it has what it has since the first tenth of the run.'],
  '': ['not judged', 'How it went over time was not looked at.'],
});

/** Who left something, in words. */
export const ORIGIN_WORDS = /** @type {Record<string, string>} */ ({
  program: 'the program',
  import: 'the import system',
  interpreter: 'the interpreter',
  other: 'programs beside it',
});

/** @param {string} verdict */
export function isLeak(verdict) {
  return verdict === 'never_freed' || verdict === 'grows';
}

/**
 * What is chosen when nothing was: what the program left, leaks first.
 * @param {Leaks} leaks
 * @returns {LeaksChoice}
 */
export function firstLeaksChoice(leaks) {
  const program = leaks.origins.findIndex(({ name }) => name === 'program');
  const some = leaks.sites.some(({ origin }) => origin === program);
  return { verdict: '', origin: some ? 'program' : '', sort: leaks.judged ? 'verdict' : 'bytes' };
}

/**
 * Bytes a second by which a leak grows; of what is no leak the ends say nothing, and it is 0.
 * @param {Site} site
 */
export function leakRate(site) {
  return isLeak(site.verdict) ? site.rate : 0;
}

/** The orders that sites can be in: the first is that with the most of it. */
const SITE_ORDERS = /** @type {Record<string, (a: Site, b: Site) => number>} */ ({
  verdict: (a, b) => VERDICTS.indexOf(a.verdict) - VERDICTS.indexOf(b.verdict) || leakRate(b) - leakRate(a),
  bytes: (a, b) => b.bytes - a.bytes,
  blocks: (a, b) => b.blocks - a.blocks,
  rate: (a, b) => leakRate(b) - leakRate(a),
  score: (a, b) => b.score - a.score,
  highest: (a, b) => b.highest - a.highest,
});

/**
 * The sites that are chosen, in their order; equal ones by size.
 * @param {Leaks} leaks
 * @param {LeaksChoice} chosen
 * @param {(site: Site) => boolean} [found]  by the search
 * @returns {Site[]}
 */
export function chosenSites(leaks, chosen, found = () => true) {
  const order = orderNamed(SITE_ORDERS, chosen.sort, 'bytes');
  return leaks.sites
    .filter((site) => (!chosen.verdict || site.verdict === chosen.verdict) && isOf(leaks, site, chosen.origin) && found(site))
    .sort((a, b) => order(a, b) || b.bytes - a.bytes || a.index - b.index);
}

/** @param {Leaks} leaks @param {Site} site @param {string} origin */
function isOf(leaks, site, origin) {
  return !origin || leaks.origins[site.origin].name === origin;
}

/**
 * How many sites of an origin each verdict has; those that none has are left out.
 * @param {Leaks} leaks
 * @param {string} origin
 * @returns {{verdict: string, count: number}[]}
 */
export function verdictCounts(leaks, origin) {
  const sites = leaks.sites.filter((site) => isOf(leaks, site, origin));
  return [...VERDICTS, ''].map((verdict) => ({ verdict, count: sites.filter((site) => site.verdict === verdict).length }))
    .filter(({ count }) => count > 0);
}

/**
 * The bytes in each part of the time.
 * @param {import('./data_leaks.js').Curve} curve
 * @param {number} parts
 * @returns {Float64Array}
 */
export function denseCurve({ at, bytes }, parts) {
  const dense = new Float64Array(parts);
  at.forEach((part, i) => dense.fill(bytes[i], part, at[i + 1] ?? parts));
  return dense;
}

/**
 * The frames of a path, the innermost first, each with its place.
 * @param {Page} page
 * @param {number} node  of the data
 * @returns {{name: string, place: string, source: string}[]}
 */
export function pathOfNode(page, node) {
  const { nodes, frames } = page;
  const path = [];
  for (let at = node; at >= 0; at = nodes.parent[at]) {
    const frame = nodes.frame[at];
    path.push({ name: frames.name[frame], place: fileAndLine(frames.file[frame], frames.line[frame]), source: frames.source[frame] });
  }
  return path;
}

/**
 * Where the site is on one of its stacks: the innermost node of its frame.
 * @param {Page} page
 * @param {number} frame
 * @param {number} innermost  node of the data
 * @returns {number} the innermost node itself if the frame is not on the stack
 */
export function siteOnStack(page, frame, innermost) {
  for (let at = innermost; at >= 0; at = page.nodes.parent[at]) if (page.nodes.frame[at] === frame) return at;
  return innermost;
}

/**
 * What leads from the root of a call tree to a node of the data, for `Look.zoom`.
 * @param {import('./calls.js').CallTree} tree
 * @param {number} node  of the data
 * @returns {number[]}
 */
export function zoomTo(tree, node) {
  const path = [];
  for (let at = tree.treeNode[node]; at > 0; at = tree.parent[at]) path.push(tree.frame[at]);
  return path.reverse();
}

/**
 * The search for this place and no other, as the reader could have typed it: a line of a file, without a line all of the file, without
 * a file the name.
 * @param {string} name
 * @param {string} file
 * @param {number} line  0: not known
 * @returns {string}
 */
export function searchFor(name, file, line) {
  const literal = (/** @type {string} */ text) => text.replace(/[.*+?^${}()|[\]\\/]/g, '\\$&');
  if (file && line > 0) return `/${literal(`${file}:${line}`)}$/`;
  return name ? `/^${literal(name)}$/` : `/^${literal(file)}:\\d+$/`;
}

/**
 * What is left out of the list, in a sentence each.
 * @param {Leaks} leaks
 * @returns {string[]}
 */
export function leftOutSentences(leaks) {
  const sentences = [];
  const sum = (/** @type {'bytes' | 'blocks'} */ of) => leaks.suppressed.reduce((all, entry) => all + entry[of], 0);
  if (leaks.suppressed.length > 0) {
    const patterns = leaks.suppressed.map(({ pattern }) => pattern).slice(0, 8).join(', ');
    const more = leaks.suppressed.length > 8 ? ` and ${leaks.suppressed.length - 8} more` : '';
    sentences.push(`Known to suppressions and not listed: ${humanBytes(sum('bytes'))} in ${counted(sum('blocks'), countNoun('leaked'))} (${patterns}${more}).`);
  }
  const { sites, bytes, blocks } = leaks.leftOut;
  if (sites > 0) sentences.push(`${counted(sites, 'smaller site')} not in this page: ${humanBytes(bytes)} in ${counted(blocks, 'block')}.`);
  if (!leaks.judged) sentences.push('How the sites grew was not looked at: the capture has no events, was too short, is of an instant, or the page was made quickly.');
  return sentences;
}
