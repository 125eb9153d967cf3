import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { expect, test } from 'vitest';
import { pattern } from './support/pattern.ts';
import { diskDirectory } from './support/server/server.ts';
import { ServerProcess } from './support/server/server-process.ts';
import { waitFor } from './support/wait-for.ts';
import { Peer } from './support/websocket/peer.ts';

test('a server that is killed in mid-append has lost nothing that a follower saw, and goes on at the end of the file', async () => {
  const root = await diskDirectory();
  const contents = () => readFile(path.join(root, 'a.log'));
  let size = 0;

  for (let round = 0; round < 2; round++) {
    const server = await ServerProcess.start(root);
    const appender = await Peer.connect(server.url('/a.log'), 'APPEND');
    const followers = await Promise.all(
      Array.from({ length: 4 }, () => Peer.connect(server.url('/a.log'), 'FOLLOW')),
    );
    let sent = size;
    let isSending = true;
    const sending = (async () => {
      while (isSending) {
        await appender.send(pattern(sent, 20_000));
        sent += 20_000;
        // Never far ahead, so that the file stays small.
        await waitFor(
          () => !isSending || followers.some(({ byteCount }) => byteCount > sent - 400_000),
          'followers',
        );
      }
    })().catch(() => undefined);
    const target = size + 300_000 + round * 100_000;
    await waitFor(() => followers.every(({ byteCount }) => byteCount > target), 'enough to arrive');
    expect(await server.stop('SIGKILL')).toBe('SIGKILL');
    isSending = false;
    await sending;
    await waitFor(
      () => followers.every(({ closeCode }) => closeCode !== undefined),
      'the followers to notice',
    );

    const file = await contents();
    expect(file.length).toBeLessThanOrEqual(sent);
    expect(file.equals(pattern(0, file.length))).toBe(true);
    for (const { bytes, closeCode } of followers) {
      expect(closeCode).toBe(1006);
      expect(bytes.equals(file.subarray(0, bytes.length))).toBe(true);
    }
    size = file.length;
  }

  const server = await ServerProcess.start(root);
  const appender = await Peer.connect(server.url('/a.log'), 'APPEND');
  await appender.send(pattern(size, 1000));
  await appender.finish();
  expect((await contents()).equals(pattern(0, size + 1000))).toBe(true);
  expect(await server.stop('SIGTERM')).toBe(0);
});
