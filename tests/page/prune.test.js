// What is left out of the tree or put together in it: the sums must stay true.

import assert from 'node:assert/strict';
import test from 'node:test';
import { load, looking, outline } from './made.js';

const { fromAddress, firstLook, toAddress } = await load('address.js');
const { layoutRows } = await load('layout.js');
const { pathOf } = await load('views.js');
const { describe } = await load('described.js');

// main → walk → visit → walk → visit → read, with own values at each.
const RECURSION = `
  - main 1 1
  0 walk 10 1
  1 visit 100 1
  2 walk 1000 1
  3 visit 10000 1
  4 read 100000 1
  0 read 5 1`;

test('recursion, direct and mutual, is merged into the outermost occurrence', () => {
  assert.equal(outline(looking(RECURSION)), 'all 111116(main 111116(walk 111110(visit 111100(walk 111000(visit 110000(read 100000)))) read 5))');
  // visit keeps 100 + 10 000, walk 10 + 1 000; read was called by the inner visit.
  assert.equal(outline(looking(RECURSION, { mergeRecursion: true })), 'all 111116(main 111116(walk 111110(visit 110100(read 100000)) read 5))');
  const direct = `
    - fib 1 1
    0 fib 2 1
    1 fib 4 1
    2 list 8 1
    1 list 16 1`;
  assert.equal(outline(looking(direct, { mergeRecursion: true })), 'all 31(fib 31(list 24))');
});

test('what is the same frame is a line, or with lines together a function', () => {
  const lines = `
    - fib:3 1 1
    0 fib:5 2 1
    1 fib:3 4 1
    2 fib:5 8 1`;
  assert.equal(outline(looking(lines, { mergeRecursion: true })), 'all 15(fib 15(fib 10))');
  assert.equal(outline(looking(lines, { mergeRecursion: true, byLine: false })), 'all 15(fib 15)');
});

test('the inverted view of merged recursion adds up too', () => {
  assert.equal(
    outline(looking(RECURSION, { mergeRecursion: true, view: 'inverted' })),
    'all 111116(read 100005(visit 100000(walk 100000(main 100000)) main 5) visit 10100(walk 10100(main 10100)) walk 1010(main 1010) main 1)',
  );
});

// runpy is frozen and not of the import system.
const IMPORTS = `
  - runpy!3 1 1
  0 main 10 1
  1 find!3 100 1
  2 load!3 1000 1
  3 mod@lib!1 10000 1
  4 own 100000 1`;

test('the import system and other frames of the interpreter are hidden apart', () => {
  assert.equal(outline(looking(IMPORTS)), 'all 111111(runpy 111111(main 111110(find 111100(load 111000(mod 110000(own 100000))))))');
  assert.equal(outline(looking(IMPORTS, { imports: false })), 'all 111111(runpy 111111(main 111110(mod 110000(own 100000))))');
  assert.equal(outline(looking(IMPORTS, { interpreter: false })), 'all 111111(main 111110(find 111100(load 111000(mod 110000(own 100000)))))');
  const model = looking(IMPORTS);
  assert.deepEqual([model.hasImports, model.hasInterpreter, model.hasProject], [true, true, true]);
});

// Native stacks: the program starts in C, Python code calls the interpreter's C functions and those of an extension.
const MACHINERY = `
  - _start@python3.11!4 0 0
  0 start_main@libc.so.6!4 0 0
  1 Py_RunMain@libpython3.11.so.1.0!4 0 0
  2 init@python3.11!4 30 1
  2 eval@python3.11!4 0 0
  4 main 100 1
  5 list_resize@python3.11!4 1000 1
  6 sort@numpy!4 10000 1
  7 malloc@libc.so.6!4 100000 1
  7 back@python3.11!4 1000000 1
  9 key 10000000 1`;

