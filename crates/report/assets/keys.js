// @ts-check
// What the keys mean, wherever in the page they are pressed. Views and the plot over time have keys of their own.

import { callPath } from './described.js';
import { part } from './panels.js';

/** @typedef {import('./main.js').Application} Application */

/** @param {Application} app */
export function listenToKeys(app) {
  document.addEventListener('keydown', (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || part('info').open) return;
    const typing = event.target === app.tools.searchBox;
    // Another field or list has its own use for keys.
    if (!typing && event.target instanceof Element && event.target.matches('input:not([type="checkbox"]), select')) return;
    if (typing ? typedKey(app, event.key, event.shiftKey) : pageKey(app, event.key)) event.preventDefault();
  });
}

/** @param {Application} app @param {string} key @param {boolean} shift @returns {boolean} whether the key meant something */
function typedKey(app, key, shift) {
  if (key === 'Escape' && app.tools.searchBox.value !== '') app.go({ search: '' }, false);
  else if (key === 'Enter' && app.tools.searchBox.value !== '') app.step(shift ? -1 : 1);
  else if (key === 'Escape' || key === 'Enter' || key === 'ArrowDown') (app.view.focused ?? app.view.place).focus();
  else return false;
  return true;
}

/** @param {Application} app @param {string} key @returns {boolean} */
function pageKey(app, key) {
  switch (key) {
    case '/': app.tools.searchBox.focus(); app.tools.searchBox.select(); return true;
    case 'Escape': app.back(); return true;
    case '0': app.go({ zoom: [] }); return true;
    case 'r': case 'R': app.go({ flames: !app.model.look.flames }); return true;
    case 'i': case 'I': toggleView(app, 'inverted'); return true;
    case 't': case 'T': toggleView(app, 'table'); return true;
    case 'o': case 'O': toggleView(app, 'tree'); return true;
    case 'l': case 'L': toggleView(app, 'leaks'); return true;
    case 'y': case 'Y': toggleView(app, 'types'); return true;
    case 'g': case 'G': toggleView(app, 'changes'); return true;
    case 'c': case 'C': copyPath(app); return true;
    case 'd': case 'D': app.side.toggle(); return true;
    case 'z': case 'Z': case '+': case '-': return app.time.zoomKey(key);
    case '?': part('info').showModal(); return true;
    default: return false;
  }
}

/** To this view if the page has it, and from it back to the callees. @param {Application} app @param {string} view */
function toggleView(app, view) {
  if (!(view in app.views)) return;
  app.go({ view: app.model.look.view === view ? 'calls' : view });
}

/** @param {Application} app */
async function copyPath(app) {
  const id = app.graph.hovered > 0 ? app.graph.hovered : app.selected;
  if (id <= 0) return;
  try {
    await navigator.clipboard.writeText(callPath(app.model, id));
    part('details').textContent = 'The call path is copied.';
  } catch {
    part('details').textContent = 'The browser did not allow copying.';
  }
}
