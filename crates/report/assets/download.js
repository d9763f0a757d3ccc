// @ts-check
// What is displayed → files and the clipboard. A file is made from a text in the page and needs no network; the page's
// policy allows it, because a press on a link is not a load.

import { closesByItself, part } from './panels.js';
import { fileName, timeAbout, timeRecords, toCsv, toJson, toTsv } from './records.js';
import { plotPng, plotSvg } from './saved_plot.js';
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
    press('save-svg', () => this.saveText(this.app.graph.toSvg(), 'svg', 'image/svg+xml'));
    press('save-png', () => this.app.graph.toPng((blob) => this.savePicture(blob)));
    const time = () => timeRecords(this.app.model.page.timeline);
    press('save-time', () => this.saveText(toCsv(time()), 'csv', 'text/csv', ['time']));
    press('save-time-json', () => this.saveText(toJson(timeAbout(this.app.model.page), time()), 'json', 'application/json', ['time']));
    press('save-time-svg', () => this.saveText(plotSvg(this.app.time), 'svg', 'image/svg+xml', ['time']));
    press('save-time-png', () => plotPng(this.app.time, (blob) => this.savePicture(blob, ['time'])));
    press('copy-rows', () => this.copy());
  }

  /** After another view is shown: pictures are of the graph, rows of what has rows. */
  show() {
    const { graph, view } = this.app;
    const withPlot = this.app.model.page.timeline.length > 0;
    part('save-rows').hidden = !view.records;
    part('save-graph').hidden = view !== graph;
    part('save-plot').hidden = !withPlot;
    this.menu.hidden = !view.records && !withPlot;
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

  /** @param {Blob | null} blob @param {string[]} [what]  as `save` */
  savePicture(blob, what) {
    if (blob) this.save(blob, 'png', what);
    else this.app.tell('The picture is too large for this browser.');
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
