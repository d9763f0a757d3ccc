// @ts-check
// The parts of the page around the graph: switches, table, tooltip, legend, information dialog.
// They are given what to show and whom to tell; all text goes in by `textContent`.

import { KINDS } from './data.js';
import { changeColor, kindColor, packageColor } from './colors.js';
import { fileAndLine, percent, signed } from './words.js';

/** @typedef {import('./model.js').Model} Model */

/** Packages in the legend; more do not fit. */
const LEGEND_PACKAGES = 8;

/** Rows of the table shown at first. */
const TABLE_ROWS = 200;

/**
 * @param {string} tag
 * @param {string} [text]
 * @param {string} [className]
 * @returns {HTMLElement}
 */
export function element(tag, text, className) {
  const made = document.createElement(tag);
  if (text !== undefined) made.textContent = text;
  if (className) made.className = className;
  return made;
}

/**
 * A row of buttons of which one is chosen.
 * @param {HTMLElement} group
 * @param {{value: string, text: string, title?: string}[]} options
 * @param {(value: string) => void} choose
 * @returns {(value: string) => void} marks a value as chosen
 */
export function choice(group, options, choose) {
  const buttons = options.map(({ value, text, title }) => {
    const button = /** @type {HTMLButtonElement} */ (element('button', text));
    button.type = 'button';
    button.dataset.value = value;
    button.setAttribute('role', 'radio');
    if (title) button.title = title;
    button.addEventListener('click', () => choose(value));
    return button;
  });
  group.replaceChildren(...buttons);
  // As in any group of radio buttons: one stop for the tab key, arrows inside.
  group.addEventListener('keydown', (event) => {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    const at = buttons.findIndex((button) => button === document.activeElement);
    const next = buttons[(at + step + buttons.length) % buttons.length];
    next.focus();
    next.click();
  });
  return (value) => {
    for (const [i, button] of buttons.entries()) {
      const chosen = options[i].value === value;
      button.setAttribute('aria-checked', String(chosen));
      button.tabIndex = chosen ? 0 : -1;
    }
  };
}

/**
 * @param {HTMLElement} tooltip
 * @param {import('./model.js').Description} description
 * @param {number} x  in the window
 * @param {number} y
 */
export function showTooltip(tooltip, description, x, y) {
  const list = element('dl');
  for (const { term, text, tone } of description.lines) list.append(element('dt', term), element('dd', text, tone));
  tooltip.replaceChildren(element('div', description.name, 'name'));
  if (description.place) tooltip.append(element('div', description.place, 'place'));
  if (description.source) tooltip.append(element('div', description.source, 'source'));
  tooltip.append(list);
  tooltip.hidden = false;
  const { width, height } = tooltip.getBoundingClientRect();
  const left = Math.max(8, Math.min(x + 14, innerWidth - width - 8));
  const below = y + 18 + height <= innerHeight - 8;
  tooltip.style.transform = `translate(${left}px, ${below ? y + 18 : Math.max(8, y - height - 12)}px)`;
}

/**
 * @param {HTMLElement} legend
 * @param {Model} model
 */
export function showLegend(legend, model) {
  const item = (/** @type {string} */ color, /** @type {string} */ text, wide = false) => {
    const swatch = element('span', undefined, wide ? 'swatch wide' : 'swatch');
    swatch.style.background = color;
    const li = element('li', text);
    li.prepend(swatch);
    return li;
  };
  if (model.difference) {
    const steps = [-1, -0.5, 0, 0.5, 1].map((value) => changeColor(value, model.dark));
    const scale = item(`linear-gradient(90deg, ${steps.join(', ')})`, 'grew', true);
    scale.prepend('shrank');
    legend.replaceChildren(scale);
    return;
  }
  if (model.look.byPackage) {
    legend.replaceChildren(...model.packages(LEGEND_PACKAGES).map((name) => item(packageColor(name, model.dark), name)));
    return;
  }
  const present = new Set();
  for (let i = 1; i < model.tree.size; i++) present.add(model.frames.kind[model.tree.frame[i]]);
  legend.replaceChildren(
    ...KINDS.flatMap((name, kind) => (present.has(kind) ? [item(kindColor(kind, '', model.dark), name)] : [])),
  );
}

