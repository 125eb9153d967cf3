import { closeAll, HttpConnection } from './http-connection.mjs';
import { appendRequest, createRequest } from './http-request.mjs';
import { isQuiet, openReaders } from './live-reader.mjs';
import { nextOffset } from './posts.mjs';
import { whileProgressing } from './progress.mjs';
import { measureUsage } from './usage.mjs';

const WARM_UP_APPENDS = 10;

/** Long enough that long-polls are waiting again. */
const SETTLE_MS = 20;

/** The vendor's server writes to its database for each reader first. */
const STALL_MS = 60_000;

const NAME = '/live';

/** One short append after the other, each when every reader has the last one. */
export async function live({ target, kind, readers: count, appends, messageBytes }) {
  const appender = await HttpConnection.open(target.port);
  let readers = [];
  try {
    const offset = nextOffset(await appender.expect(createRequest(NAME), 201));
    readers = await openReaders(target.port, count, { name: NAME, kind, offset });
    const message = appendRequest(NAME, Buffer.from('#'.padStart(messageBytes, 'a')));
    const samplesMs = [];
    let usage;
    for (let i = 0; i < WARM_UP_APPENDS + appends; i++) {
      await isQuiet(target.port, NAME, SETTLE_MS);
      if (i === WARM_UP_APPENDS) usage = measureUsage(target.pid);
      const tookMs = await appendToAll(appender, message, readers, i + 1);
      if (i >= WARM_UP_APPENDS) samplesMs.push(tookMs);
    }
    samplesMs.sort((a, b) => a - b);
    return {
      ...usage(),
      p50Ms: samplesMs[Math.floor(samplesMs.length / 2)],
      p99Ms: samplesMs[Math.min(samplesMs.length - 1, Math.floor(samplesMs.length * 0.99))],
    };
  } finally {
    closeAll(readers);
    appender.close();
  }
}

/** Milliseconds from the call that sends the append to the read that brings it to the last reader. */
async function appendToAll(appender, message, readers, appends) {
  let missing = readers.length;
  const arrived = new Promise((resolve, reject) => {
    for (const reader of readers) {
      reader.onFailure = reject;
      reader.onAppend = () => {
        if (reader.appends > appends) reject(new Error('a reader got an append twice'));
        else missing--;
        if (missing === 0) resolve(performance.now());
      };
    }
  });
  const startedAt = performance.now();
  const [arrivedAt] = await whileProgressing(
    Promise.all([arrived, appender.expect(message, 204)]),
    () => missing,
    `append ${appends}`,
    { stallMs: STALL_MS },
  );
  return arrivedAt - startedAt;
}
