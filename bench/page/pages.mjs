// What each kind of page has on the screen, and what a reader does to it: how it is told that it opened, and how it is
// zoomed, searched and moved in time. Every action gives milliseconds from the reader's event to the frame that shows its
// outcome, or null if the page has no such thing.

/** The widest frame so many calls deep is what is zoomed in on. */
const DEPTH = 10;
const ROW = { heaptide: 22 };
const TERM = 'decode';
const PATIENCE = 120_000;

/** Starts the clock at the next event of `type`, does something, waits for `holds` (a function in the page). */
async function timed(page, type, act, holds, argument) {
  await page.evaluate(([type, source, argument]) => {
    const holds = new Function('argument', `return (${source})(argument)`);
    window.__watch.startAt(type);
    window.__outcome = window.__watch.seen(() => window.__watch.started > 0 && holds(argument))
      .then((seen) => seen - window.__watch.started);
  }, [type, holds.toString(), argument]);
  await act();
  return within(page.evaluate(() => window.__outcome));
}

function within(promise, limit = PATIENCE) {
  let timer;
  const late = new Promise((_, reject) => { timer = setTimeout(() => reject(new Error('nothing came of it')), limit); });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

async function typed(page, field) {
  await page.locator(field).click();
  return () => page.keyboard.insertText(TERM);
}

/** Parts of the run to places in the plot over time; null if the page has none. */
async function timeline(page) {
  const box = await page.locator('#timeline-canvas').boundingBox();
  return box && ((part) => [box.x + 70 + (box.width - 90) * part, box.y + box.height / 2]);
}

const headline = (page) => page.locator('header .headline').textContent();

/** Until the numbers at the top are others, and the graph was drawn again. */
async function changed(page, type, act) {
  const holds = (said) => document.querySelector('header .headline').textContent !== said && window.__watch.drawnAt > window.__watch.started;
  return within(timed(page, type, act, holds, await headline(page)), 5_000);
}

export const heaptide = {
  opened: () => window.__watch.drawn > 0 && !document.getElementById('page').hidden && document.getElementById('total').textContent !== '',

  async zoom(page) {
    const box = await page.locator('#graph').boundingBox();
    await page.evaluate(() => { window.__before = window.__watch.drawn; });
    // The widest stands on the left.
    const first = await timed(page, 'click', () => page.mouse.click(box.x + 12, box.y + ROW.heaptide * DEPTH + 11),
      () => window.location.hash.includes('zoom=') && window.__watch.drawn > window.__before);
    await page.keyboard.press('0');
    await page.waitForFunction(() => !window.location.hash.includes('zoom='));
    return { first, settled: first };
  },

  async search(page) {
    const act = await typed(page, '#search');
    await page.evaluate(() => { window.__before = window.__watch.drawn; });
    const first = await timed(page, 'input', act,
      () => document.getElementById('search-result').textContent !== '' && window.__watch.drawn > window.__before);
    await page.locator('#search').fill('');
    await page.waitForFunction(() => document.getElementById('search-result').textContent === '');
    await page.locator('#graph').focus();
    return first;
  },

  /** Two fifths of the timeline are chosen, then one end of them moved on by a tenth. */
  async window(page) {
    const place = await timeline(page);
    if (!place) return null;
    const before = await headline(page);
    await page.mouse.move(...place(0.2));
    await page.mouse.down();
    await page.mouse.move(...place(0.6), { steps: 6 });
    await page.waitForTimeout(600);
    const follows = await headline(page) !== before;
    const first = follows ? await changed(page, 'pointermove', () => page.mouse.move(...place(0.7))) : null;
    await page.mouse.up();
    await page.waitForTimeout(200);
    return follows ? first : null;
  },

  /** A click, which shows an instant. */
  async instant(page) {
    const place = await timeline(page);
    return place && changed(page, 'pointerup', () => page.mouse.click(...place(0.35))).catch(() => null);
  },

  async invert(page) {
    await page.locator('#graph').focus();
    await page.evaluate(() => { window.__before = window.__watch.drawn; });
    const first = await timed(page, 'keydown', () => page.keyboard.press('i'),
      () => window.location.hash.includes('view=inverted') && window.__watch.drawn > window.__before);
    await page.keyboard.press('i');
    await page.waitForFunction(() => !window.location.hash.includes('view='));
    return first;
  },

  async table(page) {
    const first = await timed(page, 'keydown', () => page.keyboard.press('t'),
      () => window.location.hash.includes('view=table') && document.querySelectorAll('#table tr, #table [role="row"]').length > 1);
    await page.keyboard.press('t');
    await page.waitForFunction(() => !window.location.hash.includes('view='));
    return first;
  },
};

export const memray = {
  opened: () => document.querySelectorAll('#chart svg g').length > 0,

  /** Its zoom is a quarter of a second of animation: the first frame that moves, and the one in which it stands. */
  async zoom(page) {
    const place = await page.evaluate((depth) => {
      const frames = [...document.querySelectorAll('#chart svg g')].filter((g) => g.__data__?.depth === depth);
      const widest = frames.reduce((a, b) => (b.getBoundingClientRect().width > a.getBoundingClientRect().width ? b : a));
      widest.scrollIntoView({ block: 'center' });
      const box = widest.getBoundingClientRect();
      Object.assign(window, { __zoomed: widest, __before: widest.querySelector('rect').getAttribute('width') });
      return [box.x + box.width / 2, box.y + box.height / 2];
    }, DEPTH);
    await page.mouse.move(...place);
    const first = timed(page, 'click', () => page.mouse.click(...place),
      () => window.__zoomed.querySelector('rect').getAttribute('width') !== window.__before);
    const started = await first;
    const settled = await within(page.evaluate(() => window.__watch.seen(() =>
      window.__zoomed.getBoundingClientRect().width > document.getElementById('chart').clientWidth - 4)
      .then((seen) => seen - window.__watch.started)));
    await page.keyboard.press('Escape');
    await page.waitForTimeout(400);
    return { first: started, settled: Math.max(started, settled) };
  },

  async search(page) {
    return timed(page, 'input', await typed(page, '#searchTerm'),
      () => document.querySelector('#chart svg rect[fill="orange"]') !== null);
  },

  window: async () => null,
  instant: async () => null,
  invert: async () => null,
  table: async () => null,
};

export const temporal = {
  ...memray,

  /** The right handle of the slider under the plot is moved to 60 %, then on. The page waits half a second by itself. */
  async window(page) {
    await page.evaluate(() => window.scrollTo(0, 0));
    const [slider, handle] = [page.locator('.rangeslider-container').first(), page.locator('.rangeslider-grabarea-max').first()];
    const [box, grab] = [await slider.boundingBox(), await handle.boundingBox()];
    const at = (part) => [box.x + box.width * part, grab.y + grab.height / 2];
    const redrawn = () => document.querySelector('#chart svg') !== window.__old && document.querySelector('#chart svg g') !== null
      && document.getElementById('loading').style.display === 'none';
    const remember = () => page.evaluate(() => { window.__old = document.querySelector('#chart svg'); });
    await remember();
    await page.mouse.move(grab.x + grab.width / 2, grab.y + grab.height / 2);
    await page.mouse.down();
    await timed(page, 'mousemove', () => page.mouse.move(...at(0.6), { steps: 6 }), redrawn);
    await page.waitForTimeout(600);
    await remember();
    const first = await timed(page, 'mousemove', () => page.mouse.move(...at(0.7)), redrawn);
    await page.mouse.up();
    return first;
  },
};

export const table = {
  ...memray,
  opened: () => document.querySelectorAll('#the_table tbody tr').length > 0,
  zoom: async () => ({ first: null, settled: null }),

  async search(page) {
    return timed(page, 'input', await typed(page, '#searchTerm'),
      () => document.getElementById('the_table_info').textContent.includes('filtered'));
  },
};
