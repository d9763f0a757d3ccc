// The types that the page's comments give must agree (`tsc --checkJs`). Skipped until `npm ci` has installed typescript.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import test from 'node:test';
import { fileURLToPath } from 'node:url';

const path = (name) => fileURLToPath(new URL(name, import.meta.url));
const compiler = path('node_modules/typescript/bin/tsc');

test('the types of the page agree', { skip: existsSync(compiler) ? false : 'typescript is not installed' }, () => {
  const { status, stdout } = spawnSync(process.execPath, [compiler, '-p', path('../../crates/report/assets/jsconfig.json')], { encoding: 'utf8' });
  assert.deepEqual([status, stdout], [0, '']);
});
