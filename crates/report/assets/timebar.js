// @ts-check
// The plot of memory over time at the top of the page: what it says beside its curves, and what the reader does to it.

import { drawTimeline } from './timeline.js';
import { element, part } from './panels.js';
import { duration, humanBytes } from './words.js';

/** @typedef {import('./main.js').Application} Application */

export class TimeBar {
  /** @param {Application} app */
  constructor(app) {
    this.app = app;
    this.canvas = part('timeline-canvas');
    /** x of the mouse, −1: not here. */
    this.pointer = -1;
    part('timeline').hidden = this.timeline.length === 0;
    if (this.timeline.length > 0) this.listen();
  }

  get timeline() {
    return this.app.model.page.timeline;
  }

  /** What the mark in the timeline says. */
  instant() {
    return this.app.model.page.metrics[0]?.key === 'live' ? 'Shown: at' : 'Peak at';
  }

  draw() {
    const { timeline } = this;
    const { peakAt } = this.app.model.page;
    if (timeline.length === 0) return;
    const near = drawTimeline(this.canvas, timeline, peakAt, this.pointer, this.app.css);
    const has = timeline.rss.some((bytes) => bytes > 0);
    const at = near < 0 ? '' : `${duration(timeline.seconds[near])}: `;
    const live = element('span', near < 0 ? 'Live bytes' : `${at}${humanBytes(timeline.live[near])} live`);
    const rss = element('span', near < 0 ? 'RSS' : `${humanBytes(timeline.rss[near])} RSS`, 'rss');
    const peak = element('span', peakAt === null ? '' : `${this.instant()} ${duration(peakAt)}`, 'at-peak');
    part('timeline-key').replaceChildren(live, ...(has ? [rss] : []), ...(peakAt === null ? [] : [peak]));
  }

  listen() {
    const { canvas, timeline } = this;
    const { peakAt } = this.app.model.page;
    const most = timeline.live.reduce((a, b) => Math.max(a, b), 0);
    canvas.setAttribute('aria-label', `Live bytes over time, at most ${humanBytes(most)}${peakAt === null ? '' : `, ${this.instant().toLowerCase()} ${duration(peakAt)}`}`);
    canvas.addEventListener('pointermove', (/** @type {PointerEvent} */ event) => {
      this.pointer = event.offsetX;
      this.app.draw();
    });
    canvas.addEventListener('pointerleave', () => {
      this.pointer = -1;
      this.app.draw();
    });
  }
}
