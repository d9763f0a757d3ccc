// The data inside a page's file, taken out and put in again: the only place of these tests that knows how they are written.

import { gunzipSync, gzipSync } from 'node:zlib';

const ELEMENT = /(<script\b[^>]*\bid="data"[^>]*>)([^]*?)(<\/script>|$)/;

/**
 * @param {string} html  a whole page
 * @returns {string} the JSON
 */
export function dataOf(html) {
  const [, , written] = ELEMENT.exec(html);
  return written.trimStart().startsWith('{') ? written : gunzipSync(Buffer.from(written, 'base64')).toString();
}

/**
 * The page with other data, written as they were.
 * @param {string} html
 * @param {string} json  anything
 * @returns {string}
 */
export function withData(html, json) {
  return html.replace(ELEMENT, (_, begin, written, end) => {
    const other = written.trimStart().startsWith('{') ? json.replaceAll('<', '\\u003c') : gzipSync(json).toString('base64');
    return begin + other + end;
  });
}
