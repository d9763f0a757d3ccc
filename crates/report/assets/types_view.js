// @ts-check
// The view of Python objects by type: how many there were at each census, who holds those that are new. The rows are types.js's.

import { matcher } from './calls.js';
import { toListAddress } from './choices.js';
import { pointNanos } from './course.js';
import { addressedTypes, bytesGrown, censusesWithin, firstTypesChoice, numbersAt, objectsGrown, typeChanges } from './types.js';
import { frameList, pairList, selectBox, showList } from './lists.js';
import { element, part } from './panels.js';
import { axesPicture, curvePicture, instantPoints } from './plot.js';
import { timelineTicks } from './timeline.js';
import { counted, duration, exact, humanBytes, signed } from './words.js';

/**
 * @typedef {import('./main.js').Application} Application
 * @typedef {import('./types.js').TypeChange} TypeChange
 * @typedef {import('./types.js').TypeRow} TypeRow
 */

/** Rows shown at first. */
const TYPE_ROWS = 200;
/** Frames of a stack shown at first. */
const TYPE_FRAMES = 8;

export class TypesView {
  /**
   * @param {Application} app
   * @param {import('./types.js').TypesOf[]} processes
   */
  constructor(app, processes) {
    this.app = app;
    this.processes = processes;
    this.hint = 'A name opens its row: who holds what is new of the type, and where it was allocated.';
    this.place = part('types');
    /** What the list's own choices say, and what is shown: an instant or a window that is chosen in the plot goes before them. */
    this.listed = this.first(0);
    this.chosen = this.listed;
    /** Which censuses that means, in a sentence; "" without. */
    this.meant = '';
    /** Of which process the rows are. */
    this.shown = 0;
    /** @type {Set<string>} */
    this.opened = new Set();
    this.tools = element('div', undefined, 'list-tools');
    this.list = element('div');
    this.place.append(this.tools, this.list);
  }

  get process() {
    return this.processes[this.chosen.process];
  }

  /** What is shown of a process before anything is chosen. @param {number} process */
  first(process) {
    return firstTypesChoice(this.processes, process, this.app.model.page.span);
  }

  /** Before anything is shown. */
  look() {
    const { look, chosen: { span }, page } = this.app.model;
    const { course } = page;
    this.listed = addressedTypes(look.list, this.processes, page.span);
    this.chosen = this.listed;
    this.meant = '';
    if (span === null || course === null) {
      if (page.span === null) return;
      const { from, to, sentence } = censusesWithin(this.process.censuses, page.span.from, page.span.to, this.app.model.chosen.spanWords());
      // Two that are chosen by hand are no longer those of the page's window.
      if (from === this.chosen.from && to === this.chosen.to) this.meant = sentence;
      return;
    }
    const [from, to] = 'point' in span ? [pointNanos(course, span.point), pointNanos(course, span.point)] : [course.nanos[span.from], course.nanos[span.to]];
    const { sentence, ...censuses } = censusesWithin(this.process.censuses, from / 1e9, to / 1e9, this.app.model.chosen.spanWords());
    this.chosen = { ...this.listed, ...censuses };
    this.meant = sentence;
  }

  /** What stands at the top of the page. */
  headline() {
    this.look();
    const { censuses } = this.process;
    const { objects, bytes, seconds } = censuses[this.chosen.to];
    return { number: humanBytes(bytes), words: `in ${counted(objects, 'Python object')}, ${duration(seconds)} after the start` };
  }

  /** The rows that are listed. @returns {TypeChange[]} */
  changes() {
    /** @type {((name: string) => boolean) | null} */
    let found = null;
    try {
      found = matcher(this.app.model.look.search);
    } catch {
      // The model says what is wrong with it.
    }
    return typeChanges(this.process, this.chosen, found ?? undefined);
  }

  /** What the search found, in words. */
  searchResult() {
    return this.app.model.look.search ? counted(this.changes().length, 'type') : '';
  }

  /** The types that are listed, to be saved or copied. @returns {import('./records.js').Records} */
  records() {
    return {
      columns: ['type', 'objects', 'bytes', 'objects_before', 'bytes_before', 'steady'],
      rows: this.changes().map(({ type, before, after }) => [type.name, after.objects, after.bytes, before.objects, before.bytes, Number(type.steady)]),
    };
  }

