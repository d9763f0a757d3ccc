// What a reader does with the call tree, in a real browser: options, side panel, tree, table, downloads, keys.
//
//     PAGE=/path/to/page.html node --test views.browser.test.js
//
// As browser.test.js: PAGE is a page of examples/inventory.py, or another that is not a difference.

import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import test from 'node:test';
import { pathToFileURL } from 'node:url';
import { dataOf, withData } from './encoding.js';
import { noBrowser, usePages } from './browser.js';

const file = process.env.PAGE && resolve(process.env.PAGE);
const skip = !file ? 'PAGE is not set' : noBrowser;

let page;

usePages(skip, /^(file|blob):/, (opened) => { page = opened.page; });

const check = (name, body) => test(name, { skip }, body);
const open = async (address = '') => {
  await page.goto('about:blank');
  await page.goto(pathToFileURL(file).href + address);
  await page.waitForFunction(() => !document.getElementById('page').hidden);
  await page.waitForTimeout(50);
};
const text = (id) => page.locator(`#${id}`).textContent();
const address = () => page.evaluate(() => decodeURIComponent(window.location.hash));
const press = async (row, x = 60) => {
  const box = await page.locator('#graph').boundingBox();
  await page.mouse.click(box.x + x, box.y + 1 + 22 * row + 11);
};
/** Waits until a condition of the page holds. */
const until = (condition, value) => page.waitForFunction(condition, value, { timeout: 10_000 });

// ---- options ------------------------------------------------------------------------------------------------

check('options are in one sheet, in the address, and back', async () => {
  await open();
  const total = await text('total');
  await page.locator('#options summary').click();
  await page.locator('#merge-recursion').check();
  await page.locator('#least').fill('2.5');
  await page.keyboard.press('Tab');
  await page.locator('#colours').selectOption('share');
  assert.equal(await address(), '#recursion=merged&least=2.5&colours=share');
  assert.equal(await text('options-count'), '3');
  // Nothing was lost.
  assert.equal(await text('total'), total);
  await page.keyboard.press('Escape');
  assert.equal(await page.locator('#options .sheet').isVisible(), false);
  assert.equal(await page.evaluate(() => document.activeElement.parentElement.id), 'options');
  assert.equal(await address(), '#recursion=merged&least=2.5&colours=share');
  await page.goBack();
  await page.goBack();
  await page.goBack();
  await until(() => window.location.hash === '');
  assert.equal(await page.locator('#merge-recursion').isChecked(), false);
  await open('#recursion=merged&least=2.5&colours=share');
  assert.equal(await page.locator('#merge-recursion').isChecked(), true);
  assert.equal(await page.locator('#least').inputValue(), '2.5');
  assert.equal(await page.locator('#colours').inputValue(), 'share');
});

check('a digit typed into a field is not a key of the page', async () => {
  await open();
  await press(2);
  const zoomed = await address();
  await page.locator('#options summary').click();
  await page.locator('#least').focus();
  await page.keyboard.type('0');
  assert.equal(await address(), zoomed);
});

// ---- side panel ---------------------------------------------------------------------------------------------

check('a selected frame opens the panel; its callers lead on', async () => {
  await open();
  assert.equal(await page.locator('#side').isVisible(), false);
  await press(2);
  assert.equal(await page.locator('#side').isVisible(), true);
  const name = await text('side-name');
  assert.ok((await text('details')).startsWith(name));
  assert.match(await text('side-numbers'), /With callees.*B, [\d.<>]+%.*block/);
  const callee = page.locator('#side-callees button').first();
  const called = await callee.textContent();
  await callee.click();
  assert.equal(await text('side-name'), called);
  const callers = await page.locator('#side-callers button').allTextContents();
  assert.ok(callers.includes(name), `${callers} has ${name}`);
});

check('the panel is told apart by width and kept closed if closed', async () => {
  await open();
  await press(2);
  const width = (id) => page.locator(`#${id}`).evaluate((part) => Math.round(part.getBoundingClientRect().width));
  const [graph, side] = [await width('graph'), await width('side')];
  await page.locator('#side-edge').focus();
  await page.keyboard.press('ArrowLeft');
  await until((before) => document.getElementById('graph').clientWidth < before, graph - 10);
  assert.deepEqual([await width('graph'), await width('side')], [graph - 24, side + 24]);
  await page.locator('#side-close').click();
  assert.equal(await page.locator('#side').isVisible(), false);
  await press(1);
  assert.equal(await page.locator('#side').isVisible(), false);
  await open();
  await press(2);
  assert.equal(await page.locator('#side').isVisible(), false);
  await page.keyboard.press('d');
  assert.equal(await page.locator('#side').isVisible(), true);
  assert.equal(await width('side'), side + 24);
  await page.setViewportSize({ width: 700, height: 800 });
  await until(() => document.getElementById('side').getBoundingClientRect().top > document.getElementById('graph').getBoundingClientRect().bottom);
});

