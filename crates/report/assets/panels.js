// @ts-check
// The parts of the page around its views: switches, tooltip, legend, information dialog.
// They are given what to show and whom to tell; all text goes in by `textContent`.

import { KINDS } from './data.js';
import { changeColor, kindColor, packageColor, shareColor } from './colors.js';

/** @typedef {import('./model.js').Model} Model */

/** Packages in the legend; more do not fit. */
const LEGEND_PACKAGES = 8;

/**
 * @param {string} id
 * @returns {any} the element of the template
 */
export function part(id) {
  const found = document.getElementById(id);
  if (!found) throw new Error(`The page has no part "${id}".`);
  return found;
}

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
 * Keeps a choice of the reader for other pages.
 * @param {string} name
 * @param {string} value
 */
export function remember(name, value) {
  try {
    localStorage.setItem(`heaptide-${name}`, value);
  } catch {
    // Storage may be forbidden; the choice then holds until the page is left.
  }
}

/**
 * @param {string} name
 * @returns {string | null}
 */
export function recall(name) {
  try {
    return localStorage.getItem(`heaptide-${name}`);
  } catch {
    // As above.
    return null;
  }
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
  group.onkeydown = (event) => {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    const at = buttons.findIndex((button) => button === document.activeElement);
    const next = buttons[(at + step + buttons.length) % buttons.length];
    next.focus();
    next.click();
  };
  return (value) => {
    for (const [i, button] of buttons.entries()) {
      const chosen = options[i].value === value;
      button.setAttribute('aria-checked', String(chosen));
      button.tabIndex = chosen ? 0 : -1;
    }
  };
}

/**
 * A sheet that opens below its button: closed by Escape, by a press outside of it and by leaving it with the tab key.
 * @param {HTMLDetailsElement} menu
 */
export function closesByItself(menu) {
  const close = () => { menu.open = false; };
  menu.addEventListener('toggle', () => {
    const sheet = /** @type {HTMLElement | null} */ (menu.querySelector('.sheet'));
    if (!menu.open || !sheet) return;
    // As far to the left as it needs to be all in the window.
    sheet.style.left = '0';
    sheet.style.left = `${Math.min(0, document.documentElement.clientWidth - 12 - sheet.getBoundingClientRect().right)}px`;
  });
  menu.addEventListener('keydown', (event) => {
    if (event.key !== 'Escape' || !menu.open) return;
    // Not also one step back in the graph.
    event.stopPropagation();
    event.preventDefault();
    close();
    menu.querySelector('summary')?.focus();
  });
  menu.addEventListener('focusout', (event) => {
    if (event.relatedTarget instanceof Node && !menu.contains(event.relatedTarget)) close();
  });
  document.addEventListener('pointerdown', (event) => {
    if (event.target instanceof Node && !menu.contains(event.target)) close();
  });
}

/**
 * @param {HTMLElement} tooltip
 * @param {import('./described.js').Description} description
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
  const scale = (/** @type {string} */ from, /** @type {string} */ to, /** @type {string[]} */ steps) => {
    const bar = item(`linear-gradient(90deg, ${steps.join(', ')})`, to, true);
    bar.prepend(from);
    legend.replaceChildren(bar);
  };
  const { colours } = model.look;
  if ((colours === 'growth' && model.canGrow) || model.metric.key === 'growth') {
    const steps = /** @type {[number, string][]} */ ([[-1, 'gone'], [-0.5, 'half'], [0, 'as before'], [0.5, 'twice'], [1, 'new']]);
    legend.replaceChildren(...steps.map(([value, words]) => item(changeColor(value, model.dark), words)));
    return;
  }
  if (colours === 'share') {
    scale('0.1%', 'all', [0.001, 0.01, 0.1, 1].map((share) => shareColor(share, model.dark)));
    return;
  }
  if (colours === 'packages') {
    legend.replaceChildren(...model.packages(LEGEND_PACKAGES).map((name) => item(packageColor(name, model.dark), name)));
    return;
  }
  const present = model.kinds;
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
