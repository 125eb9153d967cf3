import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { expect, test } from 'vitest';
import WebSocket from 'ws';
import { pattern } from './support/pattern.ts';
import { Peer } from './support/peers.ts';
import { temporaryDirectory } from './support/server.ts';
import { ServerProcess } from './support/server-process.ts';
import { waitFor } from './support/wait-for.ts';

/** `npm run soak` runs the long form, `npm test` the short one. */
const { appenders, followersOfEach, seconds } = process.env.HTTPFSTREAM_SOAK
  ? { appenders: 200, followersOfEach: 10, seconds: 60 }
  : { appenders: 20, followersOfEach: 10, seconds: 4 };

const MESSAGE_INTERVAL_MS = 50;

/** Follows and keeps a digest, not the bytes. */
async function digestFollower(url: string) {
  const websocket = new WebSocket(url, { headers: { 'X-Verb': 'FOLLOW' }, skipUTF8Validation: true });
  const hash = createHash('sha256');
  const state = { closeCode: undefined as number | undefined, digest: () => hash.digest('hex') };
  websocket.on('message', (message: Buffer) => hash.update(message));
  websocket.on('close', (code) => {
    state.closeCode = code;
  });
  await once(websocket, 'open');
  return state;
}

test(`${appenders} appenders with ${followersOfEach} followers each lose nothing, and leave nothing behind`, async () => {
  const root = await temporaryDirectory();
  const server = await ServerProcess.start(root);
  await waitFor(() => server.descriptorCount() > 0, 'the server');
  const descriptorsBefore = server.descriptorCount();

  const streams = await Promise.all(
    Array.from({ length: appenders }, async (_, i) => {
      const url = server.url(`/stream-${i}`);
      const appender = await Peer.connect(url, 'APPEND');
      const followers = await Promise.all(Array.from({ length: followersOfEach }, () => digestFollower(url)));
      return { name: `stream-${i}`, appender, followers, size: 0 };
    }),
  );

  const started = performance.now();
  const residentMiB: number[] = [];
  await Promise.all([
    ...streams.map(async (stream, i) => {
      // A pace, not a wait for something: the load is spread over the time.
      while (performance.now() - started < seconds * 1000) {
        const size = 200 + ((i * 37 + stream.size) % 1800);
        await stream.appender.send(pattern(stream.size, size));
        stream.size += size;
        await delay(MESSAGE_INTERVAL_MS);
      }
      await stream.appender.end();
    }),
    (async () => {
      while (performance.now() - started < seconds * 1000) {
        residentMiB.push(server.residentMiB());
        await delay(seconds * 50);
      }
    })(),
  ]);
  await waitFor(
    () => streams.every(({ followers }) => followers.every(({ closeCode }) => closeCode !== undefined)),
    'all ends',
  );

  for (const { name, followers, size } of streams) {
    const file = await readFile(path.join(root, name));
    expect(file.equals(pattern(0, size))).toBe(true);
    const digest = createHash('sha256').update(file).digest('hex');
    for (const follower of followers) {
      expect(follower.closeCode).toBe(1000);
      expect(follower.digest()).toBe(digest);
    }
  }
  const half = residentMiB.slice(residentMiB.length / 2);
  expect(Math.max(...half) - (half[0] as number)).toBeLessThan(48);
  await waitFor(() => server.descriptorCount() <= descriptorsBefore, 'all descriptors to be closed');
  expect(await server.stop('SIGTERM')).toBe(0);
}, 180_000);
