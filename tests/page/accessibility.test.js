// The page in every view, light and dark, by the rules of axe-core: names of controls, roles, contrast, order of headings.
//
//     PAGES=/path/to/page.html:/path/to/diff.html node --test accessibility.test.js
//
// PAGES are written by heaptide; CHROMIUM is the browser (/usr/bin/chromium). Without PAGES or the browser the tests are
// skipped and say so.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { resolve } from 'node:path';
import test from 'node:test';
import { pathToFileURL } from 'node:url';
import { newPage, noBrowser, useBrowser } from './browser.js';

const files = (process.env.PAGES ?? '').split(':').filter(Boolean).map((file) => resolve(file));
const skip = !files.length ? 'PAGES is not set' : noBrowser;
const RULES = { runOnly: { type: 'tag', values: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'] } };

useBrowser(skip);

/** What the rules say of the page, or of a part of it, as it is: each broken one with where. */
const violations = async (page, state, part = 'body') => {
  const { broken, kept } = await page.evaluate(async ([rules, part]) => {
    const { violations, passes } = await window.axe.run(part === 'body' ? document : part, rules);
    return { broken: violations, kept: passes.map(({ id }) => id) };
  }, [RULES, part]);
  // It did look.
  for (const rule of part === 'body' ? ['color-contrast', 'button-name'] : ['color-contrast']) assert.ok(kept.concat(broken.map(({ id }) => id)).includes(rule), `${state}: ${rule} was tried`);
  return broken.map(({ id, help, nodes }) => `${state}: ${id} (${help}): ${nodes.map(({ target, any, all, none }) =>
    `${target.join(' ')}${[...any, ...all, ...none].map(({ message }) => ` – ${message}`).slice(0, 1)}`).slice(0, 4).join(' | ')}`);
};

for (const file of files.length ? files : ['']) {
  for (const colorScheme of ['light', 'dark']) {
    test(`${file.split('/').pop()}, ${colorScheme}`, { skip, timeout: 180_000 }, async () => {
      // The page's own policy would refuse the checker's script; nothing else of this test depends on the policy.
      const { page } = await newPage({ bypassCSP: true, colorScheme });
      const open = async (address = '') => {
        await page.goto('about:blank');
        await page.goto(pathToFileURL(file).href + address);
        await page.waitForFunction(() => !document.getElementById('page').hidden);
        // Colours of buttons fade in.
        await page.waitForTimeout(200);
      };
      await page.addInitScript(readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8'));
      await open();
      const found = await violations(page, 'first look');
      const views = await page.locator('#view-choice button').evaluateAll((buttons) => buttons.map((button) => button.dataset.value));
      assert.ok(views.length >= 3, views.join(' '));
      for (const view of views) {
        await open(`#view=${view}`);
        found.push(...await violations(page, view));
        await page.locator('#search').fill('a');
        await page.waitForTimeout(300);
        found.push(...await violations(page, `${view}, searched`));
      }
      await open();
      await page.locator('#search').fill('/(/');
      await page.waitForFunction(() => document.getElementById('search').ariaInvalid === 'true');
      found.push(...await violations(page, 'a wrong search'));
      await open();
      for (const sheet of await page.locator('details:visible > summary').all()) {
        await sheet.click();
        found.push(...await violations(page, `sheet: ${await sheet.innerText()}`, 'details[open]'));
        await page.keyboard.press('Escape');
      }
      await open();
      await page.locator('#graph').focus();
      for (const key of ['ArrowDown', 'ArrowDown', 'Enter']) await page.keyboard.press(key);
      await page.waitForTimeout(200);
      found.push(...await violations(page, 'zoomed'));
      await page.keyboard.press('?');
      await page.waitForFunction(() => document.getElementById('info').open);
      await page.waitForTimeout(200);
      found.push(...await violations(page, 'about this run'));
      await page.setViewportSize({ width: 420, height: 700 });
      await open();
      found.push(...await violations(page, 'narrow'));
      await page.close();
      assert.deepEqual(found, []);
    });
  }
}
