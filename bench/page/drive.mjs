// Opens pages in headless Chromium and measures what a reader waits for.
//
//     node drive.mjs FOLDER CHROMIUM ROUNDS SECONDS PAGE...     PAGE: kind=path, kind as in pages.mjs
//
// FOLDER is where playwright-core is installed. Each page is opened ROUNDS times, each time in a browser of its own, but no
// further time after SECONDS. Prints a line of JSON for each time; what could not be done is null, with `errors` saying why.

import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import * as kinds from './pages.mjs';

const [folder, executablePath, rounds, seconds, ...pages] = process.argv.slice(2);
const { chromium } = createRequire(join(resolve(folder), 'package.json'))('playwright-core');
const SCRIPT = readFileSync(new URL('watch.js', import.meta.url), 'utf8');
const PATIENCE = 120_000;

for (const named of pages) {
  const [kind, path] = [named.slice(0, named.indexOf('=')), named.slice(named.indexOf('=') + 1)];
  const until = Date.now() + Number(seconds) * 1000;
  for (let round = 0; round < Number(rounds) && (round === 0 || Date.now() < until); round++) {
    console.log(JSON.stringify({ kind, path, round, ...await once(kinds[kind], pathToFileURL(resolve(path)).href) }));
  }
}

async function once(kind, url) {
  const browser = await chromium.launch({ executablePath, args: ['--no-sandbox', '--enable-precise-memory-info'] });
  const outcome = { errors: [] };
  const attempt = async (name, act) => {
    try {
      return await act();
    } catch (error) {
      outcome.errors.push(`${name}: ${error.message.split('\n')[0]}`);
      return null;
    }
  };
  try {
    const page = await browser.newPage({ viewport: { width: 1400, height: 900 } });
    page.setDefaultTimeout(PATIENCE);
    page.on('pageerror', (error) => outcome.errors.push(`page: ${error.message}`));
    await page.addInitScript(SCRIPT);
    await page.goto(url, { waitUntil: 'commit' });
    await attempt('open', async () => {
      outcome.opened = await page.evaluate((holds) => window.__watch.seen(new Function(`return (${holds})()`)), kind.opened.toString());
    });
    // What it does after the first picture is not part of what comes then.
    await page.waitForTimeout(700);
    outcome.painted = await page.evaluate(() => performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? null);
    await attempt('memory', async () => Object.assign(outcome, await memory(browser, page)));
    const zoom = await attempt('zoom', () => kind.zoom(page));
    outcome.zoom = zoom?.first ?? null;
    outcome.zoomed = zoom?.settled ?? null;
    for (const action of ['search', 'invert', 'table', 'instant', 'window']) {
      outcome[action] = await attempt(action, () => kind[action](page));
    }
  } finally {
    await browser.close();
  }
  return outcome;
}

/** After a collection: what JavaScript's heap holds, and the anonymous memory of the page's process, where arrays of numbers are as well. */
async function memory(browser, page) {
  const session = await page.context().newCDPSession(page);
  await session.send('HeapProfiler.collectGarbage');
  await session.send('Performance.enable');
  const { metrics } = await session.send('Performance.getMetrics');
  const { processInfo } = await (await browser.newBrowserCDPSession()).send('SystemInfo.getProcessInfo');
  const renderers = processInfo.filter(({ type }) => type === 'renderer').map(({ id }) => anonymous(id));
  return { heap_bytes: metrics.find(({ name }) => name === 'JSHeapUsedSize').value, process_bytes: Math.max(...renderers) };
}

/** Bytes of the system's process of this id, 0 if it has gone. */
function anonymous(pid) {
  try {
    return 1024 * Number(/^Anonymous:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8'))[1]);
  } catch {
    return 0;
  }
}
