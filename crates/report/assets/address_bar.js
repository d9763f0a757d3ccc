// @ts-check
// The browser's address and history, written no more often than browsers allow: 200 times in ten seconds, Safari 100; what is
// written beyond that is lost, and a drag over the plot would write 60 times a second.

/** So many writings in place of the last one may come at once; after them one in so many milliseconds. 95 in ten seconds. */
const AT_ONCE = 15;
const BETWEEN = 125;

export class AddressBar {
  constructor() {
    /** What waits to be written in place of the last. @type {{steps: number, address: string} | null} */
    this.waiting = null;
    this.timer = 0;
    /** Writings that may come at once, as of when they were counted; from AT_ONCE down. */
    this.left = AT_ONCE;
    this.counted = performance.now();
    addEventListener('pagehide', () => this.flush());
  }

  /** In place of the last one, soon. @param {number} steps @param {string} address */
  replace(steps, address) {
    this.waiting = { steps, address };
    clearTimeout(this.timer);
    this.count();
    if (this.left >= 1) this.flush();
    else this.timer = setTimeout(() => this.flush(), (1 - this.left) * BETWEEN);
  }

  /** As a new step, at once. @param {number} steps @param {string} address */
  push(steps, address) {
    this.flush();
    this.write('pushState', steps, address);
  }

  /** Writes what waits. */
  flush() {
    const { waiting } = this;
    this.forget();
    if (waiting) this.write('replaceState', waiting.steps, waiting.address);
  }

  /** What may be written now. */
  count() {
    const now = performance.now();
    this.left = Math.min(AT_ONCE, this.left + (now - this.counted) / BETWEEN);
    this.counted = now;
  }

  /** What waits is no longer true. */
  forget() {
    clearTimeout(this.timer);
    this.waiting = null;
  }

  /**
   * @param {'pushState' | 'replaceState'} how
   * @param {number} steps
   * @param {string} address
   */
  write(how, steps, address) {
    this.count();
    this.left -= 1;
    try {
      history[how]({ steps }, '', address);
    } catch {
      // In a frame without an address of its own the page works, only without links and the back button.
    }
  }
}
