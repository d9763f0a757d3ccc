// Pages of captures with hostile names, in a real browser: nothing of a name runs, loads or turns other text round, and the
// page's policy would not let it.
//
//     PAGES=/path/to/page.html:/path/to/diff.html node --test hostile.test.js
//
// The pages are those of fixtures/hostile/hostile_names.py; CHROMIUM is the browser (/usr/bin/chromium). Without PAGES or the
// browser the tests are skipped and say so.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import test, { afterEach, beforeEach } from 'node:test';
import { pathToFileURL } from 'node:url';
import { newPage, noBrowser, useBrowser } from './browser.js';

const files = (process.env.PAGES ?? '').split(':').filter(Boolean).map((file) => resolve(file));
const skip = !files.length ? 'PAGES is not set' : noBrowser;
// What turns or hides text, or is no character at all.
const ACTS = /[\0-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\xad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]/;

let page;
let account;

useBrowser(skip);
beforeEach(async () => {
  if (skip) return;
  account = await newPage();
  page = account.page;
  await page.addInitScript(() => {
    window.violations = [];
    document.addEventListener('securitypolicyviolation', (event) => window.violations.push(event.effectiveDirective));
  });
});
afterEach(() => page?.close());

const open = async (file) => {
  await page.goto(pathToFileURL(file).href);
  await page.waitForFunction(() => !document.getElementById('page').hidden);
  await page.waitForTimeout(50);
};
const violations = () => page.evaluate(() => window.violations);
const check = (name, body) => {
  for (const file of files.length ? files : ['']) test(`${name} (${file.split('/').pop()})`, { skip }, () => body(file));
};

check('all that a reader does shows names as text', async (file) => {
  await open(file);
  const graph = await page.locator('#graph').boundingBox();
  // Over the whole graph: what is under the mouse is named in a tooltip and beside it.
  for (let y = 11; y < Math.min(graph.height, 400); y += 22) {
    for (let x = 5; x < graph.width; x += 40) await page.mouse.move(graph.x + x, graph.y + y);
    assert.doesNotMatch(await page.locator('body').innerText(), ACTS);
  }
  // Every other view there is, with the first of its rows open.
  for (const view of await page.locator('#view-choice button').all()) {
    await view.click();
    for (const row of (await page.locator('.listing:not([hidden]) .opener').all()).slice(0, 30)) await row.click();
    assert.doesNotMatch(await page.locator('body').innerText(), ACTS);
  }
  await page.locator('#view-choice button').first().click();
  await page.mouse.click(graph.x + 100, graph.y + 22 * 4 + 11);
  await page.keyboard.press('/');
  for (const word of ['script', '<img', 'txt.\u202e', '/(a|alert)/', '\\u202e']) {
    await page.locator('#search').fill(word);
    await page.waitForTimeout(60);
  }
  await page.locator('#info-button').click();
  await page.waitForTimeout(60);
  assert.doesNotMatch(await page.locator('body').innerText(), ACTS);
  assert.doesNotMatch(await page.title(), ACTS);
  // No attribute of any element either: titles, labels, values but for what was typed.
  const attributes = await page.evaluate(() => [...document.querySelectorAll('*')].flatMap((element) =>
    [...element.attributes].map((attribute) => attribute.value)));
  for (const value of attributes) assert.doesNotMatch(value, ACTS);
  // The elements are those of the template: nothing was made of a name.
  const strange = await page.evaluate(() => [...document.querySelectorAll('img, iframe, object, embed, link, base, form:not([method=dialog]), a[href]')]
    .map((element) => element.outerHTML));
  assert.deepEqual(strange, []);
  assert.equal(await page.evaluate(() => document.scripts.length), 2);
  assert.equal(await page.evaluate(() => Object.keys(window).filter((key) => key.startsWith('alert')).length <= 1), true);
  assert.deepEqual(await violations(), []);
  assert.deepEqual([...account.said, ...account.faults], []);
  assert.deepEqual(account.requests, [pathToFileURL(file).href]);
});

check('the names are there, with what turns text written out', async (file) => {
  await open(file);
  await page.locator('#info-button').click();
  const shown = await page.locator('body').innerText();
  assert.ok(shown.includes('</script><script>alert(9)</script>'), 'the argument is shown as it is');
  assert.ok(shown.includes('txt.\\u{202e}gpj'), 'the mark is shown as its number');
});

check('the policy allows one script and two styles, by hash, and nothing else', async (file) => {
  const html = readFileSync(file, 'utf8');
  const policy = /http-equiv="Content-Security-Policy" content="([^"]*)"/.exec(html)[1].replaceAll('&#x27;', "'").replaceAll('&#x2f;', '/');
  const directives = Object.fromEntries(policy.split('; ').map((directive) => {
    const [name, ...values] = directive.split(' ');
    return [name, values.join(' ')];
  }));
  assert.match(directives['script-src'], /^'sha256-[A-Za-z0-9+/]{43}='$/);
  assert.match(directives['style-src'], /^'sha256-[A-Za-z0-9+/]{43}=' 'sha256-[A-Za-z0-9+/]{43}='$/);
  delete directives['script-src'];
  delete directives['style-src'];
  assert.deepEqual(directives, {
    'default-src': "'none'",
    'base-uri': "'none'",
    'form-action': "'none'",
    'require-trusted-types-for': "'script'",
    'trusted-types': "'none'",
  });
  // It stands before anything that it is about.
  assert.ok(html.indexOf('Content-Security-Policy') < html.search(/<(style|script|title)/));
});

check('the browser keeps to the policy', async (file) => {
  await open(file);
  const ran = await page.evaluate(async () => {
    const outcomes = {};
    const tried = async (name, attempt) => {
      try {
        await attempt();
      } catch (error) {
        outcomes[name] = error.name;
      }
    };
    const element = (name, fields) => document.body.append(Object.assign(document.createElement(name), fields));
    await tried('markup', () => { document.body.innerHTML = '<img src=x onerror="window.ran = 1">'; });
    await tried('script', () => element('script', { textContent: 'window.ran = 2' }));
    // What the debugger evaluates may itself evaluate; what runs later may not.
    await tried('eval', () => new Promise((done, failed) => setTimeout(() => {
      try {
        done((0, eval)('window.ran = 3'));
      } catch (error) {
        failed(error);
      }
    })));
    await tried('image', () => element('img', { src: 'https://example.invalid/x.png' }));
    await tried('frame', () => element('iframe', { src: 'https://example.invalid/' }));
    await tried('fetch', () => fetch('https://example.invalid/'));
    await tried('socket', () => new WebSocket('wss://example.invalid/'));
    await tried('style', () => document.body.setAttribute('style', 'background: url(https://example.invalid/y)'));
    await new Promise((done) => setTimeout(done, 300));
    return { outcomes, ran: window.ran };
  });
  assert.equal(ran.ran, undefined);
  for (const name of ['markup', 'script', 'eval']) assert.ok(ran.outcomes[name], `${name} was refused: ${JSON.stringify(ran)}`);
  const met = new Set(await violations());
  for (const directive of ['require-trusted-types-for', 'img-src', 'frame-src', 'connect-src', 'style-src-attr']) {
    assert.ok(met.has(directive), `${directive} is not among ${[...met]}`);
  }
  const { failures, requests } = account;
  // The browser tells of what it was asked for; nothing of it went further than the policy.
  assert.deepEqual(failures.filter(({ why }) => why !== 'csp'), []);
  assert.deepEqual(requests.filter((url) => !url.startsWith('file:') && !failures.some((failure) => failure.url === url)), []);
});
