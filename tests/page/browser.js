// A browser, and a page that keeps account of what it does.

import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { after, afterEach, before, beforeEach } from 'node:test';

const executablePath = process.env.CHROMIUM ?? '/usr/bin/chromium';
export const noBrowser = existsSync(executablePath) ? false : `no browser at ${executablePath}`;

let browser;

/** Starts a browser before the tests of a file, unless they are skipped, and ends it after them. */
export const useBrowser = (skip) => {
  before(async () => {
    if (skip) return;
    const { chromium } = await import('playwright-core');
    browser = await chromium.launch({ executablePath, args: ['--no-sandbox'] });
  });
  after(() => browser?.close());
};

/** A new page of a context with these options, with what it will have said on the console ({ type, text }), its errors and dialogs (texts), the addresses
 * that it asks for, and those that it is refused ({ url, why }). */
export const newPage = async (options = {}) => {
  const page = await browser.newPage({ viewport: { width: 1200, height: 800 }, ...options });
  const account = { page, said: [], faults: [], requests: [], failures: [] };
  page.on('console', (message) => account.said.push({ type: message.type(), text: message.text() }));
  page.on('pageerror', (error) => account.faults.push(error.message));
  page.on('dialog', (dialog) => { account.faults.push(`dialog: ${dialog.message()}`); dialog.dismiss(); });
  page.on('request', (request) => account.requests.push(request.url()));
  page.on('requestfailed', (request) => account.failures.push({ url: request.url(), why: request.failure().errorText }));
  return account;
};

/** A browser, and in it a new page for each test of a file, unless they are skipped; `opened` is given its account. After the
 * test nothing may stand on its console, and it may have asked for such addresses only. */
export const usePages = (skip, addresses, opened) => {
  let account;
  useBrowser(skip);
  beforeEach(async () => {
    if (skip) return;
    account = await newPage();
    opened(account);
  });
  afterEach(async () => {
    if (skip) return;
    await account.page.close();
    const complaints = account.said.filter(({ type }) => ['error', 'warning'].includes(type));
    assert.deepEqual([...complaints, ...account.faults], []);
    assert.deepEqual(account.requests.filter((url) => !addresses.test(url)), []);
  });
};
