// Runs in the page before its own scripts: tells when something is on the screen, in the browser's own clock.
//
// A thing is looked for once a frame, after that frame has been painted: what is reported is when the frame that first had
// it was done. The start is the stamp that the browser gave the reader's own event (a press, a letter typed), so time that
// the page was too busy to take it counts.
(() => {
  const watch = { drawn: 0, drawnAt: 0, started: 0 };
  Object.defineProperty(window, '__watch', { value: watch });

  // How often the flame graph's canvas was drawn on: the first call of each drawing counts.
  let counted = -1;
  let frame = 0;
  const count = (context) => {
    if (context.canvas?.id !== 'graph-canvas' || counted === frame) return;
    counted = frame;
    watch.drawn += 1;
    watch.drawnAt = performance.now();
  };
  for (const name of ['fillRect', 'fill', 'fillText', 'drawImage', 'putImageData']) {
    const { prototype } = CanvasRenderingContext2D;
    const real = prototype[name];
    prototype[name] = function draw(...args) {
      count(this);
      return real.apply(this, args);
    };
  }

  const afterPaint = new MessageChannel();
  const waiting = new Set();
  afterPaint.port1.onmessage = () => {
    for (const look of waiting) look(performance.now());
  };
  const tick = () => {
    frame += 1;
    if (waiting.size > 0) afterPaint.port2.postMessage(0);
    requestAnimationFrame(tick);
  };
  requestAnimationFrame(tick);

  /** When `holds` was first seen, in ms since the start of the navigation. */
  watch.seen = (holds) => new Promise((resolve) => {
    const look = (now) => {
      if (!holds()) return;
      waiting.delete(look);
      resolve(now);
    };
    waiting.add(look);
  });

  /** The stamp of the next event of this type starts the clock; `latest`: each later one starts it anew. */
  watch.startAt = (type, latest = false) => {
    watch.started = 0;
    const note = (event) => {
      watch.started = event.timeStamp;
      if (!latest) window.removeEventListener(type, note, true);
    };
    window.addEventListener(type, note, true);
  };
})();
