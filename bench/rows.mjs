// Measures how fast the page makes rows of bytes, in windows of 64 KiB, beside the terminal that is the
// oracle of the tests. Needs build/ (npm run build). Processor time: other programs disturb less.

import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import headless from '@xterm/headless';
import { marksIn } from '../build/src/page/groups/marks.js';
import { stateAfter } from '../build/src/page/log/pen.js';
import { rowsOf } from '../build/src/page/log/rows.js';

const WINDOW_BYTES = 64 * 1024;
const TOTAL_BYTES = 16 * 1024 * 1024;
const RECORDINGS = fileURLToPath(new URL('../test/fixtures/terminal/', import.meta.url));

const recordings = Buffer.concat(readdirSync(RECORDINGS).map((name) => readFileSync(RECORDINGS + name)));
const contents = {
  'plain lines': 'some text of a line that a program may write, of a usual length, 0123456789\n',
  'coloured words': '\x1b[32mok\x1b[0m some \x1b[1;31mtext\x1b[0m of a line \x1b[38;5;208m0123\x1b[0m\n',
  'not ASCII': 'Größe: 漢字 и кириллица, ✔ done 🎉\n',
  'progress with CR': '\r 45%|██████████          | 45/100 [00:01<00:02, 33.1it/s]',
  'recorded programs': recordings,
};

for (const [name, content] of Object.entries(contents)) {
  const part = Buffer.from(content);
  const bytes = Buffer.concat(Array(Math.ceil(WINDOW_BYTES / part.length)).fill(part)).subarray(
    0,
    WINDOW_BYTES,
  );
  const terminal = new headless.Terminal({ rows: 200, cols: 500, allowProposedApi: true });
  const speeds = {
    rows: await speedOf(() => rowsOf(bytes, 0)),
    'state only': await speedOf(() => stateAfter(bytes)),
    'marks only': await speedOf(() => marksIn(bytes, 0)),
    '@xterm/headless': await speedOf(() => new Promise((resolve) => terminal.write(bytes, resolve))),
  };
  const shown = Object.entries(speeds).map(([what, speed]) => `${what} ${speed.toFixed(0)} MB/s`);
  process.stdout.write(`${name}: ${shown.join(', ')}\n`);
}

/** Megabytes in a second of processor time. */
async function speedOf(work) {
  await work();
  const start = process.cpuUsage();
  for (let done = 0; done < TOTAL_BYTES; done += WINDOW_BYTES) await work();
  const { user, system } = process.cpuUsage(start);
  return TOTAL_BYTES / (user + system);
}
