// The lists of the page in a real browser: leaks with their verdicts, types of Python objects.
//
//     LEAKS=/path/to/leaks.html TYPES=/path/to/types.html TYPES_WINDOW=/path/to/window.html DIFF=/path/to/diff.html node --test tabs.browser.test.js
//
// LEAKS is what `heaptide leaks --html` writes of fixtures/leaks/leak_dict.py, TYPES what `heaptide flamegraph` writes of
// fixtures/programs/census_growth.py, recorded with --python-allocators and several censuses, TYPES_WINDOW the same with --from 30% --to 70%, DIFF what `heaptide diff
// --html` writes of fixtures/programs/changes.py, run with "before" and with "after"; CHROMIUM is the browser (/usr/bin/chromium). What is not there is skipped, and said.

import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import test from 'node:test';
import { pathToFileURL } from 'node:url';
import { noBrowser, usePages } from './browser.js';
import { dataOf, withData } from './encoding.js';

const files = { leaks: process.env.LEAKS, types: process.env.TYPES, types_window: process.env.TYPES_WINDOW, diff: process.env.DIFF };
let page;

usePages(noBrowser, /^file:/, (opened) => { page = opened.page; });

const check = (of, name, body) => test(name, { skip: files[of] ? noBrowser : `${of.toUpperCase()} is not set` }, body);
const open = async (of, address = '') => {
  await page.goto(pathToFileURL(resolve(files[of])).href + address);
  await page.waitForFunction(() => !document.getElementById('page').hidden);
  await page.waitForTimeout(50);
};
const text = (id) => page.locator(`#${id}`).textContent();
const address = () => page.evaluate(() => decodeURIComponent(window.location.hash));
const view = () => page.locator('#view-choice button[aria-checked="true"]').getAttribute('data-value');
const openers = (of) => page.locator(`#${of} .opener`);
/** The rows that are listed, as the page saves them: each an object. */
const saved = async () => {
  await page.locator('#download summary').click();
  const waiting = page.waitForEvent('download');
  await page.locator('#save-json').click();
  const { rows } = JSON.parse(readFileSync(await (await waiting).path(), 'utf8'));
  return rows;
};
/** What a reader sees of the first row. */
const row = (of) => page.locator(`#${of} tbody tr:not(.opened)`).first().innerText();

// ---- leaks --------------------------------------------------------------------------------------------------

check('leaks', 'of a path that has no room the end is seen, of a name the beginning', async () => {
  await page.setViewportSize({ width: 900, height: 700 });
  await open('leaks');
  // As far into directories as real programs are.
  const seen = await page.locator('#leaks td.named').first().evaluate((cell) => {
    const [name, path] = [cell.querySelector('.opener'), cell.querySelector('bdi')];
    path.textContent = `/home/somebody/${'deep/'.repeat(40)}leak_dict.py:11`;
    const [at, room, words] = [path.getBoundingClientRect(), path.parentElement.getBoundingClientRect(), name.getBoundingClientRect()];
    return { ends: room.right - at.right, cut: room.left - at.left, beside: room.left - words.right, whole: name.scrollWidth <= name.clientWidth, inside: cell.getBoundingClientRect().right - room.right };
  });
  assert.ok(Math.abs(seen.ends) < 1 && seen.cut > 100 && seen.beside > 0 && seen.whole && seen.inside >= 0, JSON.stringify(seen));
});

check('leaks', 'the page opens with the leaks, the one that grows first', async () => {
  await open('leaks');
  assert.deepEqual([await view(), await address()], ['leaks', '']);
  assert.match(await text('total-words'), /^memory live at the end, [\d,]+ blocks$/);
  assert.match(await text('total'), /^[\d.]+ [KM]iB$/);
  assert.match(await row('leaks'), /^grows\s+[\d.]+ [KM]iB\s+\d+\s+[\d.]+ KiB\s+\d+\s[^]*respond[^]*leak_dict\.py:11/);
  // Neither the metric nor the unit means anything here.
  assert.equal(await page.locator('#metric-choice').isVisible(), false);
  assert.match(await text('details'), /^A name opens its row/);
});

