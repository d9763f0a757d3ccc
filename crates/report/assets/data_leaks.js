// @ts-check
// The part of the data that is about leaks (html/leaks.rs) → rows. Everything is checked here. Pure.

import { array, check, quantities, textIn } from './checks.js';

/** The verdicts, in the order in which they are listed: the first two are leaks. */
export const VERDICTS = ['never_freed', 'grows', 'garbage', 'recent', 'saw_tooth', 'bounded', 'one_off', 'start_up'];

/**
 * @typedef {{at: number[], bytes: number[]}} Curve  the parts in which the bytes change, and what they are from then on
 * @typedef {{node: number, bytes: number, blocks: number}} SiteStack  `node`: the innermost one, of the data
 * @typedef {object} Site
 * @property {number} index  its place by size
 * @property {number} node  of the data; gives the frame
 * @property {number} origin  place in `Leaks.origins`
 * @property {number} bytes  left
 * @property {number} blocks
 * @property {string} verdict  of VERDICTS; "": not judged
 * @property {number} score  from 1 to 100 for a leak, else 0
 * @property {number} rate  bytes a second
 * @property {number} perEvents  bytes for each thousand events
 * @property {number} garbageBytes
 * @property {number} garbageBlocks
 * @property {number} highest  most bytes at once
 * @property {Curve} curve
 * @property {SiteStack[]} stacks  the largest ones
 * @property {number} stackCount  of all
 * @property {number[]} nodes  the innermost ones of all its stacks, ascending
 * @property {{bytes: number, blocks: number}} [all]  what it left in all, if the rest is of a part of the run, see leaks_part.js
 * @typedef {{newest: number, from: number, step: number, parts: number}} Judging  `from`, `step` in seconds
 * @typedef {{headline: string, judged: Judging | null, origins: {name: string, bytes: number, blocks: number}[],
 *   suppressed: {pattern: string, builtin: boolean, bytes: number, blocks: number}[],
 *   leftOut: {sites: number, bytes: number, blocks: number}, sites: Site[]}} Leaks
 */

/**
 * @param {any} raw
 * @param {number} nodeCount
 * @returns {Leaks | null} null if the page has none
 */
export function readLeaks(raw, nodeCount) {
  if (raw === undefined || raw === null) return null;
  const origins = array(raw.origins, 'leaks.origins').map((origin) => {
    const [name, bytes, blocks] = array(origin, 'leaks.origins[]', 3);
    quantities([bytes, blocks], 'leaks.origins');
    return { name: textIn(name, 'leaks'), bytes, blocks };
  });
  const suppressed = array(raw.suppressed, 'leaks.suppressed').map((entry) => {
    const [pattern, builtin, bytes, blocks] = array(entry, 'leaks.suppressed[]', 4);
    quantities([bytes, blocks], 'leaks.suppressed');
    return { pattern: textIn(pattern, 'leaks'), builtin: builtin === true, bytes, blocks };
  });
  const [sites, bytes, blocks] = quantities(raw.left_out, 'leaks.left_out', 3);
  check(raw.judged !== undefined, '"leaks.judged" is missing');
  const judged = raw.judged === null ? null : readJudging(raw.judged);
  return {
    headline: textIn(raw.headline, 'leaks'),
    judged,
    origins,
    suppressed,
    leftOut: { sites, bytes, blocks },
    sites: readSites(raw.sites, nodeCount, origins.length, judged?.parts ?? 0),
  };
}

/** @param {any} raw @returns {Judging} */
function readJudging(raw) {
  const [newest, from, step, parts] = quantities([raw?.newest, raw.from_ns, raw.step_ns, raw.parts], 'leaks.judged', 4);
  check(step > 0 && parts > 0, 'the leaks were judged over no time');
  return { newest, from: from / 1e9, step: step / 1e9, parts };
}

/**
 * @param {any} raw
 * @param {number} nodeCount
 * @param {number} originCount
 * @param {number} parts  of a curve
 * @returns {Site[]}
 */
function readSites(raw, nodeCount, originCount, parts) {
  const node = quantities(raw?.node, 'leaks.sites.node', undefined, nodeCount);
  const { length } = node;
  const column = (/** @type {string} */ name, below = Infinity) => quantities(raw[name], `leaks.sites.${name}`, length, below);
  const origin = column('origin', originCount);
  const [bytes, blocks, score, rate] = ['bytes', 'blocks', 'score', 'bytes_per_second'].map((name) => column(name));
  const [garbageBytes, garbageBlocks, highest, stackCount] =
    ['garbage_bytes', 'garbage_blocks', 'highest', 'stack_count'].map((name) => column(name));
  const perEvents = column('bytes_per_1000_events');
  const verdict = array(raw.verdict, 'leaks.sites.verdict', length).map((word) => word ?? '');
  check(verdict.every((word) => word === '' || VERDICTS.includes(word)), 'a site has an unknown verdict');
  const curve = array(raw.curve, 'leaks.sites.curve', length).map((changes) => {
    const at = quantities(changes?.at, 'leaks.sites.curve.at', undefined, parts);
    check(at.every((part, i) => i === 0 || part > at[i - 1]), 'a curve goes back');
    return { at, bytes: quantities(changes.bytes, 'leaks.sites.curve.bytes', at.length) };
  });
  const stacks = array(raw.stacks, 'leaks.sites.stacks', length).map((list) =>
    array(list, 'leaks.sites.stacks[]').map((stack) => {
      const [innermost, held, count] = quantities(stack, 'leaks.sites.stacks[][]', 3);
      check(Number.isInteger(innermost) && innermost < nodeCount, `there is no node ${innermost}`);
      return { node: innermost, bytes: held, blocks: count };
    }));
  const nodes = array(raw.nodes, 'leaks.sites.nodes', length).map((list) => {
    const all = quantities(list, 'leaks.sites.nodes[]', undefined, nodeCount);
    check(all.every((at) => Number.isInteger(at)), 'a site has half a node');
    return all;
  });
  return node.map((of, index) => ({
    index, node: of, origin: origin[index], bytes: bytes[index], blocks: blocks[index], verdict: verdict[index],
    score: score[index], rate: rate[index], perEvents: perEvents[index], garbageBytes: garbageBytes[index],
    garbageBlocks: garbageBlocks[index], highest: highest[index], curve: curve[index], stacks: stacks[index],
    stackCount: stackCount[index], nodes: nodes[index],
  }));
}
