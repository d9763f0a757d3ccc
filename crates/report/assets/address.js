// @ts-check
// What is looked at ↔ the part of the page's address behind "#", so that it can be linked to. Pure.

/**
 * @typedef {{metric: string, unit: 'bytes' | 'blocks', inverted: boolean, byLine: boolean, interpreter: boolean, byPackage: boolean,
 *   table: boolean, search: string, zoom: number[]}} Look
 *   `byPackage`: whether packages give the colours. `interpreter`: whether interpreter frames are shown. `zoom`: frames from below the root.
 */

/**
 * What is looked at when the address says nothing.
 * @param {string} metric  key
 * @param {boolean} [inverted]
 * @returns {Look}
 */
export function firstLook(metric, inverted = false) {
  return { metric, unit: 'bytes', inverted, byLine: true, interpreter: false, byPackage: false, table: false, search: '', zoom: [] };
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
  if (look.table) parts.push('view=table');
  else if (look.inverted !== first.inverted) parts.push(look.inverted ? 'view=inverted' : 'view=calls');
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
 * @returns {Look}
 */
export function fromAddress(address, first, metrics) {
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
    else if (name === 'view' && value === 'table') look.table = true;
    else if (name === 'view' && ['calls', 'inverted'].includes(value)) look.inverted = value === 'inverted';
    else if (name === 'lines') look.byLine = value !== 'merged';
    else if (name === 'interpreter') look.interpreter = value === 'shown';
    else if (name === 'colours') look.byPackage = value === 'packages';
    else if (name === 'search') look.search = value;
    else if (name === 'zoom' && /^\d+(\.\d+)*$/.test(value)) look.zoom = value.split('.').map(Number);
  }
  return look;
}