check('leaks', 'an open row tells what is known of the site, and closes again', async () => {
  await open('leaks');
  const opener = openers('leaks').first();
  assert.equal(await opener.getAttribute('aria-expanded'), 'false');
  await opener.focus();
  await page.keyboard.press('Enter');
  assert.equal(await opener.getAttribute('aria-expanded'), 'true');
  const detail = page.locator('#leaks tr.opened:not([hidden]) .detail');
  const said = await detail.innerText();
  assert.match(said, /^A leak\. Some of it was released/);
  assert.match(said, /Left\s+[\d.]+ [KM]iB \([\d,]+ bytes\) in \d+ blocks/);
  assert.match(said, /Highest\s+[\d.]+ [KM]iB \([\d,]+ bytes\) at once/);
  assert.match(said, /Grew by\s+[\d.]+ KiB a second, [\d.]+ [KM]?i?B for each 1,000 events/);
  assert.match(said, /respond\S*\s?\S*leak_dict\.py:11[^]*<module>/);
  // The curve goes up to its end, has its times below, and says what is under the mouse.
  const plot = detail.locator('svg.plot');
  const points = (await plot.locator('.curve-line').getAttribute('d')).split(/[ML]/).slice(1).map((point) => +point.split(' ')[1]);
  assert.ok(points.length > 20 && points[0] > points.at(-1), `${points}`);
  const words = await plot.locator('text').allTextContents();
  assert.ok(words.includes('0') && words.some((word) => / m?s$/.test(word)) && words.some((word) => / [KM]iB$/.test(word)), `${words}`);
  const box = await plot.boundingBox();
  await page.mouse.move(box.x + box.width * 0.6, box.y + 40);
  assert.match(await detail.locator('figcaption').textContent(), /^[\d.]+ m?s to [\d.]+ m?s: never less than [\d.]+ [KM]iB \([\d,]+ bytes\)$/);
  await page.mouse.move(5, 5);
  assert.match(await detail.locator('figcaption').textContent(), /^The least live bytes in each of \d+ parts/);
  await opener.click();
  assert.equal(await detail.count(), 0);
});

check('leaks', 'a verdict explains itself to the mouse and to the keyboard', async () => {
  await open('leaks');
  const verdict = page.locator('#leaks .verdict').first();
  assert.match(await verdict.getAttribute('aria-label'), /^grows\. A leak\./);
  await verdict.hover();
  assert.match(await page.locator('#tooltip').innerText(), /^grows\s+A leak\./);
  await page.mouse.move(5, 5);
  assert.equal(await page.locator('#tooltip').isVisible(), false);
  await verdict.focus();
  assert.equal(await page.locator('#tooltip').isVisible(), true);
  await page.keyboard.press('Tab');
  assert.equal(await page.locator('#tooltip').isVisible(), false);
});

check('leaks', 'sites are chosen by who left them, by verdict and by search, and sorted', async () => {
  await open('leaks');
  const own = await openers('leaks').count();
  await page.locator('#leaks select').first().selectOption('');
  const all = await openers('leaks').count();
  assert.ok(all > own, `${all} of ${own}`);
  const bytes = page.locator('#leaks th button', { hasText: 'Bytes' });
  await bytes.focus();
  await page.keyboard.press('Enter');
  assert.equal(await page.locator('#leaks th[aria-sort="descending"]').innerText(), 'Bytes ↓');
  // The focus stays where it was, though the table is another.
  assert.equal(await page.evaluate(() => document.activeElement.textContent), 'Bytes ↓');
  await page.locator('#leaks select').nth(1).selectOption('grows');
  assert.match(await row('leaks'), /^grows/);
  await page.locator('#leaks select').nth(1).selectOption('');
  await page.locator('#search').fill('leak_dict');
  await page.waitForFunction(() => document.getElementById('search-result').textContent !== '');
  const found = await openers('leaks').count();
  assert.ok(found < all && found >= 1, `${found} of ${all}`);
  assert.equal(await text('search-result'), `${found} site${found === 1 ? '' : 's'}`);
  // All of it is in the address, and can be taken back.
  assert.equal(await address(), '#list=origin:,sort:bytes&search=leak_dict');
  await page.reload();
  await page.waitForFunction(() => !document.getElementById('page').hidden);
  assert.equal(await openers('leaks').count(), found);
  await open('leaks', '#list=verdict:start_up,origin:');
  assert.match(await row('leaks'), /^start-up/);
  await open('leaks', '#list=verdict:nonsense,sort:constructor');
  assert.match(await page.locator('#leaks').innerText(), /No site is of this kind/);
});