  /** After the model has changed. */
  show() {
    this.look();
    if (this.chosen.process !== this.shown) this.opened.clear();
    this.shown = this.chosen.process;
    this.showTools();
    const { chosen } = this;
    const several = this.process.censuses.length > 1;
    /** @type {import('./lists.js').Column<TypeChange>[]} */
    const columns = [
      { title: 'Objects', sort: 'objects', number: true, cell: ({ after }) => exact(after.objects) },
      { title: 'Bytes', sort: 'bytes', number: true, cell: ({ after }) => humanBytes(after.bytes) },
    ];
    if (several) {
      columns.push(
        { title: 'Grew by', sort: 'byNumber', number: true, hint: 'Objects more than at the first of the two censuses', cell: (change) => signed(objectsGrown(change), exact) },
        { title: 'Bytes', sort: 'byGrowth', number: true, hint: 'Bytes more than at the first of the two censuses', cell: (change) => signed(bytesGrown(change), humanBytes) },
        { title: 'Steady', sort: 'growth', hint: 'Never fewer, and more in both halves of the run: those first, then by growth', cell: ({ type }) => (type.steady ? element('span', 'steady', 'verdict is-leak') : '') },
        { title: 'Objects over time', cell: ({ type }) => this.curve(type) },
      );
    }
    columns.push({ title: 'Type', cell: () => '' });
    showList(this.list, {
      label: 'Python objects by type',
      columns,
      rows: this.changes(),
      key: ({ type }) => `${chosen.process}.${type.index}`,
      sort: chosen.sort,
      sorted: (sort) => this.choose({ sort }),
      named: ({ type }) => ({ name: type.name, place: type.fresh && type.fresh.count > 0 ? `${exact(type.fresh.count)} new` : '' }),
      opened: this.opened,
      detail: (change) => this.detail(change),
      most: TYPE_ROWS,
      none: 'No type is of this kind.',
    });
  }

  /** @param {Partial<import('./types.js').TypesChoice>} change */
  choose(change) {
    // Two censuses that are chosen by hand are no longer those of the window.
    const byHand = change.process === undefined && (change.from !== undefined || change.to !== undefined);
    const chosen = { ...(byHand ? this.chosen : this.listed), ...change };
    // Another process has other censuses; which one it is, is said by its place.
    const list = toListAddress(chosen, { ...this.first(chosen.process), process: 0 });
    this.app.go(byHand ? { list, from: '', to: '' } : { list });
  }

  showTools() {
    const { chosen, processes, process } = this;
    const active = /** @type {HTMLElement | null} */ (document.activeElement);
    const held = active && this.tools.contains(active) ? active.dataset.focus : undefined;
    const census = process.censuses.map(({ seconds, reason }, i) => ({ value: String(i), text: `${i + 1}: ${duration(seconds)} (${reason})` }));
    /** @type {HTMLElement[]} */
    const parts = [];
    if (processes.length > 1) {
      parts.push(selectBox('Process', processes.map(({ pid, types }, i) => ({ value: String(i), text: `${pid} (${counted(types.length, 'type')})` })), String(chosen.process), (place) => {
        this.choose(this.first(Number(place)));
      }));
    }
    if (census.length > 1) {
      parts.push(
        selectBox('From census', census, String(chosen.from), (place) => this.choose({ from: Number(place) })),
        selectBox('to', census, String(chosen.to), (place) => this.choose({ to: Number(place) })),
        selectBox('Show', [
          { value: '', text: 'all types' },
          { value: 'grew', text: 'those that grew' },
          { value: 'steady', text: 'those that grow steadily' },
          { value: 'new', text: 'those with known holders' },
        ], chosen.only, (only) => this.choose({ only })),
      );
    }
    parts.push(...this.sentences().map((sentence) => element('p', sentence)));
    this.tools.replaceChildren(...parts);
    for (const again of this.tools.querySelectorAll('select')) if (again.dataset.focus === held) again.focus();
  }

  /** What there is to know of the censuses. */
  sentences() {
    const { censuses, leftOut } = this.process;
    const { cost, ownBytes } = censuses[this.chosen.to];
    const which = this.chosen.from === this.chosen.to ? 'The' : 'The second';
    const sentences = [`${which} census took ${duration(cost)} and ${humanBytes(ownBytes)} of the tracer’s memory.`];
    if (censuses.length === 1) sentences[0] = `There was one census, which took ${duration(cost)}; growth needs two.`;
    if (this.meant) sentences.unshift(this.meant);
    if (censuses.some(({ cut }) => cut)) sentences.push('A census was cut: the program had more objects.');
    if (leftOut > 0) sentences.push(`${counted(leftOut, 'more type')} not in this page: those that grew least.`);
    return sentences;
  }

