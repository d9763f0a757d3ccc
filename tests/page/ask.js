// Asks a page without a browser: own bytes and blocks of each function, as the page's model has them.
//
//     node ask.js page.html '{"metric": "leaked", "from": "one", "to": "two"}' ...
//
// `from`, `to` and `at` are marks or seconds, null for the start and the end; without any the whole run. Prints one line of JSON
// for each question.

import { readFileSync } from 'node:fs';
import { load } from './made.js';

const { readPage, unpackPage } = await load('data.js');
const { Model } = await load('model.js');

const [file, ...questions] = process.argv.slice(2);
const html = readFileSync(file, 'utf8');
const start = html.indexOf('id="data">') + 'id="data">'.length;
const page = readPage(await unpackPage(html.slice(start, html.indexOf('</script>', start))));

const instant = (at, otherwise) => (typeof at === 'string' ? `mark:${at}` : String(at ?? otherwise));
for (const question of questions) {
  const { metric, at, from, to, ...rest } = JSON.parse(question);
  const look = rest;
  if (at !== undefined) look.from = look.to = instant(at);
  if (from !== undefined) [look.from, look.to] = [instant(from, 0), instant(to, page.course.nanos[page.course.parts] / 1e9)];
  const model = new Model(page);
  model.show({ ...model.look, metric: metric ?? model.look.metric, interpreter: true, imports: true, ...look });
  const sums = {};
  for (let id = 1; id < model.tree.size; id++) {
    const [bytes, counts] = [model.own[0][id], model.own[1][id]];
    if (bytes === 0 && counts === 0) continue;
    const sum = (sums[page.frames.name[model.tree.frame[id]]] ??= [0, 0]);
    sum[0] += bytes;
    sum[1] += counts;
  }
  console.log(JSON.stringify(sums));
}