check('leaks', 'a site is shown in the graph, and the way back leads here', async () => {
  await open('leaks');
  await openers('leaks').first().click();
  await page.locator('#leaks button', { hasText: 'Show in the graph' }).first().click();
  assert.equal(await view(), 'calls');
  assert.match(await address(), /^#view=calls&search=\/\S*leak_dict\\\.py:11\$\/&zoom=\d+(\.\d+)*$/);
  assert.match(await text('details'), /^respond {2}·/);
  assert.match(await text('search-result'), /^\d+ frames?: [\d.]+ [KM]iB, [\d.]+% of all$/);
  assert.match(await text('total-words'), /^leaked: still live at the end/);
  await page.goBack();
  await page.waitForFunction(() => window.location.hash === '');
  assert.equal(await view(), 'leaks');
});

check('leaks', 'what is listed can be saved', async () => {
  await open('leaks');
  const [first, ...rest] = await saved();
  assert.deepEqual([first.function, first.line, first.origin, first.verdict, first.blocks], ['respond', 11, 'program', 'grows', 201]);
  assert.ok(first.bytes > 200 * 6_001 && first.highest_bytes >= first.bytes && first.bytes_per_second > 100_000, JSON.stringify(first));
  assert.equal(rest.length, (await openers('leaks').count()) - 1);
});

check('leaks', 'of a window what came in it and was left', async () => {
  await open('leaks');
  const whole = (await saved())[0];
  const end = Number(await page.locator('#timeline-canvas').getAttribute('aria-valuemax'));
  const halves = [];
  for (const [from, to] of [[0, end / 2], [end / 2, end]]) {
    await page.goto('about:blank');
    await open('leaks', `#from=${from}&to=${to}`);
    assert.match(await text('total-words'), /^live at the end, of what came from [\d.]+ m?s to [\d.]+ m?s, [\d,]+ blocks$/);
    assert.match(await page.locator('#leaks .list-tools p').first().textContent(), /^Listed is what came from [\d.]+ m?s to [\d.]+ m?s and was live at the end\. Verdicts/);
    halves.push((await saved()).find(({ function: name }) => name === 'respond'));
  }
  const [first, second] = halves;
  assert.ok(first.blocks > 20 && second.blocks > 20, `${first.blocks} ${second.blocks}`);
  assert.deepEqual([first.blocks + second.blocks, first.bytes + second.bytes], [whole.blocks, whole.bytes]);
  assert.deepEqual([first.blocks_in_all, second.bytes_in_all, second.verdict], [whole.blocks, whole.bytes, 'grows']);
  assert.ok((await page.locator('#leaks thead').innerText()).includes('In all'));
  await openers('leaks').first().click();
  assert.match(await page.locator('#leaks tr.opened:not([hidden]) .detail').innerText(), /Left\s+[\d.]+ KiB \([\d,]+ bytes\) in \d+ blocks, of what came from [^]*In all\s+[\d.]+ [KM]iB/);
  await page.locator('#whole').click();
  assert.deepEqual((await saved())[0], whole);
});

check('leaks', 'keys and addresses lead to the leaks and away', async () => {
  await open('leaks', '#view=calls');
  assert.equal(await view(), 'calls');
  await page.keyboard.press('l');
  assert.deepEqual([await view(), await address()], ['leaks', '']);
  await page.keyboard.press('l');
  assert.deepEqual([await view(), await address()], ['calls', '#view=calls']);
  // This run had no census.
  await page.keyboard.press('y');
  assert.equal(await view(), 'calls');
  assert.equal(await page.locator('#view-choice button[data-value="types"]').count(), 0);
});

check('leaks', 'a site that had nothing throughout any part has a scale of what it had at once', async () => {
  const html = readFileSync(resolve(files.leaks), 'utf8');
  const data = JSON.parse(dataOf(html));
  data.leaks.sites.curve = data.leaks.sites.curve.map(() => ({ at: [], bytes: [] }));
  data.leaks.sites.highest = data.leaks.sites.highest.map(() => 1000);
  const other = join(mkdtempSync(join(tmpdir(), 'heaptide-page-')), 'level.html');
  writeFileSync(other, withData(html, JSON.stringify(data)));
  await page.goto(pathToFileURL(other).href);
  await page.waitForFunction(() => !document.getElementById('page').hidden);
  await openers('leaks').first().click();
  assert.deepEqual((await page.locator('#leaks .plot text').allTextContents()).slice(0, 3), ['0', '500 B', '1000 B']);
});

// ---- types --------------------------------------------------------------------------------------------------

check('types', 'types are listed with their growth, the steady one first', async () => {
  await open('types', '#view=types');
  assert.equal(await view(), 'types');
  assert.match(await row('types'), /^5,000\s+[\d.]+ KiB\s+\+\d,000\s+\+[\d.]+ KiB\s+steady[^]*__main__\.Item\s*1,000 new/);
  assert.match(await text('total-words'), /^in [\d,]+ Python objects, [\d.]+ m?s after the start$/);
  await openers('types').first().click();
  const said = await page.locator('#types tr.opened:not([hidden]) .detail').innerText();
  assert.match(said, /__main__\.Item ← list\[\d+\] ← dict\["orders"\] ← module __main__\.CACHE/);
  assert.match(said, /1,000 allocated by\s+main\S*\s?\S*census_growth\.py:24/);
  assert.match(said, /Second\s+5,000 objects of/);
});

check('types', 'any two censuses are compared, and types are found by name', async () => {
  await open('types', '#view=types');
  const last = await page.locator('#types select').nth(1).locator('option').count();
  await page.locator('#types select').nth(0).selectOption(String(last - 1));
  assert.match(await row('types'), /^5,000\s+[\d.]+ KiB\s+±0\s+±0\s+steady/);
  await page.locator('#types select').nth(2).selectOption('grew');
  assert.equal(await openers('types').count(), 0);
  assert.match(await page.locator('#types').innerText(), /No type is of this kind\.$/);
  await page.locator('#types select').nth(2).selectOption('');
  await page.locator('#search').fill('kept');
  await page.waitForFunction(() => document.getElementById('search-result').textContent === '1 type');
  assert.match(await row('types'), /^10\s[^]*__main__\.Kept/);
  assert.equal(await address(), `#view=types&list=from:${last - 1}&search=kept`);
  await page.goBack();
  await page.waitForTimeout(50);
  assert.notEqual(await page.locator('#types select').nth(2).inputValue(), '');
});

check('types', 'an instant and a window mean their own censuses, said in words', async () => {
  await open('types', '#view=types');
  const chosen = () => page.locator('#types select').evaluateAll((boxes) => boxes.slice(0, 2).map((box) => Number(box.value)));
  const words = () => page.locator('#types .list-tools p').first().textContent();
  const taken = (await page.locator('#types select').first().locator('option').allTextContents()).map((option) => Number(/: ([\d.]+) (m?)s/.exec(option)[1]) / (/ ms /.test(option) ? 1000 : 1));
  const last = taken.length - 1;
  assert.deepEqual(await chosen(), [0, last]);
  const whole = await text('total');
  // Between the second and the third.
  const between = (taken[1] + taken[2]) / 2;
  const goes = async (change) => {
    await page.goto('about:blank');
    await open('types', `#view=types&${change}`);
  };
  await goes(`at=${between}`);
  assert.deepEqual(await chosen(), [0, 1]);
  assert.match(await words(), /^Shown is the last census there was at [\d.]+ m?s: 2, after [\d.]+ m?s, compared with the first, after [\d.]+ m?s\.$/);
  assert.match(await text('total-words'), /Python objects, [\d.]+ m?s after the start$/);
  assert.notEqual(await text('total'), whole);
  const end = Number(await page.locator('#timeline-canvas').getAttribute('aria-valuemax'));
  await goes(`from=${between}&to=${end}`);
  assert.deepEqual(await chosen(), [2, last]);
  assert.match(await words(), /^Compared are the first and the last census from [\d.]+ m?s to [\d.]+ m?s: 3, after /);
  // By hand: no longer those of the window. The other one stays.
  await page.locator('#types select').first().selectOption('0');
  assert.deepEqual(await chosen(), [0, last]);
  assert.equal(await address(), '#view=types');
  await page.goBack();
  await page.waitForFunction(() => window.location.hash.includes('from='));
  assert.deepEqual(await chosen(), [2, last]);
  await page.locator('#whole').click();
  assert.deepEqual([await chosen(), await text('total')], [[0, last], whole]);
});

check('types_window', 'a page of a window compares the censuses in it, and says so', async () => {
  await open('types_window', '#view=types');
  const boxes = page.locator('#types select');
  const chosen = () => boxes.evaluateAll((all) => all.slice(0, 2).map((box) => Number(box.value)));
  const words = () => page.locator('#types .list-tools p').first().textContent();
  const last = (await boxes.first().locator('option').count()) - 1;
  const [from, to] = await chosen();
  assert.ok(from > 0 && from < to && to < last, `${from} and ${to} of ${last}`);
  const said = await words();
  assert.match(said, new RegExp(`^Compared are the first and the last census from [\\d.]+ m?s to [\\d.]+ m?s: ${from + 1}, after [\\d.]+ m?s, and ${to + 1}, after [\\d.]+ m?s\\.$`));
  // As in the whole page, those of a window within it, or others that are chosen by hand.
  await boxes.first().selectOption('0');
  assert.deepEqual([await chosen(), await address()], [[0, to], '#view=types&list=from:0']);
  assert.doesNotMatch(await words(), /^Compared/);
  await boxes.first().selectOption(String(from));
  assert.deepEqual([await words(), await address()], [said, '#view=types']);
  await page.locator('#timeline-canvas').focus();
  await page.keyboard.press('Home');
  assert.match(await words(), /^Shown is the last census there was at /);
  await page.locator('#whole').click();
  assert.deepEqual([await chosen(), await words()], [[from, to], said]);
});

check('types', 'the types that are listed can be saved', async () => {
  await open('types', '#view=types&search=Item');
  assert.deepEqual((await saved()).map(({ type, objects, objects_before: before, steady }) => [type, objects, before % 1_000, steady]), [['__main__.Item', 5_000, 0, 1]]);
});

check('types', 'the key for types, in the dark', async () => {
  await page.emulateMedia({ colorScheme: 'dark' });
  await open('types');
  await page.keyboard.press('y');
  assert.deepEqual([await view(), await address()], ['types', '#view=types']);
  await page.keyboard.press('y');
  assert.equal(await view(), 'calls');
});

// ---- changes ------------------------------------------------------------------------------------------------

/** Rows of the list of changes: the figures, and where. */
const changes = async () => (await page.locator('#changes tbody tr:not(.opened)').allInnerTexts()).map((row) => row.replace(/\s+/g, ' ').trim());

check('types', 'within a run, changes are between two instants', async () => {
  await open('types', '#view=changes');
  assert.match(await page.locator('#changes').innerText(), /^Changes are between two instants\. /);
  await page.locator('#changes button', { hasText: 'Growth from the start until the peak' }).click();
  assert.match(await address(), /^#metric=growth&view=changes&from=0&to=[\d.]+$/);
  assert.match(await text('total-words'), /^0 B before, .* after, live, from 0 s to /);
  // All that the peak had is new; the largest is first.
  const rows = await changes();
  assert.ok(rows.length > 10 && rows.every((row) => /^\+[\d.]+ [KM]?i?B 0 B .* new /.test(row)), rows.slice(0, 3).join('\n'));
  await page.goBack();
  await page.waitForFunction(() => window.location.hash === '#view=changes');
  assert.match(await page.locator('#changes').innerText(), /^Changes are between two instants\. /);
});

check('diff', 'changes are listed by call path, the largest first', async () => {
  await open('diff', '#view=changes');
  assert.equal(await view(), 'changes');
  // 150 of 5 001 bytes more in load, 8 of 90 001 new, 10 of 70 001 gone, 20 of 3 001 fewer.
  const rows = (await changes()).filter((row) => row.includes('blocks'));
  assert.equal(rows.length, 4, `${rows}`);
  // The lists themselves have some bytes, too.
  for (const [i, start] of [/^\+73\d KiB 4\d\d KiB /, /^\+703 KiB 0 B /, /^−684 KiB 68\d KiB 0 B /, /^−58\.\d KiB 11\d KiB /].entries()) assert.match(rows[i], start);
  assert.match(rows[1], / new blocks/);
  assert.match(rows[2], / gone blocks/);
  await page.locator('#changes tbody tr', { hasText: '+703 KiB' }).locator('.opener').click();
  const said = await page.locator('#changes tr.opened:not([hidden])').innerText();
  assert.match(said, /After\s+703 KiB \([\d,]+ bytes\) in \d blocks/);
  assert.match(said, /blocks[^]*fresh[^]*main[^]*<module>/);
  await page.locator('#changes .detail button', { hasText: 'Show in the graph' }).click();
  assert.match(await address(), /^#zoom=[\d.]+$/);
  assert.match(await text('details'), /changes\.py[^]*Difference: \+703 KiB/);
});

check('diff', 'changes by function and file, and only those that are wanted', async () => {
  await open('diff');
  await page.keyboard.press('g');
  assert.equal(await address(), '#view=changes');
  await page.locator('#changes select').first().selectOption('function');
  await page.locator('#changes th button', { hasText: 'With callees' }).click();
  await page.locator('#changes select').nth(1).selectOption('gone');
  const names = (await openers('changes').allInnerTexts());
  assert.ok(names.includes('gone') && !names.includes('fresh') && !names.includes('main'), `${names}`);
  await page.locator('#changes select').first().selectOption('file');
  await page.locator('#changes select').nth(1).selectOption('');
  assert.ok((await changes()).some((row) => row.endsWith('changes.py')));
  await page.locator('#search').fill('no such thing');
  await page.waitForFunction(() => document.getElementById('search-result').textContent.startsWith('0 of '));
  assert.match(await page.locator('#changes').innerText(), /No row is of this kind/);
});

check('diff', 'the changes that are listed can be saved', async () => {
  // The name, not the source line in which it is called.
  await open('diff', '#view=changes&search=%2F%5Efresh%24%2F');
  const rows = await saved();
  // Up to Python 3.11 the comprehension in `blocks` is a function of its own.
  assert.deepEqual(rows.map(({ path, bytes_before: before }) => [path.includes('main;fresh;blocks'), before]), [[true, 0]]);
  // Eight bytearrays of 90 000 bytes and one more each; their list is too small to be seen.
  assert.equal(rows[0].bytes, 8 * 90_001);
  await open('diff', '#view=changes&list=by:function,sort:total&search=%2F%5Efresh%24%2F');
  assert.deepEqual((await saved()).map((row) => [row.function, row.bytes, row.total_bytes_before]), [['fresh', 0, 0]]);
});

check('diff', 'the graph is as wide as either side or the difference, and of what grew', async () => {
  await open('diff');
  const total = await text('total');
  const wide = async (value) => {
    await page.locator(`#width-choice button[data-value="${value}"]`).click();
    return address();
  };
  assert.equal(await wide('change'), '#widths=change');
  assert.equal(await wide('before'), '#widths=before');
  assert.equal(await wide('larger'), '');
  await page.locator('#only-grew').check();
  assert.equal(await address(), '#only=grew');
  assert.match(await text('total-words'), /, of the call paths that grew$/);
  assert.notEqual(await text('total'), total);
  await page.goBack();
  await page.waitForFunction(() => window.location.hash === '');
  assert.equal(await text('total'), total);
  // Lines are merged unless they are asked for.
  await open('diff', '#lines=apart');
  assert.equal(await page.locator('#by-line').isChecked(), true);
  assert.deepEqual(await page.locator('#legend li').allInnerTexts(), ['gone', 'half', 'as before', 'twice', 'new']);
});