  /** A type's numbers at all censuses. @param {TypeRow} type */
  objectsOf(type) {
    return this.process.censuses.map((_, census) => numbersAt(type, census).objects);
  }

  get seconds() {
    return this.process.censuses.map(({ seconds }) => seconds);
  }

  /** @param {TypeRow} type */
  curve(type) {
    const objects = this.objectsOf(type);
    const top = objects.reduce((a, b) => Math.max(a, b), 0);
    return curvePicture(instantPoints(this.seconds, objects, top), `Objects over time: first ${exact(objects[0])}, last ${exact(objects[objects.length - 1])}`);
  }

  /**
   * What an open row shows.
   * @param {TypeChange} change
   */
  detail(change) {
    const { type, before, after } = change;
    const { censuses } = this.process;
    const box = element('div', undefined, 'detail');
    if (censuses.length > 1) {
      box.append(this.plot(type));
      const seconds = censuses[this.chosen.to].seconds - censuses[this.chosen.from].seconds;
      const rate = seconds > 0 ? `, ${signed(bytesGrown(change) / seconds, humanBytes)} a second` : '';
      box.append(pairList([
        ['First', `${counted(before.objects, 'object')} of ${humanBytes(before.bytes)} (${exact(before.bytes)} bytes)`],
        ['Second', `${counted(after.objects, 'object')} of ${humanBytes(after.bytes)} (${exact(after.bytes)} bytes)`],
        ['Grew by', `${signed(objectsGrown(change), (n) => counted(n, 'object'))}, ${signed(bytesGrown(change), humanBytes)}${rate}`],
      ]));
    }
    const { fresh } = type;
    if (!fresh) {
      box.append(element('p', 'Of this type no new object was followed.'));
      return box;
    }
    const when = duration(censuses[fresh.census].seconds);
    const what = fresh.count > 0
      ? `${counted(fresh.count, 'object')} new at the census after ${when}. How some of them are held, the object first:`
      : `No new object at the census after ${when}, but larger ones. How one of the largest is held, the object first:`;
    box.append(element('p', fresh.holders.length > 0 ? what : what.replace(/\. How .*$/, '.')));
    for (const { rooted, steps } of fresh.holders) {
      const way = element('p', undefined, 'way');
      steps.forEach((step, i) => {
        if (i > 0) way.append(element('span', ' ← ', 'arrow'));
        way.append(element('code', step));
      });
      if (!rooted) way.append(element('span', ' ← ', 'arrow'), element('em', 'nothing that Python shows'));
      box.append(way);
    }
    for (const { count, frames } of fresh.stacks) {
      const of = fresh.lookedUp < fresh.count ? ` of ${exact(fresh.lookedUp)} looked up` : '';
      box.append(element('p', `${exact(count)}${of} allocated by`, 'stack-head'));
      box.append(frames.length > 0 ? frameList(frames, TYPE_FRAMES) : element('p', '(no frame)'));
    }
    return box;
  }

  /** @param {TypeRow} type */
  plot(type) {
    const { seconds } = this;
    const objects = this.objectsOf(type);
    const most = objects.reduce((a, b) => Math.max(a, b), 1);
    const top = roundCount(most);
    const [from, to] = [seconds[0], seconds[seconds.length - 1]];
    const across = to > from ? timelineTicks(from, to, 6).map((at) => ({ at: (at - from) / (to - from), text: duration(at) })) : [];
    const up = [0, 0.5, 1].map((at) => ({ at, text: exact(at * top) }));
    const words = `Objects at each census: ${objects.map(exact).slice(-12).join(', ')}${objects.length > 12 ? ' (the last 12)' : ''}`;
    const figure = element('figure');
    figure.append(axesPicture(instantPoints(seconds, objects, top), words, across, up), element('figcaption', words));
    return figure;
  }
}

/**
 * The next even number of 1, 2, 4, 6, 8 times a power of ten.
 * @param {number} count  at least 1
 */
function roundCount(count) {
  const ten = 10 ** Math.floor(Math.log10(count));
  const step = [1, 2, 4, 6, 8, 10].find((times) => times * ten >= count) ?? 10;
  return Math.max(2, step * ten);
}