/**
 * @param {HTMLElement} list  a dl
 * @param {[string, string][]} facts
 */
export function showFacts(list, facts) {
  list.replaceChildren(...facts.flatMap(([label, value]) => [element('dt', label), element('dd', value)]));
}

/**
 * The table of functions: what each allocated itself and with all it called.
 * @param {HTMLElement} place
 * @param {Model} model
 * @param {{sort: 'own' | 'total', all: boolean}} state
 * @param {{sort: (by: 'own' | 'total') => void, all: () => void, find: (text: string) => void}} tell
 */
export function showTable(place, model, state, tell) {
  const weight = (/** @type {import('./model.js').Values} */ values) => {
    const [before, after] = model.inUnit(values);
    return model.difference ? Math.abs(after - before) : after;
  };
  const rows = model.tableRows().sort((a, b) => weight(b[state.sort]) - weight(a[state.sort]) || a.frame - b.frame);
  const whole = model.inUnit(model.whole)[1];
  const cells = (/** @type {import('./model.js').Values} */ values) => {
    const [before, after] = model.inUnit(values);
    const second = model.difference ? signed(after - before, (n) => model.amount(n)) : percent(after, whole);
    return [element('td', model.amount(after), 'number'), element('td', second, 'number share')];
  };
  const body = element('tbody');
  for (const { frame, own, total } of rows.slice(0, state.all ? undefined : TABLE_ROWS)) {
    const name = /** @type {HTMLButtonElement} */ (element('button', model.frames.name[frame]));
    name.type = 'button';
    name.title = 'Find it in the graph';
    name.addEventListener('click', () => tell.find(model.frames.name[frame]));
    const cell = element('td');
    cell.append(name);
    const where = fileAndLine(model.frames.file[frame], model.look.byLine ? model.frames.line[frame] : 0);
    const file = element('td', where.length > 56 ? `…${where.slice(-55)}` : where, 'file');
    file.title = where;
    const row = element('tr');
    row.append(cell, file, ...cells(own), ...cells(total));
    body.append(row);
  }
  const table = element('table');
  table.append(tableHead(state.sort, model.difference, tell.sort), body);
  place.replaceChildren(table);
  if (rows.length === 0) place.append(element('p', 'No function matches.', 'more'));
  if (rows.length > TABLE_ROWS && !state.all) {
    const more = element('p', undefined, 'more');
    const button = element('button', `Show all ${rows.length} functions`);
    button.addEventListener('click', tell.all);
    more.append(button);
    place.append(more);
  }
}

/**
 * @param {'own' | 'total'} sort
 * @param {boolean} difference
 * @param {(by: 'own' | 'total') => void} choose
 */
function tableHead(sort, difference, choose) {
  const row = element('tr');
  row.append(headCell('Function'), headCell('Where'));
  for (const [by, text, title] of /** @type {['own' | 'total', string, string][]} */ ([
    ['own', 'Itself', 'What the function asked for itself'],
    ['total', 'With callees', 'What the function and all it called asked for'],
  ])) {
    // A difference is sorted by how much it is, whatever its sign.
    const cells = [text, difference ? 'Change' : 'Share'].map((name, i) => {
      if (i !== Number(difference)) return headCell(name);
      const cell = headCell(sort === by ? `${name} ↓` : name, () => choose(by));
      if (sort === by) cell.setAttribute('aria-sort', 'descending');
      return cell;
    });
    for (const cell of cells) {
      cell.className = 'number';
      cell.title = title;
    }
    row.append(...cells);
  }
  const head = element('thead');
  head.append(row);
  return head;
}

/**
 * @param {string} text
 * @param {() => void} [press]
 * @returns {HTMLElement}
 */
function headCell(text, press) {
  const cell = element('th');
  cell.setAttribute('scope', 'col');
  if (!press) {
    cell.append(element('span', text));
    return cell;
  }
  const button = element('button', text);
  button.addEventListener('click', press);
  cell.append(button);
  return cell;
}
