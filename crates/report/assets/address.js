// @ts-check
// What is looked at ↔ the part of the page's address behind "#", so that it can be linked to. Pure.

/**
 * @typedef {{metric: string, unit: 'bytes' | 'blocks', inverted: boolean, byLine: boolean, interpreter: boolean,
 *   table: boolean, search: string, zoom: number[]}} Look
 *   `interpreter`: whether interpreter frames are shown. `zoom`: frames from below the root.
 */

/**
 * What is looked at when the address says nothing.
 * @param {string} metric  key
 * @returns {Look}
 */
export function firstLook(metric) {
  return { metric, unit: 'bytes', inverted: false, byLine: true, interpreter: false, table: false, search: '', zoom: [] };
}

/**
 * Only what differs from the first look is written.
 * @param {Look} look
 * @param {string} metric  of the first look
 * @returns {string} begins with "#"
 */
export function toAddress(look, metric) {
  const parts = [];
  if (look.metric !== metric) parts.push(`metric=${encodeURIComponent(look.metric)}`);
  if (look.unit === 'blocks') parts.push('unit=blocks');
  if (look.table) parts.push('view=table');
  else if (look.inverted) parts.push('view=inverted');
  if (!look.byLine) parts.push('lines=merged');
  if (look.interpreter) parts.push('interpreter=shown');
  if (look.search) parts.push(`search=${encodeURIComponent(look.search)}`);
  if (look.zoom.length > 0) parts.push(`zoom=${look.zoom.join('.')}`);
  return `#${parts.join('&')}`;
}

/**
 * Anything that makes no sense is passed over: an address is typed, cut and pasted.
 * @param {string} address  with or without "#"
 * @param {string} metric  of the first look
 * @param {string[]} metrics  the keys there are
 * @returns {Look}
 */
export function fromAddress(address, metric, metrics) {
  const look = firstLook(metric);
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
    else if (name === 'view') [look.table, look.inverted] = [value === 'table', value === 'inverted'];
    else if (name === 'lines') look.byLine = value !== 'merged';
    else if (name === 'interpreter') look.interpreter = value === 'shown';
    else if (name === 'search') look.search = value;
    else if (name === 'zoom' && /^\d+(\.\d+)*$/.test(value)) look.zoom = value.split('.').map(Number);
  }
  return look;
}
