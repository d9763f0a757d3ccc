// @ts-check
// The view of what was left at the end: each site with its verdict and how it grew. Which sites, in which order and words, is leaks.js's.

import { fromListAddress, toListAddress } from './choices.js';
import { ORIGIN_WORDS, VERDICT_WORDS, chosenSites, denseCurve, firstLeaksChoice, isLeak, leftOutSentences } from './leaks.js';
import { leakRate, pathOfNode, searchFor, siteOnStack, verdictCounts, zoomTo } from './leaks.js';
import { leaksPart, partSentences } from './leaks_part.js';
import { frameList, pairList, selectBox, showList } from './lists.js';
import { element, part, showTooltip } from './panels.js';
import { axesPicture, curvePicture, stepPoints } from './plot.js';
import { roundTop, timelineTicks } from './timeline.js';
import { counted, duration, exact, fileAndLine, humanBytes } from './words.js';

/**
 * @typedef {import('./main.js').Application} Application
 * @typedef {import('./leaks.js').Site} Site
 */

/** Rows shown at first. */
const LEAK_ROWS = 200;
/** The whole run, whoever allocated: what leaks are of. */
const ALL = { from: '', to: '', process: -1, thread: -1, allocator: '' };
/** Frames of a call path shown at first. */
const LEAK_FRAMES = 12;

export class LeaksView {
  /**
   * @param {Application} app
   * @param {import('./leaks.js').Leaks} leaks
   */
  constructor(app, leaks) {
    this.app = app;
    /** Of the whole run. */
    this.whole = leaks;
    /** Those of the chosen part of it, if there is one. @type {import('./leaks_part.js').LeaksPart | null} */
    this.part = null;
    /** What was chosen when that was made. @type {import('./selection.js').Selection | null} */
    this.partOf = null;
    this.hint = 'A name opens its row: how it went over time, and who asked for it.';
    this.place = part('leaks');
    this.first = firstLeaksChoice(leaks);
    this.chosen = this.first;
    /** @type {Set<string>} */
    this.opened = new Set();
    this.tools = element('div', undefined, 'list-tools');
    this.list = element('div');
    this.place.append(this.tools, this.list);
  }

  /** What is listed: of the whole run, or of the chosen part of it. */
  get leaks() {
    return this.part?.leaks ?? this.whole;
  }

  /** Before anything is shown. */
  look() {
    const { model } = this.app;
    if (this.partOf !== model.chosen) this.part = leaksPart(model, this.whole);
    this.partOf = model.chosen;
    this.chosen = fromListAddress(model.look.list, this.first);
  }

  /** What stands at the top of the page. */
  headline() {
    this.look();
    if (this.part) {
      const { total, words, end } = this.part;
      return { number: humanBytes(total.bytes), words: `live at ${end}, of what came ${words}, ${counted(total.blocks, 'block')}` };
    }
    const [words, figures = ''] = this.leaks.headline.split(/: (?=[^:]*$)/);
    const [number, ...rest] = figures.split(' in ');
    return { number, words: [words, ...rest].join(', ') };
  }

  /** @param {Site} site */
  frameOf(site) {
    return this.app.model.page.nodes.frame[site.node];
  }

  /** The sites that are listed. */
  sites() {
    const { matched } = this.app.model;
    return chosenSites(this.leaks, this.chosen, matched ? (site) => matched[this.frameOf(site)] === 1 : undefined);
  }

  /** What the search found, in words. */
  searchResult() {
    return this.app.model.matched ? counted(this.sites().length, 'site') : '';
  }

  /** The sites that are listed, to be saved or copied. @returns {import('./records.js').Records} */
  records() {
    const { frames } = this.app.model;
    const rows = this.sites().map((site) => {
      const frame = this.frameOf(site);
      return [
        frames.name[frame], frames.file[frame], frames.line[frame], this.leaks.origins[site.origin].name, site.bytes, site.blocks, site.verdict,
        site.score, site.rate, site.perEvents, site.garbageBytes, site.garbageBlocks, site.highest, ...(site.all ? [site.all.bytes, site.all.blocks] : []),
      ];
    });
    const columns = [
      'function', 'file', 'line', 'origin', 'bytes', 'blocks', 'verdict', 'score', 'bytes_per_second', 'bytes_per_1000_events', 'garbage_bytes',
      'garbage_blocks', 'highest_bytes', ...(this.part ? ['bytes_in_all', 'blocks_in_all'] : []),
    ];
    return { columns, rows };
  }

