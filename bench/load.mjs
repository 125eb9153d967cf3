// The load generator: a process of its own, so that it takes no time from the
// server. Gets what to do as one JSON argument and prints the figures as one
// line of JSON on stdout; a failure is one line on stderr and exit code 1.

import { download } from './load/download.mjs';
import { idle } from './load/idle.mjs';
import { latency } from './load/latency.mjs';
import { live } from './load/live.mjs';
import { liveStalled } from './load/live-stalled.mjs';
import { many, manyCheck } from './load/many.mjs';
import { posts } from './load/posts.mjs';
import { tail } from './load/tail.mjs';
import { throughput } from './load/throughput.mjs';
import { upload } from './load/upload.mjs';

const MODES = {
  download,
  idle,
  latency,
  live,
  liveStalled,
  many,
  manyCheck,
  posts,
  tail,
  throughput,
  upload,
};

const { mode, ...parameters } = JSON.parse(process.argv[2]);
try {
  const figures = await MODES[mode](parameters);
  // Connections that are still being closed do not matter any more.
  process.stdout.write(`${JSON.stringify(figures)}\n`, () => process.exit(0));
} catch (error) {
  const cause = error.cause === undefined ? '' : ` (${error.cause.message})`;
  process.stderr.write(`${error.message}${cause}\n`, () => process.exit(1));
}
