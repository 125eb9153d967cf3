import { once } from 'node:events';
import { truncate } from 'node:fs/promises';
import path from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import { expect, onTestFinished, test } from 'vitest';
import { type FollowOptions, follow, openAppend } from '../../../src/client/index.ts';
import { startOrigin, startRelay } from '../../support/relay/origin.ts';
import { waitFor } from '../../support/wait-for.ts';

/** So many come back in the turns of the event loop in which the copy is dropped. */
const RETURNING = 60;

const BUSY = 'busy';

/** What they may be told: it was cut while they read it, or before, has another end, or they are to come again. */
const ENDINGS = [
  BUSY,
  'ended',
  'HFS_STREAM_TRUNCATED',
  'HFS_RANGE_NOT_SATISFIABLE',
  'HFS_STREAM_INTERRUPTED',
];

test('who comes while the copy of a file that was cut is being dropped is not told that there is nothing', async () => {
  const origin = await startOrigin();
  const relay = await startRelay(origin.url(''));
  const last = await startRelay(relay.url(''));
  const appender = openAppend(origin.url('/f'));
  appender.on('error', () => undefined);
  onTestFinished(() => void appender.destroy());
  appender.write('what is cut');
  const reader = follow(last.url('/f'));
  const [{ generation }] = (await once(reader, 'open')) as [{ generation: number }];
  reader.resume().on('error', () => undefined);
  await waitFor(() => reader.position === 11, 'all of it');
  await truncate(path.join(origin.root, 'f'), 0);
  appender.write('.');
  const endings: Promise<string>[] = [];
  const join = (url: string, options: FollowOptions) => {
    const stream = follow(url, { ...options, retry: false });
    endings.push(
      new Promise((resolve) => {
        stream
          .resume()
          .once('error', ({ code, status }: Error & { code?: string; status?: number }) =>
            resolve(status === 503 ? BUSY : `${code}`),
          )
          .once('end', () => resolve('ended'));
        stream.on('error', () => undefined);
      }),
    );
  };
  for (let i = 0; i < RETURNING; i++) {
    for (const server of [relay, last]) {
      join(server.url('/f'), { from: 11, generation });
      join(server.url('/f'), {});
    }
    if (i % 8 === 0) await turn();
  }
  for (const ending of new Set(await Promise.all(endings))) expect(ENDINGS).toContain(ending);
});
