// @ts-check
// A node of what is shown in words: in its rectangle, in the tooltip, at the foot of the page, as a call path to copy. Pure.

import { KINDS } from './data.js';
import { SMALLER } from './prune.js';
import { counted, exact, humanBytes, percent, signed, tellingName } from './words.js';

/**
 * @typedef {import('./model.js').Model} Model
 * @typedef {{name: string, place: string, source: string, lines: {term: string, text: string, tone: string}[]}} Description
 */

/**
 * What may follow the name in a rectangle, the longest first.
 * @param {Model} model
 * @param {number} id
 * @returns {string[]}
 */
export function remarks(model, id) {
  const [before, after] = model.inUnit(model.valuesOf(model.view.columns, id));
  const amount = model.difference ? signed(after - before, (n) => model.amount(n)) : model.amount(after);
  const frame = model.view.frame[id];
  if (frame < 0) return [amount];
  const file = model.labelOf(id) === model.fileOfModule(id) ? model.nameOf(id) : tellingName(model.placeOf(id));
  return file ? [`${file}  ${amount}`, file] : [amount];
}

/**
 * All that is known of a node, for the tooltip.
 * @param {Model} model
 * @param {number} id
 * @returns {Description}
 */
export function describe(model, id) {
  const values = model.valuesOf(model.view.columns, id);
  const [before, after] = model.inUnit(values);
  const frame = model.view.frame[id];
  const kind = frame < 0 ? '' : KINDS[model.frames.kind[frame]];
  const owner = frame < 0 ? '' : model.frames.package[frame];
  const small = frame === SMALLER ? `each less than ${model.look.least}% of all` : '';
  const place = [model.placeOf(id), owner, kind, small].filter(Boolean).join('  ·  ');
  const source = model.sourceOf(frame);
  const line = (/** @type {string} */ term, /** @type {string} */ text, tone = '') => ({ term, text, tone });
  const bytes = (/** @type {number} */ n) => `${humanBytes(n)} (${exact(n)} bytes)`;
  const nouns = model.noun === 'block' ? 'Blocks' : 'Allocations';
  if (model.difference) {
    const difference = values.bytes - values.beforeBytes;
    const counts = values.counts - values.beforeCounts;
    const tone = after > before ? 'grew' : after < before ? 'shrank' : '';
    return {
      name: model.nameOf(id),
      place,
      source,
      lines: [
        line('Before', `${bytes(values.beforeBytes)} in ${counted(values.beforeCounts, model.noun)}`),
        line('After', `${bytes(values.bytes)} in ${counted(values.counts, model.noun)}`),
        line('Difference', `${signed(difference, humanBytes)}, ${signed(counts, (n) => counted(n, model.noun))}`, tone),
      ],
    };
  }
  const lines = [
    line(model.metric.label, bytes(values.bytes)),
    line(nouns, exact(values.counts)),
    line('Share', `${percent(after, model.inUnit(model.whole)[1])} of all ${model.look.unit === 'bytes' ? 'bytes' : `${model.noun}s`}`),
  ];
  if (!model.turned && frame >= 0) {
    const own = model.valuesOf(model.own, id);
    if (own.bytes !== values.bytes) lines.push(line('Itself', humanBytes(own.bytes)));
  }
  return { name: model.nameOf(id), place, source, lines };
}

/**
 * The same in one line, for the foot of the page and for screen readers.
 * @param {Model} model
 * @param {number} id
 * @returns {string}
 */
export function sentence(model, id) {
  const { name, place, source, lines } = describe(model, id);
  return [name, place, source, ...lines.map(({ term, text }) => `${term}: ${text}`)].filter(Boolean).join('  ·  ');
}

/**
 * The call path of a node as text, outermost frame first.
 * @param {Model} model
 * @param {number} id
 * @returns {string}
 */
export function callPath(model, id) {
  const path = [];
  for (let at = id; at > 0; at = model.view.parent[at]) path.push(`${model.nameOf(at)} (${model.placeOf(at) || 'unknown file'})`);
  return (model.turned ? path : path.reverse()).join('\n');
}