// ---- tree ---------------------------------------------------------------------------------------------------

const rowCount = (id) => page.locator(`#${id} tbody tr[data-row]`).count();
const active = () => page.evaluate(() => {
  const row = document.getElementById(document.activeElement.getAttribute('aria-activedescendant'));
  return row && { at: Number(row.dataset.row), name: row.querySelector('.name').innerText.replace(/^[▸▾]/, '').trim(), level: row.ariaLevel, open: row.ariaExpanded };
});

check('the tree opens along the widest path and is walked by keys', async () => {
  await open('#view=tree');
  const all = page.locator('#tree table');
  assert.equal(await all.getAttribute('role'), 'treegrid');
  assert.ok((await rowCount('tree')) > 3);
  await all.focus();
  await page.keyboard.press('Home');
  assert.deepEqual(await active(), { at: 0, name: 'all', level: '1', open: 'true' });
  await page.keyboard.press('ArrowRight');
  const first = await active();
  assert.deepEqual([first.at, first.level], [1, '2']);
  assert.ok((await text('details')).startsWith((await text('side-name'))));
  // Closes the row, goes to its parent, closes that.
  for (let i = 0; i < 3; i++) await page.keyboard.press('ArrowLeft');
  assert.deepEqual(await active(), { at: 0, name: 'all', level: '1', open: 'false' });
  assert.equal(await rowCount('tree'), 1);
  assert.equal(await all.getAttribute('aria-rowcount'), '2');
  await page.keyboard.press('ArrowRight');
  await page.keyboard.press('ArrowDown');
  assert.deepEqual((await active()).at, 1);
  const name = await text('side-name');
  await page.keyboard.press('Enter');
  assert.match(await address(), /^#zoom=\d+$/);
  assert.equal(await page.locator('#graph').isVisible(), true);
  assert.ok((await text('details')).startsWith(name));
  await page.keyboard.press('o');
  assert.match(await address(), /^#view=tree/);
});

// ---- table --------------------------------------------------------------------------------------------------

const column = async (at) => page.locator(`#table tbody tr[data-row] td:nth-child(${at})`).allTextContents();

check('the table is sorted by every column, both ways', async () => {
  await open('#view=table&by=line&sort=total');
  const heads = page.locator('#table thead button');
  assert.equal(await heads.count(), 8);
  for (let i = 0; i < 8; i++) {
    await heads.nth(i).click();
    const one = await page.locator('#table thead th').nth(i).getAttribute('aria-sort');
    await heads.nth(i).click();
    const two = await page.locator('#table thead th').nth(i).getAttribute('aria-sort');
    const expected = i < 2 ? ['ascending', 'descending'] : ['descending', 'ascending'];
    assert.deepEqual([one, two], expected, `column ${i}`);
    assert.equal(await page.locator('#table thead th:is([aria-sort="ascending"], [aria-sort="descending"])').count(), 1);
  }
  assert.equal(await address(), '#view=table&by=line&sort=total-counts.turned');
  const counts = (await column(8)).map((number) => Number(number.replaceAll(',', '')));
  assert.ok(counts.length > 5);
  assert.deepEqual(counts, counts.slice().sort((a, b) => a - b));
});

check('the table is filtered and grouped, and leads to the graph', async () => {
  await open('#view=table');
  const rows = async () => Number(await page.locator('#table table').getAttribute('aria-rowcount')) - 1;
  const all = await rows();
  await page.locator('#filter').fill('/^(main|<module>)$/');
  await until(() => window.location.hash.includes('filter'));
  assert.ok((await rows()) < all);
  assert.match(await text('filter-result'), /^\d+ of \d+ functions$/);
  assert.ok((await column(1)).every((name) => ['main', '<module>'].includes(name)));
  await page.locator('#filter').fill('/(/');
  await until(() => document.getElementById('filter').ariaInvalid === 'true');
  assert.match(await text('filter-result'), /Invalid regular expression/);
  await page.keyboard.press('Escape');
  await page.locator('#group-choice button[data-value="file"]').click();
  assert.equal(await address(), '#view=table&by=file');
  await page.locator('#table table').focus();
  await page.keyboard.press('ArrowDown');
  const { name } = await active();
  await page.keyboard.press('Enter');
  assert.equal(await page.locator('#filter').inputValue(), name);
  await page.locator('#table tbody tr[data-row]').first().click();
  const chosen = await text('side-name');
  await page.keyboard.press('Enter');
  assert.equal(await page.locator('#graph').isVisible(), true);
  assert.ok((await text('details')).startsWith(chosen));
});

check('the table by who asked: all of it, of the instant and by row', async () => {
  await open('#view=table');
  const groups = await page.locator('#group-choice button').allTextContents();
  assert.deepEqual(groups.filter((group) => !['Threads', 'Processes'].includes(group)), ['Functions', 'Lines', 'Files', 'Packages', 'Allocators']);
  await page.locator('#group-choice button[data-value="allocator"]').click();
  assert.equal(await address(), '#view=table&by=allocator');
  assert.deepEqual(await page.locator('#table-rows th').allTextContents(), ['Allocator', 'Bytes ↓', 'Share', 'Blocks']);
  const rows = async () => page.locator('#table-rows tbody tr:not(.space)').allInnerTexts();
  const names = (await rows()).map((row) => row.split('\t')[0]);
  assert.ok(names.length > 1 && names.includes('malloc') && names.includes('realloc'), names.join());
  assert.equal(await text('filter-result'), `${names.length} allocators`);
  const shares = (await rows()).map((row) => Number.parseFloat(row.split('\t')[2].replace('<', '')));
  assert.ok(Math.abs(shares.reduce((a, b) => a + b) - 100) < 0.1, shares.join());
  // A group that the page has not is passed over.
  await open('#view=table&by=process&at=0.05');
  assert.ok((await page.locator('#group-choice button[aria-checked="true"]').textContent()) === (groups.includes('Processes') ? 'Processes' : 'Functions'));
  await open('#view=table&by=allocator');
  await page.locator('#table-rows table').focus();
  await page.keyboard.press('ArrowDown');
  assert.match(await text('details'), /^\S+  ·  [\d.]+ \S+ in [\d,]+ blocks$/);
  await page.keyboard.press('Enter');
  assert.match(await address(), /^#view=table&allocator=\w+$|^#allocator=\w+&view=table$/);
  assert.match(await text('total-words'), /^live at the peak, only \S+, /);
});

check('of many rows only those in sight are in the document, and all can be reached', async () => {
  // The same data with a thousand functions more.
  const whole = readFileSync(file, 'utf8');
  const data = JSON.parse(dataOf(whole));
  const { cells, frames, nodes, metrics, strings } = data;
  for (let i = 0; i < 1000; i++) {
    frames.function.push(strings.push(`many_${i}`) - 1);
    for (const name of ['file', 'package', 'source', 'line']) frames[name].push(frames[name][0]);
    frames.kind.push(0);
    nodes.back.push(0);
    nodes.frame.push(frames.function.length - 1);
    cells.node.push(nodes.back.length - 1);
    cells.thread.push(0);
    cells.allocator.push(0);
    metrics[data.default_metric].cell.push(cells.node.length - 1);
    metrics[data.default_metric].bytes.push(i + 1);
    metrics[data.default_metric].counts.push(1);
  }
  const many = join(mkdtempSync(join(tmpdir(), 'heaptide-page-')), 'many.html');
  writeFileSync(many, withData(whole, JSON.stringify(data)));
  for (const view of ['table', 'tree']) {
    await page.goto(`${pathToFileURL(many).href}#view=${view}&sort=own.turned`);
    await page.reload();
    await until((id) => document.querySelectorAll(`#${id} tbody tr[data-row]`).length > 5, view);
    assert.ok((await rowCount(view)) < 100, `${await rowCount(view)} rows`);
    assert.ok(Number(await page.locator(`#${view} table`).getAttribute('aria-rowcount')) > 1000, view);
    await page.locator(`#${view} table`).focus();
    await page.keyboard.press('End');
    const last = await active();
    assert.equal(last.at + 2, Number(await page.locator(`#${view} table`).getAttribute('aria-rowcount')));
    assert.ok((await rowCount(view)) < 100);
    if (view === 'tree') assert.match(last.name, /^many_0/);
  }
});

check('the foot says what can be done in a view, until something is selected', async () => {
  for (const [view, words] of [['calls', /^Click a frame to zoom in, .*; \? shows the keys\.$/], ['tree', /^The arrows .* open and close a row; /], ['table', /^A title sorts the rows; /]]) {
    await open(`#view=${view}`);
    assert.match(await text('details'), words);
  }
  await page.locator('#table tbody td.name').first().click();
  assert.match(await text('details'), /Itself: [\d.]+ [KMG]?i?B in /);
});

// ---- files --------------------------------------------------------------------------------------------------

const saved = async (id) => {
  await page.locator('#download summary').click();
  const waiting = page.waitForEvent('download');
  await page.locator(`#${id}`).click();
  const download = await waiting;
  return { name: download.suggestedFilename(), bytes: readFileSync(await download.path()) };
};

check('rows are saved as displayed', async () => {
  await open('#view=table&filter=main');
  const { name, bytes } = await saved('save-csv');
  assert.match(name, /^heaptide-[\w.-]+-peak-table\.csv$/);
  const lines = bytes.toString().split('\r\n');
  assert.equal(lines[0], 'function,file,package,kind,own_bytes,own_blocks,total_bytes,total_blocks');
  const shown = Number(await page.locator('#table table').getAttribute('aria-rowcount')) - 1;
  assert.equal(lines.length, shown + 2);
  const json = JSON.parse((await saved('save-json')).bytes);
  assert.deepEqual([json.rows.length, json.metric, json.view, json.look], [shown, 'peak', 'table', '#view=table&filter=main']);
  assert.equal(json.rows[0].own_bytes, Number(lines[1].split(',').at(-4)));
  await page.locator('#download summary').click();
  assert.equal(await page.locator('#save-svg').isVisible(), false);
});

check('the graph is saved as a picture', async () => {
  await open();
  const svg = (await saved('save-svg')).bytes.toString();
  assert.match(svg, /^<svg xmlns="http:\/\/www\.w3\.org\/2000\/svg"/);
  const png = (await saved('save-png')).bytes;
  assert.equal(png.subarray(0, 8).toString('latin1'), '\x89PNG\r\n\x1a\n');
  assert.equal(png.readUInt32BE(16), await page.locator('#graph').evaluate((graph) => graph.clientWidth));
  assert.match(await text('details'), /\.png is saved\.$/);
  // A browser reads it as what it is.
  const picture = join(mkdtempSync(join(tmpdir(), 'heaptide-page-')), 'picture.svg');
  writeFileSync(picture, svg);
  await page.goto(pathToFileURL(picture).href);
  const read = await page.evaluate(() => [document.documentElement.localName, document.querySelector('parsererror'), document.querySelector('g text').textContent]);
  assert.deepEqual(read, ['svg', null, 'all']);
  assert.ok((await page.evaluate(() => document.querySelectorAll('g > rect').length)) > 5);
});

check('rows are copied for a spreadsheet', async () => {
  await page.context().grantPermissions(['clipboard-read', 'clipboard-write']);
  await open('#view=tree');
  await page.locator('#download summary').click();
  await page.locator('#copy-rows').click();
  await until(() => /copied/.test(document.getElementById('details').textContent));
  const lines = (await page.evaluate(() => navigator.clipboard.readText())).split('\n');
  assert.ok(lines[0].startsWith('id\tparent\tdepth\tfunction\t'));
  assert.equal(lines.length, Number(await page.locator('#tree table').getAttribute('aria-rowcount')));
});

// ---- search -------------------------------------------------------------------------------------------------

check('Enter leads from match to match, in the graph, the tree and the table', async () => {
  for (const view of ['calls', 'inverted', 'tree', 'table']) {
    await open(`#view=${view}`);
    await page.keyboard.press('/');
    await page.keyboard.type('/a|e/');
    await until(() => / frames?: /.test(document.getElementById('search-result').textContent));
    assert.equal(await page.locator('#search-next').isVisible(), true);
    const details = async (key) => {
      await page.keyboard.press(key);
      return text('details');
    };
    const first = await details('Enter');
    const [, count] = /^Match 1 of (\d+)  ·  /.exec(first) ?? assert.fail(`${view}: ${first}`);
    assert.ok(Number(count) > 2, `${view}: ${count}`);
    assert.match(await details('Enter'), new RegExp(`^Match 2 of ${count} `));
    assert.equal(await details('Shift+Enter'), first, view);
    assert.match(await details('Shift+Enter'), new RegExp(`^Match ${count} of ${count} `));
    assert.match(await details('Enter'), /^Match 1 of/);
    // The focus stays in the box, so that Enter goes on; Escape and the arrow lead away.
    assert.equal(await page.evaluate(() => document.activeElement.id), 'search');
    await page.keyboard.press('ArrowDown');
    assert.equal(await page.evaluate(() => document.activeElement.closest('#stage') !== null), true);
  }
});

// ---- keys, paper, other eyes --------------------------------------------------------------------------------

check('the tab key goes through the whole page, sees where it is, and out again', async () => {
  for (const view of ['calls', 'tree', 'table']) {
    await open(`#view=${view}`);
    await page.keyboard.press('d');
    const seen = [];
    for (let i = 0; i < 80; i++) {
      await page.keyboard.press('Tab');
      const at = await page.evaluate(() => {
        const here = document.activeElement;
        if (here === document.body) return null;
        const box = here.getBoundingClientRect();
        const ring = (element) => element && getComputedStyle(element).outlineStyle !== 'none';
        return {
          name: here.id || here.closest('[id]').id, shown: box.width > 0 && box.height > 0,
          ringed: ring(here) || ring(here.closest('.search')) || ring(here.closest('.table')),
          named: Boolean(here.ariaLabel || here.textContent.trim() || here.labels?.length || here.getAttribute('aria-labelledby')),
        };
      });
      if (!at) break;
      seen.push(at);
    }
    assert.ok(seen.length > 10 && seen.length < 80, `${view}: ${seen.length} stops`);
    assert.deepEqual(seen.filter(({ shown, ringed, named }) => !shown || !ringed || !named), [], view);
    const names = seen.map(({ name }) => name);
    assert.ok(names.indexOf('search') < names.indexOf('metric-choice') && names.indexOf('metric-choice') < names.indexOf('side-edge'), names.join());
  }
});

check('a change of view is said', async () => {
  await open();
  await page.keyboard.press('t');
  assert.match(await text('said'), /^Table: \d.*B live at the peak, [\d,]+ blocks$/);
});

check('the root can be at the bottom, and source lines in the rectangles', async () => {
  await open('#root=bottom&labels=source');
  const box = await page.locator('#graph').boundingBox();
  // The second row from below.
  await page.mouse.click(box.x + 60, box.y + box.height - 1 - 22 - 11);
  const zoomed = await address();
  assert.match(zoomed, /^#labels=source&root=bottom&zoom=\d+$/);
  const details = await text('details');
  // Up is where the callees are.
  await page.locator('#graph').focus();
  await page.keyboard.press('ArrowUp');
  assert.notEqual(await text('details'), details);
  await page.keyboard.press('ArrowDown');
  assert.equal(await text('details'), details);
  await page.keyboard.press('r');
  assert.equal((await address()).includes('root'), false);
});

check('the graph, the tree and the table are printed, in light colours', async () => {
  await page.emulateMedia({ colorScheme: 'dark' });
  for (const view of ['calls', 'tree', 'table']) {
    await open(`#view=${view}`);
    await page.evaluate(() => addEventListener('beforeprint', () => {
      window.printed = { theme: document.documentElement.dataset.theme, rows: document.querySelectorAll('tbody tr[data-row]').length };
    }));
    const pdf = await page.pdf({ format: 'A4' });
    assert.ok(pdf.length > 10_000, `${view}: ${pdf.length} bytes`);
    const printed = await page.evaluate(() => window.printed);
    assert.equal(printed.theme, 'light');
    if (view === 'table') assert.equal(printed.rows, Number(await page.locator('#table table').getAttribute('aria-rowcount')) - 1);
    assert.equal(await page.evaluate(() => document.documentElement.dataset.theme), 'dark');
  }
});

check('with forced colours what is chosen is told apart', async () => {
  await page.emulateMedia({ forcedColors: 'active' });
  await open();
  const grounds = await page.evaluate(() => [...document.querySelectorAll('#unit-choice button')].map((button) => getComputedStyle(button).backgroundColor));
  assert.notEqual(grounds[0], grounds[1]);
});

check('a sheet of options is all in the window, however narrow that is', async () => {
  for (const width of [1200, 820, 500]) {
    await page.setViewportSize({ width, height: 800 });
    await open();
    for (const id of ['options', 'download']) {
      await page.locator(`#${id} summary`).click();
      const box = await page.locator(`#${id} .sheet`).boundingBox();
      assert.ok(box.x >= 0 && box.x + box.width <= width, `${id} at ${width}: ${box.x} to ${box.x + box.width}`);
      await page.keyboard.press('Escape');
    }
  }
});
