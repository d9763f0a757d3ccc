// Damaged pages in a real browser: cut anywhere, characters changed, data that contradict themselves. Each shows what is wrong in a
// sentence, or works; none is blank.
//
//     PAGE=/path/to/page.html node --test damaged.test.js
//
// PAGE is any page written by heaptide; CHROMIUM is the browser (/usr/bin/chromium). Without PAGE or the browser the tests
// are skipped and say so.

import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { after } from 'node:test';
import { pathToFileURL } from 'node:url';
import { newPage, noBrowser, useBrowser } from './browser.js';
import { chance, damage } from './chance.js';
import { dataOf, withData } from './encoding.js';

const file = process.env.PAGE;
const skip = !file ? 'PAGE is not set' : noBrowser;
const whole = skip ? '' : readFileSync(file, 'utf8');
const directory = mkdtempSync(join(tmpdir(), 'heaptide-damaged-'));
const check = (name, body) => test(name, { skip, timeout: 600_000 }, body);

useBrowser(skip);
after(() => rmSync(directory, { recursive: true }));

/** What a reader sees of a page: "works", or the sentence that says what is wrong, or what is there instead. */
async function seen(page, html) {
  const path = join(directory, 'page.html');
  writeFileSync(path, html);
  await page.goto('about:blank');
  await page.goto(pathToFileURL(path).href);
  // Scripts run when all is parsed, which is before `goto` ends; a page may take its time to read data after that.
  return page.evaluate(async () => {
    const look = () => {
      const failure = document.querySelector('.failure');
      // Before the paragraph with these words has been read a style says them.
      const { content } = getComputedStyle(document.body, '::before');
      const says = content !== 'none' ? content.slice(1, -1) : failure?.checkVisibility() ? failure.textContent.trim() : '';
      if (document.getElementById('page')?.checkVisibility() && document.getElementById('total')?.textContent) return says || 'works';
      return says;
    };
    // Without a script there is nothing to wait for.
    const longest = document.querySelector('script') ? 800 : 0;
    for (let waited = 0; waited < longest && (look() === '' || look().startsWith('Reading')); waited += 20) {
      await new Promise((done) => { setTimeout(done, 20); });
    }
    return look() || `blank: ${document.body?.innerText.slice(0, 200)}`;
  });
}

const SAYS = /^(This flame graph cannot be shown\. \S.*\.\)?$|Reading the data… If these words stay, the file is cut short or damaged)/s;

/** All of these are told or work; gives how often each. */
async function all(pages) {
  const { page } = await newPage();
  const [faults, count] = [[], { works: 0, told: 0 }];
  for (const [what, html] of pages) {
    const outcome = await seen(page, html);
    if (outcome === 'works') count.works += 1;
    else if (SAYS.test(outcome)) count.told += 1;
    else faults.push(`${what}: ${outcome}`);
  }
  await page.close();
  assert.deepEqual(faults, []);
  return count;
}

check('cut short anywhere behind its first kilobyte', async () => {
  const by = chance(7);
  const styled = whole.indexOf('</style>') + '</style>'.length;
  assert.ok(styled < 1024, `the first style ends at ${styled}`);
  const script = whole.indexOf('<script type="module">');
  const data = whole.indexOf('id="data"');
  const places = [data - 40, data + 12, data + 13, data + 500, whole.lastIndexOf('</script>'), whole.lastIndexOf('</script>') - 1];
  // All of the head, and within and around each tag of what comes before the words.
  const words = whole.indexOf('</p>', whole.indexOf('id="failure"'));
  for (let at = styled; at < whole.indexOf('</head>'); at += 500) places.push(at);
  for (let at = whole.indexOf('</style>', styled) - 1; at < words + 40; at += 7) places.push(at);
  // In what comes before the data, which is the smaller part of a large page, and in these.
  for (let i = 0; i < 15; i++) places.push(words + by.number(script - words), script + by.number(data - script), data + 14 + by.number(whole.length - data - 60));
  const { told, works } = await all(places.map((at) => [`cut at ${at} of ${whole.length}`, whole.slice(0, at)]));
  assert.ok(told >= 250, `${told} told, ${works} work`);
  // Without its last tags it has all of its data; so it may have without one character more, which only fills up Base64.
  assert.ok(works === 1 || works === 2, `${works} work`);
});

check('characters changed anywhere', async () => {
  const by = chance(8);
  const pages = Array.from({ length: 60 }, (_, i) => {
    const at = by.number(i % 2 ? whole.length : whole.indexOf('id="data"'));
    return [`character ${at} changed`, whole.slice(0, at) + String.fromCharCode(whole.charCodeAt(at) ^ (1 << by.number(7))) + whole.slice(at + 1)];
  });
  const { told, works } = await all(pages);
  assert.ok(told > 5 && works > 0, `${told} told, ${works} work`);
});

check('data that are something else', async () => {
  const by = chance(9);
  const json = dataOf(whole);
  const pages = [['no data', ''], ['not JSON', 'x'], ['null', 'null'], ['a list', '[]'], ['nothing in it', '{}']].map(([what, text]) => [what, withData(whole, text)]);
  for (let i = 0; i < 60; i++) {
    const value = JSON.parse(json);
    const what = damage(value, by);
    pages.push([what, withData(whole, JSON.stringify(value))]);
  }
  pages.push(['no element with data', whole.replace('id="data"', 'id="other"')], ['twice the data', withData(whole, json + json)]);
  const { told } = await all(pages);
  assert.ok(told > 20, `${told} told`);
});

check('the page itself works', async () => {
  assert.deepEqual(await all([['whole', whole]]), { works: 1, told: 0 });
});
