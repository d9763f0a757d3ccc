// Exported files in the hands of their readers: the packages of npm, and Speedscope in a real browser.
//
//     EXPORTS=/path/to/directory node --test exports.test.js
//
// `tests/exports.rs` writes that directory from a recording whose every byte is known, and starts this; what the numbers
// are made of stands there. Without EXPORTS, and what is not installed, is skipped and says so.

import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import test from 'node:test';
import { pathToFileURL } from 'node:url';
import { gunzipSync } from 'node:zlib';
import { newPage, noBrowser, useBrowser } from './browser.js';

const directory = process.env.EXPORTS;
const skip = directory ? false : 'EXPORTS is not set';
const path = (name) => join(directory, name);

/** A pprof file with its strings put in: sample types, sums by leaf function, and the profile itself. */
const readPprof = async (name) => {
  const { Profile } = await import('pprof-format');
  const profile = Profile.decode(gunzipSync(readFileSync(path(name))));
  const text = (number) => profile.stringTable.strings[Number(number)];
  const functions = new Map(profile.function.map((one) => [one.id, one]));
  const locations = new Map(profile.location.map((one) => [one.id, functions.get(one.line[0].functionId)]));
  const samples = profile.sample.map(({ locationId, value }) => ({
    stack: locationId.map((id) => text(locations.get(id).name)),
    values: value.map(Number),
  }));
  const types = profile.sampleType.map(({ type, unit }) => `${text(type)}/${text(unit)}`);
  return { profile, text, functions, types, samples };
};

test('pprof: Go\'s sample types, every stack, files and lines', { skip }, async () => {
  const { profile, text, functions, types, samples } = await readPprof('run.pb.gz');
  assert.deepEqual(types, ['alloc_objects/count', 'alloc_space/bytes', 'inuse_objects/count', 'inuse_space/bytes']);
  assert.equal(text(profile.defaultSampleType), 'inuse_space');
  assert.deepEqual(samples, [
    { stack: ['load', 'main', '<module>'], values: [2, 40_007, 1, 40_000] },
    { stack: ['array', 'main', '<module>'], values: [1, 12_345, 1, 12_345] },
    { stack: ['say "hi",\\u{a}</script>;\\u{202e}=1+1', 'main', '<module>'], values: [1, 300, 0, 0] },
    { stack: ['[no stack]'], values: [1, 100, 1, 100] },
  ]);
  const array = [...functions.values()].find(({ name }) => text(name) === 'array');
  assert.equal(text(array.filename), '/venv/lib/python3.8/site-packages/numpy/core.py');
  const [line] = profile.location.find((one) => one.line[0].functionId === array.id).line;
  assert.equal(Number(line.line), 30);
  assert.equal(BigInt(profile.timeNanos), 1_700_000_000_000_000_000n);
  assert.equal(BigInt(profile.durationNanos), 2_000_000_000n);
  const comments = profile.comment.map(text);
  assert.equal(comments[0], 'heaptide 0.1.0: python app.py');
  assert.equal(comments[2], 'inuse is peak memory: 51.2 KiB in 3 blocks, 1.50 s after the start');
});

test('pprof: in use is what was asked for, and of an instant nothing is allocated', { skip }, async () => {
  const leaks = await readPprof('leaks.pb.gz');
  const sums = [0, 1, 2, 3].map((place) => leaks.samples.reduce((sum, { values }) => sum + values[place], 0));
  assert.deepEqual(sums, [5, 52_752, 3, 12_745]);
  const at = await readPprof('at.pb.gz');
  assert.deepEqual(at.types, ['inuse_objects/count', 'inuse_space/bytes']);
  assert.deepEqual(at.samples.map(({ values }) => values), [[1, 12_345], [1, 300], [1, 100]]);
});

const browserSkip = skip || noBrowser;
useBrowser(browserSkip);

/** What Speedscope's list of functions says of a file: the chosen profile and its rows, without blanks. */
const inSpeedscope = async (name) => {
  const index = join(createRequire(import.meta.url).resolve('speedscope/package.json'), '../dist/release/index.html');
  const content = readFileSync(path(name)).toString('base64');
  const script = path(`${name}.js`);
  writeFileSync(script, `speedscope.loadFileFromBase64(${JSON.stringify(name)}, ${JSON.stringify(content)})`);
  const { page, faults, said } = await newPage();
  await page.goto(`${pathToFileURL(index).href}#localProfilePath=${script}`);
  await page.getByText('Sandwich').click();
  await page.getByText('Symbol Name').waitFor();
  const text = await page.evaluate(() => document.body.innerText);
  await page.close();
  assert.deepEqual([...faults, ...said.filter(({ type }) => type === 'error')], []);
  return text.replaceAll(/\s+/g, ' ');
};

test('Speedscope opens its own format, with the metric that was asked for in front', { skip: browserSkip }, async () => {
  const text = await inSpeedscope('run.speedscope.json');
  assert.match(text, /memory live at the end \(2\/4\)/);
  // Of 12 745: total, own, function.
  assert.match(text, /12\.06 KB \(97%\) 12\.06 KB \(97%\) array/);
  assert.match(text, /12\.35 KB \(>99%\) 0 B \(<0\.01%\) main/);
  assert.match(text, /300 B \(2\.4%\) 300 B \(2\.4%\) say "hi",\\u\{a\}<\/script>;\\u\{202e\}=1\+1/);
  assert.match(text, /100 B \(0\.78%\) 100 B \(0\.78%\) \[no stack\]/);
});