test('native code of the interpreter is hidden where it does what Python code wants', () => {
  const shown = outline(looking(MACHINERY, { interpreter: false }));
  assert.equal(shown, 'all 11111130(main 11111100(sort 11110000(key 10000000 malloc 100000)) init 30)');
  const whole = outline(looking(MACHINERY));
  assert.match(whole, /^all 11111130\(_start 11111130\(start_main 11111130\(Py_RunMain 11111130\(eval 11111100\(main 11111100\(list_resize 11111000/);
  assert.equal(looking(MACHINERY).hasInterpreter, true);
});

test('of a program without Python code nothing is the interpreter’s', () => {
  const text = `
    - _start@python3.11!4 0 0
    0 main@libc.so.6!4 5 1`;
  assert.equal(outline(looking(text, { interpreter: false })), 'all 5(_start 5(main 5))');
  assert.equal(looking(text).hasInterpreter, false);
});

test('only the project’s code: all else goes to the nearest caller of the project', () => {
  // find, load and mod (11 100) are main's.
  assert.equal(outline(looking(IMPORTS, { onlyProject: true })), 'all 111111(main 111110(own 100000))');
});

const SMALL = `
  - main 0 0
  0 a 900 1
  0 b 60 2
  0 c 30 3
  3 d 4 4
  0 e 6 5`;

test('frames below the threshold are one, and widths stay true', () => {
  // 5% of 1 000: b (60) stays; c with d (34) and e (6) are put together.
  const model = looking(SMALL, { least: 5 });
  assert.equal(outline(model), 'all 1000(main 1000(a 900 b 60 2 smaller 40))');
  const small = [...model.view.children(1, 0)].at(-1);
  assert.equal(model.view.columns[1][small], 12);
  assert.deepEqual(describe(model, small).lines.map(({ text }) => text), ['40 B (40 bytes)', '12', '4.00% of all bytes']);
  assert.equal(describe(model, small).place, 'each less than 5% of all');
  // 500 pixels: half a pixel for a byte; the rest is drawn last, though it is wider than nothing left out before it.
  const rows = layoutRows(model.view, 0, 0, 500, 25);
  assert.deepEqual(rows[2].x, [0, 450]);
  const all = layoutRows(model.view, 0, 0, 500, 1);
  assert.deepEqual([all[2].x, all[2].width], [[0, 450, 480], [450, 30, 20]]);
  assert.equal(all.length, 3);
});

test('the threshold is of the unit that is shown', () => {
  // Blocks: 15 in all; below 20% (3): a with 1 and b with 2.
  const model = looking(SMALL, { least: 20, unit: 'blocks' });
  assert.equal(outline(model), 'all 1000(main 1000(c 34(d 4) e 6 2 smaller 960))');
});

test('inverted, the threshold works the same', () => {
  const model = looking(SMALL, { least: 5, view: 'inverted' });
  assert.equal(outline(model), 'all 1000(a 900(main 900) b 60(main 60) 3 smaller 40)');
});

test('a link leads into what is put together', () => {
  const zoom = (() => {
    const model = looking(SMALL);
    return pathOf(model.view, [...model.view.children(1, 0)].find((id) => model.nameOf(id) === 'c'));
  })();
  const model = looking(SMALL, { least: 5, zoom });
  assert.equal(model.nameOf(model.zoomed), 'c');
});

test('in a difference the threshold is of the widths', () => {
  const text = `
    - a 100 1
    - b 0 0
    - c 2 1`;
  // b is gone: 50 before. Widths: 100 + 50 + 2; 10% of 152 is 15.2.
  const model = looking(text, { least: 10 }, { before: [[0, 0], [50, 1], [0, 0]] });
  assert.equal(outline(model), 'all 102(a 100 b 0 1 smaller 2)');
});

test('the options come back from an address', () => {
  const look = { ...firstLook('peak'), imports: true, onlyProject: true, mergeRecursion: true, least: 0.25, colours: 'share' };
  const address = toAddress(look, firstLook('peak'));
  assert.equal(address, '#imports=shown&code=project&recursion=merged&least=0.25&colours=share');
  assert.deepEqual(fromAddress(address, firstLook('peak'), ['peak'], ['calls']), look);
  // Nonsense is passed over.
  assert.deepEqual(fromAddress('#least=-1&colours=mauve&least=1e9&code=', firstLook('peak'), ['peak'], ['calls']), firstLook('peak'));
});

test('a small share is paler than a large one, whatever the theme', async () => {
  const { shareColor } = await load('colors.js');
  assert.equal(shareColor(1, false), 'hsl(6 86% 68%)');
  assert.equal(shareColor(0.001, false), 'hsl(56 50% 86%)');
  assert.equal(shareColor(0, true), 'hsl(56 18% 28%)');
  assert.equal(shareColor(0.1, true), 'hsl(23 45% 36%)');
});
