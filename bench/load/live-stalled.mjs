import { closeAll, HttpConnection } from './http-connection.mjs';
import { appendRequest, createRequest } from './http-request.mjs';
import { isQuiet, openReaders } from './live-reader.mjs';
import { nextOffset } from './posts.mjs';
import { whileProgressing } from './progress.mjs';
import { measureUsage } from './usage.mjs';

const SETTLE_MS = 200;

/** Appends to readers over SSE, of whom some never read, as fast as the server confirms; over when all others have everything. */
export async function liveStalled(parameters) {
  await pass('/warm-up', { ...parameters, messages: Math.ceil(parameters.messages / 8), stalled: 0 });
  return pass('/timed', parameters);
}

async function pass(name, { target, readers: count, stalled, messages, messageBytes }) {
  const appender = await HttpConnection.open(target.port);
  const opened = [];
  try {
    const offset = nextOffset(await appender.expect(createRequest(name), 201));
    const open = async (number) => {
      const some = await openReaders(target.port, number, { name, kind: 'sse', offset });
      opened.push(...some);
      return some;
    };
    const readers = await open(count);
    for (const reader of await open(stalled)) reader.stall();
    await isQuiet(target.port, name, SETTLE_MS);

    const message = appendRequest(name, Buffer.from('#'.padStart(messageBytes, 'a')));
    const usage = measureUsage(target.pid);
    const arrived = allHave(readers, messages);
    const sent = (async () => {
      for (let i = 0; i < messages; i++) await appender.expect(message, 204);
    })();
    const progress = () => readers.reduce((sum, { appends }) => sum + appends, 0);
    await whileProgressing(Promise.all([arrived, sent]), progress, name);
    return usage();
  } finally {
    closeAll(opened);
    appender.close();
  }
}

function allHave(readers, messages) {
  let missing = readers.length;
  return new Promise((resolve, reject) => {
    for (const reader of readers) {
      reader.onFailure = reject;
      reader.onAppend = () => {
        if (reader.appends > messages) reject(new Error('a reader got an append twice'));
        if (reader.appends === messages) missing--;
        if (missing === 0) resolve();
      };
    }
  });
}