test('Speedscope opens pprof as well', { skip: browserSkip }, async () => {
  const text = await inSpeedscope('leaks.pb.gz');
  assert.match(text, /12\.06 KB \(97%\) 12\.06 KB \(97%\) array/);
});

const profilerCli = new URL('node_modules/@firefox-devtools/profiler-cli/dist/profiler-cli.js', import.meta.url).pathname;
const profilerSkip = skip || (existsSync(profilerCli) ? false : 'no @firefox-devtools/profiler-cli');

test('Firefox Profiler: retained memory at any time, all allocations, live bytes as a counter', { skip: profilerSkip }, async () => {
  // A process of it holds the profile and waits for commands. Its own `load` starts that too, but gives up after half a second.
  const env = { ...process.env, PROFILER_CLI_SESSION_DIR: path('sessions') };
  mkdirSync(env.PROFILER_CLI_SESSION_DIR);
  const loaded = spawn(process.execPath, [profilerCli, '--daemon', path('run.firefox.json.gz'), '--session', 'known'], { env, stdio: 'ignore' });
  const profiler = (...words) => execFileSync(process.execPath, [profilerCli, ...words, '--session', 'known'],
    { env, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'], timeout: 60_000 });
  // Who asks before it listens takes it for dead and forgets it: only its log tells.
  const whenReady = async () => {
    const log = path('sessions/known.log');
    for (let left = 300; !(existsSync(log) && readFileSync(log, 'utf8').includes('Profile loaded successfully')); left -= 1) {
      assert.ok(left > 0 && loaded.exitCode === null, 'the profile is loaded within 30 s');
      await new Promise((resolve) => { setTimeout(resolve, 100); });
    }
  };
  const samples = (strategy) => {
    const { topFunctionsBySelf, weightType } = JSON.parse(profiler('thread', 'samples', '--strategy', strategy, '--json'));
    assert.equal(weightType, 'bytes');
    const own = topFunctionsBySelf.filter(({ selfSamples }) => selfSamples !== 0);
    return Object.fromEntries(own.map(({ name, selfSamples }) => [name, selfSamples]));
  };
  try {
    await whenReady();
    profiler('thread', 'select', 't-0');
    // What opens: the peak.
    assert.deepEqual(samples('timing'), { 'app!load': 40_000, 'numpy!array': 12_345, '[no stack]': 100 });
    const hostile = 'a,"b"!say "hi",\\u{a}</script>;\\u{202e}=1+1';
    assert.deepEqual(samples('native-retained-allocations'), { 'numpy!array': 12_345, [hostile]: 300, '[no stack]': 100 });
    assert.deepEqual(samples('native-allocations'),
      { 'app!load': 40_007, 'numpy!array': 12_345, [hostile]: 300, '[no stack]': 100 });
    assert.deepEqual(samples('native-deallocations-sites'), { 'app!load': -40_007 });
    assert.match(profiler('counter', 'info', 'c-0'), /Live bytes of all processes[^]*Samples: 2 total/);
    profiler('zoom', 'push', '0,1.6');
    assert.deepEqual(samples('native-retained-allocations'), { 'app!load': 40_000, 'numpy!array': 12_345, '[no stack]': 100 });
  } finally {
    loaded.kill();
  }
});

const viewer = '/usr/libexec/valgrind/dh_view.html';

/** What valgrind's viewer says of a file, without blanks and the lines of its tree. */
const inViewer = async (name) => {
  const { page, faults } = await newPage();
  await page.goto(pathToFileURL(viewer).href);
  await page.locator('input[type=file]').setInputFiles(path(name));
  await page.getByText('Invocation {').waitFor();
  const text = await page.evaluate(() => document.body.innerText);
  await page.close();
  assert.deepEqual(faults, []);
  return text.replaceAll(/[\s│├└─▼▶]+/gu, ' ');
};

const viewerSkip = browserSkip || (existsSync(viewer) ? false : `no ${viewer}`);

test('DHAT: totals, peak, end and lifetimes in valgrind\'s viewer', { skip: viewerSkip }, async () => {
  const text = await inViewer('run.dhat.json');
  assert.match(text, /t-gmax: 1,500,000 µs \(75% of program duration\) t-end: 2,000,000 µs/);
  assert.match(text, /Total: 52,752 bytes \(100%, 26,376\/s\) in 5 blocks \(100%, 2\.5\/s\)/);
  assert.match(text, /At t-gmax: 52,445 bytes \(100%\) in 3 blocks/);
  assert.match(text, /At t-end: 12,745 bytes \(100%\) in 3 blocks/);
  // Of `load`, 40 000 bytes lived for 1.7 s and 7 for no time: 0.85 s on average.
  assert.match(text, /Total: 40,007 bytes .*? in 2 blocks .*? avg lifetime 850,0\d\d\.?\d* µs/);
  assert.match(text, /Max: 40,000 bytes in 1 blocks/);
  assert.match(text, /#1: load \(\/app\/app\.py:20\) #2: main \(\/app\/app\.py:10\) #3: <module> \(\/app\/app\.py:1\)/);
});

test('DHAT: what is live at an instant', { skip: viewerSkip }, async () => {
  const text = await inViewer('at.dhat.json');
  assert.match(text, /Total: 12,745 bytes \(100%, .*?\) in 3 blocks/);
  assert.match(text, /Live at that instant at \{ #0: \[root\] \}/);
  assert.doesNotMatch(text, /t-gmax:/);
});
