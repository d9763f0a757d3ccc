// @ts-check
// Memory over time as it was looked at, with the highest instants between: what came and went between two looks is seen, and the
// peak of the run stands where its mark is. Pure.

/**
 * @typedef {import('./data.js').Timeline} Timeline
 * @typedef {import('./course.js').Course} Course
 */

/**
 * @param {Timeline} looked  as it was looked at, in the order of time; empty if it is not of what the page is of
 * @param {Course | null} course
 * @returns {Timeline} where the course has a highest instant above the line, a point more; RSS there is that of the look before
 */
export function withHighest(looked, course) {
  if (course === null || course.parts === 0) return looked;
  const line = looked.length > 0 ? looked : lineOfInstants(course);
  /** @type {number[][]} */
  const points = [];
  let part = 0;
  for (let i = 0; i <= line.length; i++) {
    const until = i < line.length ? line.seconds[i] : Infinity;
    for (; part < course.parts && course.peakNanos[part] / 1e9 < until; part++) {
      const at = course.peakNanos[part] / 1e9;
      if (course.peakBytes[part] > lineAt(line, i, at)) points.push([at, course.peakBytes[part], i > 0 ? line.rss[i - 1] : 0]);
    }
    if (i < line.length) points.push([until, line.live[i], line.rss[i]]);
  }
  const column = (/** @type {number} */ c) => Float64Array.from(points, (point) => point[c]);
  return { seconds: column(0), live: column(1), rss: column(2), length: points.length };
}

/** What was live at the instants between the parts. @param {Course} course @returns {Timeline} */
function lineOfInstants(course) {
  const { length } = course.nanos;
  return { seconds: course.nanos.map((nanos) => nanos / 1e9), live: course.live, rss: new Float64Array(length), length };
}

/**
 * The line where it goes to point `i`, at a time before that.
 * @param {Timeline} line
 * @param {number} i
 * @param {number} at
 */
function lineAt({ seconds, live, length }, i, at) {
  if (i === 0) return 0;
  if (i === length) return live[i - 1];
  const [from, to] = [seconds[i - 1], seconds[i]];
  return to > from ? live[i - 1] + ((live[i] - live[i - 1]) * (at - from)) / (to - from) : Math.max(live[i - 1], live[i]);
}
