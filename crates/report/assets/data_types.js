// @ts-check
// The part of the data that is about Python objects by type (html/types.rs) → rows. Everything is checked here. Pure.

import { array, check, quantities, textIn } from './checks.js';
import { fileAndLine } from './words.js';

/**
 * @typedef {{reason: string, seconds: number, objects: number, bytes: number, cost: number, ownBytes: number, cut: boolean}} Census
 *   `cost` in seconds
 * @typedef {{census: number, count: number, lookedUp: number, holders: {rooted: boolean, steps: string[]}[],
 *   stacks: {count: number, frames: {name: string, place: string}[]}[]}} NewObjects  frames innermost first
 * @typedef {{index: number, name: string, steady: boolean, at: number[], objects: number[], bytes: number[],
 *   fresh: NewObjects | null}} TypeRow  `at`: censuses at which the numbers change
 * @typedef {{pid: number, censuses: Census[], types: TypeRow[], leftOut: number}} TypesOf
 */

/**
 * @param {any} raw
 * @returns {TypesOf[]} none without a census
 */
export function readTypes(raw) {
  if (raw === undefined || raw === null) return [];
  const functions = array(raw.frames?.function, 'types.frames.function');
  const files = array(raw.frames.file, 'types.frames.file', functions.length);
  const lines = quantities(raw.frames.line, 'types.frames.line', functions.length);
  const frames = functions.map((name, i) => ({
    name: textIn(name, 'types') || '(unknown function)',
    place: fileAndLine(textIn(files[i], 'types'), lines[i]),
  }));
  const processes = array(raw.processes, 'types.processes').map((process) => readProcess(process, frames));
  check(processes.length > 0, 'there are types of no process');
  return processes;
}

/**
 * @param {any} raw
 * @param {{name: string, place: string}[]} frames
 * @returns {TypesOf}
 */
function readProcess(raw, frames) {
  const reasons = array(raw?.censuses?.reason, 'types.censuses.reason');
  const taken = reasons.length;
  check(taken > 0, 'a process has types without a census');
  const [time, objects, bytes, cost, ownBytes] = ['time_ns', 'objects', 'bytes', 'cost_ns', 'own_bytes'].map((name) =>
    quantities(raw.censuses[name], `types.censuses.${name}`, taken));
  const cut = array(raw.censuses.cut, 'types.censuses.cut', taken);
  const censuses = reasons.map((reason, i) => ({
    reason: textIn(reason, 'types'), seconds: time[i] / 1e9, objects: objects[i], bytes: bytes[i], cost: cost[i] / 1e9,
    ownBytes: ownBytes[i], cut: cut[i] === true,
  }));
  const names = array(raw.types?.name, 'types.name');
  const steady = array(raw.types.steady, 'types.steady', names.length);
  const at = array(raw.types.at, 'types.at', names.length);
  const ofObjects = array(raw.types.objects, 'types.objects', names.length);
  const ofBytes = array(raw.types.bytes, 'types.bytes', names.length);
  /** @type {TypeRow[]} */
  const types = names.map((name, index) => {
    const changes = quantities(at[index], 'types.at[]', undefined, taken);
    check(changes.every((census, i) => i === 0 || census > changes[i - 1]), 'the numbers of a type go back');
    return {
      index,
      name: textIn(name, 'types'),
      steady: steady[index] === true,
      at: changes,
      objects: quantities(ofObjects[index], 'types.objects[]', changes.length),
      bytes: quantities(ofBytes[index], 'types.bytes[]', changes.length),
      fresh: null,
    };
  });
  for (const fresh of array(raw.new, 'types.new')) {
    check(Number.isInteger(fresh?.of) && fresh.of in types, `there is no type ${fresh?.of}`);
    types[fresh.of].fresh = readNew(fresh, taken, frames);
  }
  const [pid, leftOut] = quantities([raw.pid, raw.left_out], 'types.pid', 2);
  return { pid, censuses, types, leftOut };
}

/**
 * @param {any} raw
 * @param {number} taken
 * @param {{name: string, place: string}[]} frames
 * @returns {NewObjects}
 */
function readNew(raw, taken, frames) {
  const [census] = quantities([raw.census], 'types.new.census', 1, taken);
  const [count, lookedUp] = quantities([raw.count, raw.looked_up], 'types.new.count', 2);
  const holders = array(raw.holders, 'types.new.holders').map((holder) => {
    const [rooted, steps] = array(holder, 'types.new.holders[]', 2);
    return { rooted: rooted === true, steps: array(steps, 'types.new.holders[][]').map((step) => textIn(step, 'types')) };
  });
  const stacks = array(raw.stacks, 'types.new.stacks').map((stack) => {
    const [blocks, places] = array(stack, 'types.new.stacks[]', 2);
    quantities([blocks], 'types.new.stacks');
    return { count: blocks, frames: quantities(places, 'types.new.stacks[][]', undefined, frames.length).map((at) => frames[at]) };
  });
  return { census, count, lookedUp, holders, stacks };
}
