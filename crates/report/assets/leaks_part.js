// @ts-check
// What came in the chosen window, by whom is chosen, of what was left at the end: the leaks of a part of the run. Pure.

import { countNoun, counted, humanBytes } from './words.js';

/**
 * @typedef {import('./data_leaks.js').Site} Site
 * @typedef {import('./data_leaks.js').Leaks} Leaks
 * @typedef {import('./model.js').Model} Model
 * @typedef {{bytes: number, blocks: number}} Left
 * @typedef {Site & {all: Left}} PartSite  `bytes`, `blocks` and `stacks` are of the part, `all` is what the site left in all
 * @typedef {{words: string, of: string, end: string, total: Left, unlisted: Left, leaks: Leaks}} LeaksPart  `words`: which part that is; `of`: of what,
 *   and `end` of it; `total`: what came in it
 *   and was left; `unlisted`: of that what is of no site; `leaks`: the sites that left something of it
 */

/** Stacks of a site that are told of; the same number is in html/leaks.rs. */
const PART_STACKS = 5;

/**
 * @param {Model} model
 * @param {Leaks} leaks  of the whole run
 * @returns {LeaksPart | null} null: all of the run is looked at, or the page does not know when what came
 */
export function leaksPart(model, leaks) {
  const { page, chosen } = model;
  const { course, cells, nodes } = page;
  const window = chosen.span !== null && 'from' in chosen.span ? chosen.span : null;
  if (course === null || (window === null && chosen.pass === null)) return null;
  const [bytes, blocks] = [new Float64Array(nodes.length), new Float64Array(nodes.length)];
  const total = { bytes: 0, blocks: 0 };
  const { leaked } = course;
  for (let r = 0; r < leaked.cell.length; r++) {
    const cell = leaked.cell[r];
    if (window !== null && !(leaked.born[r] >= window.from && leaked.born[r] < window.to)) continue;
    if (chosen.pass !== null && !chosen.pass[cell]) continue;
    bytes[cells.node[cell]] += leaked.bytes[r];
    blocks[cells.node[cell]] += leaked.counts[r];
    total.bytes += leaked.bytes[r];
    total.blocks += leaked.counts[r];
  }
  const sites = leaks.sites.map((site) => partSite(site, bytes, blocks)).filter((site) => site.blocks > 0);
  const listed = sumOf(sites);
  const origins = leaks.origins.map(({ name }, origin) => ({ name, ...sumOf(sites.filter((site) => site.origin === origin)) }));
  return {
    words: `${window === null ? 'at any time' : chosen.spanWords()}${chosen.filterWords()}`,
    ...(page.span === null ? { of: 'the whole run', end: 'the end' } : { of: 'the page’s whole window', end: 'the end of that which the page is of' }),
    total,
    unlisted: { bytes: total.bytes - listed.bytes, blocks: total.blocks - listed.blocks },
    leaks: { ...leaks, sites, origins },
  };
}

/**
 * @param {Site} site
 * @param {Float64Array} bytes  by node
 * @param {Float64Array} blocks
 * @returns {PartSite}
 */
function partSite(site, bytes, blocks) {
  const stacks = site.nodes.filter((node) => blocks[node] > 0).map((node) => ({ node, bytes: bytes[node], blocks: blocks[node] }));
  stacks.sort((a, b) => b.bytes - a.bytes || b.blocks - a.blocks || a.node - b.node);
  return { ...site, ...sumOf(stacks), stacks: stacks.slice(0, PART_STACKS), stackCount: stacks.length, all: { bytes: site.bytes, blocks: site.blocks } };
}

/** @param {Left[]} parts @returns {Left} */
function sumOf(parts) {
  return parts.reduce((sum, { bytes, blocks }) => ({ bytes: sum.bytes + bytes, blocks: sum.blocks + blocks }), { bytes: 0, blocks: 0 });
}

/**
 * What is listed and what is not, in a sentence each.
 * @param {LeaksPart} part
 * @returns {string[]}
 */
export function partSentences({ words, of, end, unlisted }) {
  const noun = countNoun('leaked');
  const sentences = [`Listed is what came ${words} and was live at ${end}. Verdicts, curves and what is said of growth are of ${of}.`];
  if (unlisted.blocks > 0) {
    sentences.push(`${humanBytes(unlisted.bytes)} in ${counted(unlisted.blocks, noun)} of it are not listed: known to suppressions, of smaller sites, or without a stack.`);
  }
  return sentences;
}
