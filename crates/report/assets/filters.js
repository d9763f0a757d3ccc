// @ts-check
// The row of lists by which only some allocations are looked at: of a process, of a thread, by a function.

import { askersByBytes } from './asked.js';
import { element, part } from './panels.js';
import { threadName } from './selection.js';
import { humanBytes } from './words.js';

/** @typedef {import('./main.js').Application} Application */

/** Longest command in a list. */
const LONGEST = 60;

export class Filters {
  /** @param {Application} app */
  constructor(app) {
    this.app = app;
    const { processes, threads, allocators } = app.model.page;
    /** Of which metric and process the lists are. */
    this.filled = '';
    part('process').addEventListener('change', () => this.app.go({ process: this.number('process'), thread: -1 }));
    part('thread').addEventListener('change', () => this.app.go({ thread: this.number('thread') }));
    part('allocator').addEventListener('change', () => this.app.go({ allocator: part('allocator').value }));
    this.several = { processes: processes.length > 1, threads: threads.length > 1, allocators: allocators.length > 1 };
    part('filters').hidden = !Object.values(this.several).includes(true);
  }

  /**
   * The lists with who asked for the most first, in all that the page is of: they stay as they are when an instant is chosen.
   * @param {number} process  the threads are of this one; −1: of all
   */
  fillAll(process) {
    const { page, chosen } = this.app.model;
    const metric = page.metrics.find(({ key }) => key === chosen.metric.key) ?? page.metrics[page.defaultMetric];
    if (this.filled === `${metric.key} ${process}`) return;
    this.filled = `${metric.key} ${process}`;
    const { processes, threads, allocators } = page;
    const shortened = (/** @type {string} */ text) => (text.length > LONGEST ? `${text.slice(0, LONGEST)}…` : text);
    const amount = (/** @type {number} */ bytes) => `${humanBytes(bytes)}${metric.key === 'byte_seconds' ? '·s' : ''}`;
    // The name is first: a list is searched by typing how it begins.
    const fill = (/** @type {string} */ id, /** @type {string} */ all, /** @type {(key: number) => string[]} */ named, /** @type {(key: number) => boolean} */ isListed = () => true) => {
      this.fill(id, all, askersByBytes(page, id, metric).filter(({ key }) => isListed(key)).map(({ key, bytes }) => {
        const [value, text] = named(key);
        return [value, `${text}  ·  ${amount(bytes)}`];
      }));
    };
    fill('process', 'All processes', (key) => [String(key), `${processes.pid[key]}  ${shortened(processes.command[key])}`]);
    fill('thread', 'All threads', (key) => [String(key), threadName(page, key)], (key) => process < 0 || threads.process[key] === process);
    fill('allocator', 'All allocators', (key) => [allocators[key], allocators[key]]);
  }

  /**
   * @param {string} id
   * @param {string} all
   * @param {string[][]} options  value and text
   */
  fill(id, all, options) {
    part(id).replaceChildren(...[['', all], ...options].map(([value, text]) => {
      const option = /** @type {HTMLOptionElement} */ (element('option', text));
      option.value = value;
      return option;
    }));
  }

  /** @param {string} id */
  number(id) {
    const { value } = part(id);
    return value === '' ? -1 : Number(value);
  }

  /** After the look has changed. */
  show() {
    const { page, chosen } = this.app.model;
    const { process, thread, allocator } = chosen.filter;
    const index = (/** @type {number} */ i) => (i < 0 ? '' : String(i));
    this.fillAll(process);
    part('process').value = index(process);
    part('thread').value = index(thread);
    part('allocator').value = allocator < 0 ? '' : page.allocators[allocator];
    part('process').hidden = !this.several.processes;
    part('thread').hidden = !this.several.threads || (part('thread').length < 3 && thread < 0);
    part('allocator').hidden = !this.several.allocators;
    for (const id of ['process', 'thread', 'allocator']) part(id).classList.toggle('set', part(id).value !== '');
  }
}