  /** After the model has changed. */
  show() {
    this.look();
    const { leaks, chosen } = this;
    this.showTools();
    const judged = leaks.judged !== null;
    const rows = this.sites();
    /** @type {import('./lists.js').Column<Site>[]} */
    const columns = [
      { title: 'Bytes', sort: 'bytes', number: true, hint: this.part ? `What is left of what came ${this.part.words}` : 'What is left', cell: (site) => humanBytes(site.bytes) },
      { title: 'Blocks', sort: 'blocks', number: true, cell: (site) => exact(site.blocks) },
      ...(judged ? this.judgedColumns() : []),
      { title: 'Site', hint: 'The innermost frame of the program’s own', cell: () => '' },
    ];
    if (this.part) columns.splice(2, 0, { title: 'In all', number: true, hint: 'What the site left in the whole run', cell: ({ bytes, all }) => humanBytes(all?.bytes ?? bytes) });
    if (judged) columns.unshift({ title: 'Verdict', sort: 'verdict', cell: (site) => this.verdict(site.verdict) });
    const { frames } = this.app.model;
    showList(this.list, {
      label: 'Sites of what is left',
      columns,
      rows,
      key: (site) => String(site.index),
      sort: chosen.sort,
      sorted: (sort) => this.choose({ sort }),
      named: (site) => {
        const frame = this.frameOf(site);
        return { name: frames.name[frame], place: fileAndLine(frames.file[frame], frames.line[frame]) };
      },
      opened: this.opened,
      detail: (site) => this.detail(site),
      most: LEAK_ROWS,
      none: leaks.sites.length === 0 ? (this.part ? 'Nothing of it was left.' : 'Nothing was left.') : 'No site is of this kind.',
    });
  }

  /** @returns {import('./lists.js').Column<Site>[]} */
  judgedColumns() {
    return [
      { title: 'Per second', sort: 'rate', number: true, hint: 'Of a leak: bytes by which it grew', cell: (site) => (leakRate(site) > 0 ? humanBytes(Math.round(site.rate)) : '–') },
      { title: 'Score', sort: 'score', number: true, hint: 'Of a leak: in how many percent of the time since it began it grew', cell: (site) => (site.score > 0 ? String(site.score) : '–') },
      { title: 'Highest', sort: 'highest', number: true, hint: 'Most bytes that it had at once. What several processes left, one after the other, may be more', cell: (site) => humanBytes(site.highest) },
      { title: 'Over time', hint: 'The least live bytes in each part of the run', cell: (site) => this.curve(site) },
    ];
  }

  /** @param {Partial<import('./leaks.js').LeaksChoice>} change */
  choose(change) {
    this.app.go({ list: toListAddress({ ...this.chosen, ...change }, this.first) });
  }

  showTools() {
    const { leaks, chosen } = this;
    const active = /** @type {HTMLElement | null} */ (document.activeElement);
    const held = active && this.tools.contains(active) ? active.dataset.focus : undefined;
    const counts = verdictCounts(leaks, chosen.origin);
    const all = counts.reduce((sum, { count }) => sum + count, 0);
    const parts = [
      selectBox('Left by', [
        ...leaks.origins.filter(({ blocks }) => blocks > 0).map(({ name, bytes }) => ({ value: name, text: `${ORIGIN_WORDS[name] ?? name} (${humanBytes(bytes)})` })),
        { value: '', text: 'all' },
      ], chosen.origin, (origin) => this.choose({ origin, verdict: '' })),
    ];
    if (leaks.judged) {
      parts.push(selectBox('Verdict', [
        { value: '', text: `all (${exact(all)})` },
        ...counts.filter(({ verdict }) => verdict).map(({ verdict, count }) => ({ value: verdict, text: `${VERDICT_WORDS[verdict][0]} (${exact(count)})` })),
      ], chosen.verdict, (verdict) => this.choose({ verdict })));
    }
    this.tools.replaceChildren(...parts, ...(this.part ? partSentences(this.part) : leftOutSentences(leaks)).map((sentence) => element('p', sentence)));
    for (const again of this.tools.querySelectorAll('select')) if (again.dataset.focus === held) again.focus();
  }

  /**
   * A verdict as a word that explains itself when it is pointed at or has the focus.
   * @param {string} verdict
   */
  verdict(verdict) {
    const [word, meaning] = VERDICT_WORDS[verdict];
    const shown = element('span', word, `verdict ${isLeak(verdict) ? 'is-leak' : verdict}`);
    shown.tabIndex = 0;
    shown.setAttribute('role', 'note');
    shown.setAttribute('aria-label', `${word}. ${meaning}`);
    const tell = () => {
      const { left, bottom } = shown.getBoundingClientRect();
      showTooltip(part('tooltip'), { name: word, place: meaning, source: '', lines: [] }, left, bottom);
    };
    const hide = () => { part('tooltip').hidden = true; };
    shown.addEventListener('pointerenter', tell);
    shown.addEventListener('focus', tell);
    shown.addEventListener('pointerleave', hide);
    shown.addEventListener('blur', hide);
    return shown;
  }

  /** @param {Site} site */
  dense(site) {
    return denseCurve(site.curve, this.leaks.judged?.parts ?? 0);
  }

  /** @param {Site} site */
  curveWords(site) {
    return `Least live bytes over time: at most ${humanBytes(this.dense(site).reduce((a, b) => Math.max(a, b), 0))}, last ${humanBytes(this.last(site))}`;
  }

  /** What it had in the last part of the time. @param {Site} site */
  last(site) {
    return site.curve.bytes[site.curve.bytes.length - 1] ?? 0;
  }

