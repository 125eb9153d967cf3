import { rename, rm, truncate, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { NameWatches } from '../../../src/storage/root/name-watches.ts';
import { join, startCore } from '../../support/core/harness.ts';
import { waitFor } from '../../support/wait-for.ts';

/** What may happen to the file of a session that is quiet, and how it ends then. */
const CHANGES: [string, (file: string) => Promise<unknown>, string][] = [
  ['deleted', (file) => rm(file), 'deleted'],
  ['renamed', (file) => rename(file, `${file}-old`), 'deleted'],
  [
    'replaced',
    async (file) => {
      await writeFile(`${file}-new`, 'another file');
      await rename(`${file}-new`, file);
    },
    'deleted',
  ],
  ['cut', (file) => truncate(file, 2), 'truncated'],
];

async function quietSession() {
  const core = await startCore();
  const appender = await core.open('directory/f');
  const sink = join(appender);
  appender.append(Buffer.from('bytes'));
  await waitFor(() => sink.bytes.length === 5, 'the bytes');
  onTestFinished(() => core.core.close());
  return { ...core, appender, sink, file: path.join(core.directory, 'directory/f') };
}

describe.each(['the system tells', 'the system does not tell'])(
  'a file that is changed by another program, where %s',
  (how) => {
    test.each(CHANGES)('%s, ends its session', async (_what, change, reason) => {
      if (how === 'the system does not tell') {
        const watching = vi
          .spyOn(NameWatches.prototype, 'look')
          .mockReturnValue({ isThere: true, isNotified: false });
        onTestFinished(() => watching.mockRestore());
      }
      const { sink, file } = await quietSession();
      await change(file);
      await waitFor(() => sink.endReason !== undefined, 'the end');
      expect(sink.endReason).toBe(reason);
    });
  },
);

test('what the system tells is looked at though no sweep comes', async () => {
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
  onTestFinished(() => void vi.useRealTimers());
  const { sink, file } = await quietSession();
  await truncate(file, 2);
  await waitFor(() => sink.endReason !== undefined, 'the end');
  expect(sink.endReason).toBe('truncated');
});

test('what the session itself writes is no news until it rests', async () => {
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
  onTestFinished(() => void vi.useRealTimers());
  const { root, appender } = await quietSession();
  const peeking = vi.spyOn(root, 'peek');
  onTestFinished(() => peeking.mockRestore());
  const begunMs = performance.now();
  let writtenMs = begunMs;
  let rests = 0;
  while (writtenMs - begunMs < 1000) {
    appender.append(Buffer.from('x'));
    await appender.ready();
    await delay(2);
    const nowMs = performance.now();
    // On a slow machine it may rest.
    if (nowMs - writtenMs > 200) rests++;
    writtenMs = nowMs;
  }
  const looks = peeking.mock.calls.length;
  // One is the first.
  expect(looks).toBeLessThanOrEqual(1 + rests);
  // Something else may have changed it with the last of them.
  await waitFor(() => peeking.mock.calls.length > looks, 'a look');
  await appender.end('finished');
});
