// @ts-check
// The row of lists by which only some allocations are looked at: of a process, of a thread, by a function.

import { element, part } from './panels.js';
import { threadName } from './selection.js';

/** @typedef {import('./main.js').Application} Application */

/** Longest command in a list. */
const LONGEST = 60;

export class Filters {
  /** @param {Application} app */
  constructor(app) {
    this.app = app;
    const { processes, threads, allocators } = app.model.page;
    const shortened = (/** @type {string} */ text) => (text.length > LONGEST ? `${text.slice(0, LONGEST)}…` : text);
    this.fill('process', 'All processes', Array.from(processes.pid, (pid, i) => [String(i), `${pid}  ${shortened(processes.command[i])}`]));
    this.fill('allocator', 'All allocators', allocators.map((name) => [name, name]));
    part('process').addEventListener('change', () => this.app.go({ process: this.number('process'), thread: -1 }));
    part('thread').addEventListener('change', () => this.app.go({ thread: this.number('thread') }));
    part('allocator').addEventListener('change', () => this.app.go({ allocator: part('allocator').value }));
    this.several = { processes: processes.length > 1, threads: threads.length > 1, allocators: allocators.length > 1 };
    part('filters').hidden = !Object.values(this.several).includes(true);
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
    const threads = Array.from(page.threads.tid, (_, i) => i).filter((i) => process < 0 || page.threads.process[i] === process);
    this.fill('thread', 'All threads', threads.map((i) => [String(i), threadName(page, i)]));
    part('process').value = index(process);
    part('thread').value = index(thread);
    part('allocator').value = allocator < 0 ? '' : page.allocators[allocator];
    part('process').hidden = !this.several.processes;
    part('thread').hidden = !this.several.threads || (threads.length < 2 && thread < 0);
    part('allocator').hidden = !this.several.allocators;
    for (const id of ['process', 'thread', 'allocator']) part(id).classList.toggle('set', part(id).value !== '');
  }
}