  /** @param {Site} site */
  curve(site) {
    const dense = this.dense(site);
    return curvePicture(stepPoints(dense, dense.reduce((a, b) => Math.max(a, b), 0)), this.curveWords(site));
  }

  /**
   * What an open row shows.
   * @param {Site} site
   */
  detail(site) {
    const box = element('div', undefined, 'detail');
    const { judged } = this.leaks;
    const origin = this.leaks.origins[site.origin].name;
    if (judged) {
      box.append(element('p', VERDICT_WORDS[site.verdict][1]), this.plot(site, judged));
    }
    /** @type {[string, string][]} */
    const pairs = [['Left', leftWords(site)], ['Left by', ORIGIN_WORDS[origin] ?? origin]];
    if (site.all && this.part) pairs.splice(0, 1, ['Left', `${leftWords(site)}, of what came ${this.part.words}`], ['In all', leftWords(site.all)]);
    if (judged) {
      pairs.push(['Highest', `${humanBytes(site.highest)} (${exact(site.highest)} bytes) at once`]);
      if (leakRate(site) > 0) pairs.push(['Grew by', `${humanBytes(Math.round(site.rate))} a second, ${humanBytes(Math.round(site.perEvents))} for each 1,000 events`]);
      if (site.score > 0) pairs.push(['Score', `it grew in ${site.score}% of the time since it began`]);
      if (site.garbageBlocks > 0) pairs.push(['Garbage', `${humanBytes(site.garbageBytes)} in ${counted(site.garbageBlocks, 'block')}, which nobody held`]);
    }
    box.append(pairList(pairs));
    for (const [i, stack] of site.stacks.entries()) {
      const head = element('p', `${humanBytes(stack.bytes)} in ${counted(stack.blocks, 'block')} allocated by`, 'stack-head');
      const button = /** @type {HTMLButtonElement} */ (element('button', 'Show in the graph'));
      button.type = 'button';
      button.dataset.stack = String(i);
      button.addEventListener('click', () => this.find(site, stack.node));
      head.append(button);
      box.append(head, frameList(pathOfNode(this.app.model.page, stack.node), LEAK_FRAMES));
    }
    const more = site.stackCount - site.stacks.length;
    if (more > 0) box.append(element('p', `${counted(more, 'more stack')}, each smaller.`));
    return box;
  }

  /**
   * @param {Site} site
   * @param {import('./data_leaks.js').Judging} judged
   */
  plot(site, judged) {
    const dense = this.dense(site);
    const highest = dense.reduce((a, b) => Math.max(a, b), 0);
    // What lived only within parts is none of the least: a scale all the same, not one to a single byte.
    const top = roundTop(Math.max(1, highest || site.highest));
    const length = judged.parts * judged.step;
    const across = timelineTicks(judged.from, judged.from + length, 6).map((at) => ({ at: (at - judged.from) / length, text: duration(at) }));
    const up = [0, 0.5, 1].map((at) => ({ at, text: at === 0 ? '0' : humanBytes(at * top) }));
    const shade = { from: 1 - judged.newest, text: 'The newest part, which says nothing about growth' };
    const picture = axesPicture(stepPoints(dense, top), this.curveWords(site), across, up, shade);
    const figure = element('figure');
    const say = (/** @type {string} */ text) => { caption.textContent = text; };
    const caption = element('figcaption');
    const rest = `The least live bytes in each of ${judged.parts} parts of the time: at most ${humanBytes(highest)}, in the last ${humanBytes(this.last(site))}. Shaded: the newest part, which says nothing about growth.`;
    say(rest);
    picture.addEventListener('pointermove', (event) => {
      const ground = /** @type {SVGGraphicsElement} */ (picture.querySelector('.plot-grid')).getBoundingClientRect();
      const at = Math.floor(((event.clientX - ground.left) / ground.width) * judged.parts);
      if (!(at >= 0 && at < judged.parts)) return say(rest);
      say(`${duration(judged.from + at * judged.step)} to ${duration(judged.from + (at + 1) * judged.step)}: never less than ${humanBytes(dense[at])} (${exact(dense[at])} bytes)`);
    });
    picture.addEventListener('pointerleave', () => say(rest));
    figure.append(picture, caption);
    return figure;
  }

  /**
   * Goes to the site in the graph: zoomed to it on this stack, and found by the search on all.
   * @param {Site} site
   * @param {number} innermost  node of the data
   */
  find(site, innermost) {
    const { app } = this;
    const { model } = app;
    const frame = this.frameOf(site);
    const { name, file, line } = model.frames;
    const at = siteOnStack(model.page, frame, innermost);
    const metric = model.page.metrics.some(({ key }) => key === 'leaked') ? 'leaked' : model.look.metric;
    app.go({ ...ALL, view: 'calls', metric, unit: 'bytes', search: searchFor(name[frame], file[frame], line[frame]), zoom: zoomTo(model.tree, at) });
  }
}

/** @param {{bytes: number, blocks: number}} left */
function leftWords({ bytes, blocks }) {
  return `${humanBytes(bytes)} (${exact(bytes)} bytes) in ${counted(blocks, 'block')}`;
}
