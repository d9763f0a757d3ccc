// @ts-check
// What is looked at ↔ the part of the page's address behind "#", so that it can be linked to. Pure.

/**
 * @typedef {{metric: string, unit: 'bytes' | 'blocks', view: string, byLine: boolean, interpreter: boolean, byPackage: boolean,
 *   search: string, zoom: number[]}} Look
 *   `view`: "calls", "inverted", "table" and what else there is. `byPackage`: whether packages give the colours. `interpreter`: whether interpreter frames are shown. `zoom`: frames from below the root.
 */

/**
 * What is looked at when the address says nothing.
 * @param {string} metric  key
 * @param {boolean} [inverted]
 * @returns {Look}
 */
export function firstLook(metric, inverted = false) {
  const view = inverted ? 'inverted' : 'calls';
  return { metric, unit: 'bytes', view, byLine: true, interpreter: false, byPackage: false, search: '', zoom: [] };
}

/**
 * Only what differs from the first look is written.
 * @param {Look} look
 * @param {Look} first
 * @returns {string} begins with "#"
 */
export function toAddress(look, first) {
  const parts = [];
  if (look.metric !== first.metric) parts.push(`metric=${encodeURIComponent(look.metric)}`);
  if (look.unit === 'blocks') parts.push('unit=blocks');
  if (look.view !== first.view) parts.push(`view=${look.view}`);
  if (!look.byLine) parts.push('lines=merged');
  if (look.interpreter) parts.push('interpreter=shown');
  if (look.byPackage) parts.push('colours=packages');
  if (look.search) parts.push(`search=${encodeURIComponent(look.search)}`);
  if (look.zoom.length > 0) parts.push(`zoom=${look.zoom.join('.')}`);
  return `#${parts.join('&')}`;
}

/**
 * Anything that makes no sense is passed over: an address is typed, cut and pasted.
 * @param {string} address  with or without "#"
 * @param {Look} first
 * @param {string[]} metrics  the keys there are
 * @param {string[]} views  the views there are
 * @returns {Look}
 */
export function fromAddress(address, first, metrics, views) {
  const look = { ...first };
  for (const part of address.replace(/^#/, '').split('&')) {
    const [name, ...rest] = part.split('=');
    let value = rest.join('=');
    try {
      value = decodeURIComponent(value);
    } catch {
      continue;
    }
    if (name === 'metric' && metrics.includes(value)) look.metric = value;
    else if (name === 'unit') look.unit = value === 'blocks' ? 'blocks' : 'bytes';
    else if (name === 'view' && views.includes(value)) look.view = value;
    else if (name === 'lines') look.byLine = value !== 'merged';
    else if (name === 'interpreter') look.interpreter = value === 'shown';
    else if (name === 'colours') look.byPackage = value === 'packages';
    else if (name === 'search') look.search = value;
    else if (name === 'zoom' && /^\d+(\.\d+)*$/.test(value)) look.zoom = value.split('.').map(Number);
  }
  return look;
}
