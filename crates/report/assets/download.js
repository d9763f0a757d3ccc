// @ts-check
// What is displayed → files and the clipboard. A file is made from a text in the page and needs no network; the page's
// policy allows it, because a press on a link is not a load.

import { closesByItself, part } from './panels.js';
import { fileName, timeRecords, toCsv, toJson, toTsv } from './records.js';
import { toAddress } from './address.js';

/** @typedef {import('./main.js').Application} Application */

export class Downloads {
  /** @param {Application} app */
  constructor(app) {
    this.app = app;
    this.menu = part('download');
    closesByItself(this.menu);
    const press = (/** @type {string} */ id, /** @type {() => void} */ act) => part(id).addEventListener('click', () => {
      this.menu.open = false;
      part('download-summary').focus();
      act();
    });
    press('save-csv', () => this.saveText(toCsv(this.records()), 'csv', 'text/csv'));
    press('save-json', () => this.saveText(toJson(this.about(), this.records()), 'json', 'application/json'));
    press('save-time', () => this.saveText(toCsv(timeRecords(this.app.model.page.timeline)), 'csv', 'text/csv', ['time']));
    press('save-svg', () => this.saveText(this.app.graph.toSvg(), 'svg', 'image/svg+xml'));
    press('save-png', () => this.app.graph.toPng((blob) => blob ? this.save(blob, 'png') : this.app.tell('The picture is too large for this browser.')));
    press('copy-rows', () => this.copy());
  }

  /** After another view is shown: pictures are of the graph, rows of what has rows. */
  show() {
    const { graph, view } = this.app;
    part('save-svg').hidden = part('save-png').hidden = view !== graph;
    part('save-time').hidden = this.app.model.page.timeline.length === 0;
    this.menu.hidden = !view.records;
  }

  records() {
    return this.app.view.records?.() ?? { columns: [], rows: [] };
  }

  about() {
    const { model, first } = this.app;
    const { page, look } = model;
    return { title: page.title, metric: model.metric.key, meaning: model.chosen.words(), view: look.view, look: toAddress(look, first), rows_are: { table: look.group, leaks: 'site', types: 'type', changes: 'change' }[look.view] ?? 'node' };
  }

  /** @param {string} text @param {string} ending @param {string} type @param {string[]} [what]  as `save` */
  saveText(text, ending, type, what) {
    this.save(new Blob([text], { type: `${type};charset=utf-8` }), ending, what);
  }

  /** @param {Blob} blob @param {string} ending @param {string[]} [what]  in the name of the file; without it what is displayed */
  save(blob, ending, what) {
    const { model } = this.app;
    const link = document.createElement('a');
    link.download = fileName([model.page.title, ...(what ?? [model.metric.key, model.look.view])], ending);
    link.href = URL.createObjectURL(blob);
    link.click();
    // The browser has read it by then.
    setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
    this.app.tell(`${link.download} is saved.`);
  }

  async copy() {
    const records = this.records();
    try {
      await navigator.clipboard.writeText(toTsv(records));
      this.app.tell(`${records.rows.length} rows are copied.`);
    } catch {
      this.app.tell('The browser did not allow copying.');
    }
  }
}
