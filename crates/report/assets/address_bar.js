// @ts-check
// The browser's address and history, written no more often than browsers allow: 200 times in ten seconds, Safari 100; what is
// written beyond that is lost, and a drag over the plot would write 60 times a second.

/** Milliseconds between two writings in place of the last one. */
const BETWEEN = 100;

export class AddressBar {
  constructor() {
    /** What waits to be written in place of the last. @type {{steps: number, address: string} | null} */
    this.waiting = null;
    this.timer = 0;
    this.last = -Infinity;
    addEventListener('pagehide', () => this.flush());
  }

  /** In place of the last one, soon. @param {number} steps @param {string} address */
  replace(steps, address) {
    this.waiting = { steps, address };
    clearTimeout(this.timer);
    const wait = this.last + BETWEEN - performance.now();
    if (wait > 0) this.timer = setTimeout(() => this.flush(), wait);
    else this.flush();
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
    this.last = performance.now();
    try {
      history[how]({ steps }, '', address);
    } catch {
      // In a frame without an address of its own the page works, only without links and the back button.
    }
  }
}
