// Run as a process of its own: `node client-memory.mjs append|follow URL BYTES`.
// Streams so many bytes, known by their position, and says `open` when it is
// open and `done GROWTH` when all went well: how much resident memory it took at
// most on top of what it had after the first ones, in bytes.

import { once } from 'node:events';
import { follow, openAppend } from '../../../dist/lib/client.js';

const [role, url, size] = process.argv.slice(2);
const total = Number(size);

// A prime, so that no size that anything is cut into divides it.
const BLOCK_BYTES = 1_000_003;
const block = Buffer.alloc(BLOCK_BYTES);
for (let i = 0; i < BLOCK_BYTES; i++) block[i] = (i * 2_654_435_761) >>> 24;

const stream = role === 'append' ? openAppend(url) : follow(url);
await once(stream, 'open');
process.stdout.write('open\n');
/** Until then the heap finds its size: Node collects buffers late as long as there is no need. */
const WARM_UP_BYTES = 64 * 1024 * 1024;
let streamed = 0;
let warm = 0;
let peak = 0;
function sample() {
  const resident = process.memoryUsage.rss();
  if (streamed < WARM_UP_BYTES) warm = Math.max(warm, resident);
  peak = Math.max(peak, resident);
}
const sampling = setInterval(sample, 20);
sample();

if (role === 'append') {
  for (let at = 0; at < total; at += BLOCK_BYTES) {
    if (!stream.write(block.subarray(0, Math.min(BLOCK_BYTES, total - at)))) await once(stream, 'drain');
    streamed = at;
  }
  await stream.close();
  if (stream.acknowledgedBytes !== total) throw new Error(`${stream.acknowledgedBytes} bytes are safe`);
} else {
  let position = 0;
  for await (const chunk of stream) {
    for (let at = 0; at < chunk.length; ) {
      const start = (position + at) % BLOCK_BYTES;
      const length = Math.min(chunk.length - at, BLOCK_BYTES - start);
      if (chunk.compare(block, start, start + length, at, at + length) !== 0) {
        throw new Error(`wrong bytes after ${position + at}`);
      }
      at += length;
    }
    position += chunk.length;
    streamed = position;
  }
  if (position !== total) throw new Error(`${position} bytes came`);
}
clearInterval(sampling);
sample();
process.stdout.write(`done ${peak - warm}\n`);
