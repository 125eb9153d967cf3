import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { expect, test } from 'vitest';
import WebSocket from 'ws';
import { openAppend } from '../src/client/append/open-append.ts';
import { follow } from '../src/client/follow/follow.ts';
import { pattern } from './support/pattern.ts';
import { diskDirectory } from './support/server/server.ts';
import { ServerProcess } from './support/server/server-process.ts';
import { waitFor } from './support/wait-for.ts';
import { Peer } from './support/websocket/peer.ts';

/** `npm run soak` runs the long form, `npm test` the short one. */
const { appenders, followersOfEach, seconds } = process.env.HTTPFSTREAM_SOAK
  ? { appenders: 200, followersOfEach: 10, seconds: 60 }
  : { appenders: 12, followersOfEach: 8, seconds: 2 };

const MESSAGE_INTERVAL_MS = 50;

/** Follows and keeps a digest, not the bytes. */
interface DigestFollower {
  digest: () => string;
  hasEnded: boolean;
  isFinished: boolean;
}

async function legacyFollower(url: string): Promise<DigestFollower> {
  const websocket = new WebSocket(url, { headers: { 'X-Verb': 'FOLLOW' }, skipUTF8Validation: true });
  const hash = createHash('sha256');
  const follower = { digest: () => hash.digest('hex'), hasEnded: false, isFinished: false };
  websocket.on('message', (message: Buffer) => hash.update(message));
  websocket.on('close', (code) => {
    follower.hasEnded = true;
    follower.isFinished = code === 1000;
  });
  await once(websocket, 'open');
  return follower;
}

async function clientFollower(url: string): Promise<DigestFollower> {
  const stream = follow(url);
  const hash = createHash('sha256');
  const follower = { digest: () => hash.digest('hex'), hasEnded: false, isFinished: false };
  stream.on('data', (chunk: Buffer) => hash.update(chunk));
  stream.on('error', () => undefined);
  stream.on('close', () => {
    follower.hasEnded = true;
    follower.isFinished = stream.readableEnded && stream.reason === 'finished';
  });
  await once(stream, 'open');
  return follower;
}

/** What sends and ends. */
type StreamAppender = Pick<Peer, 'send' | 'finish'>;

async function clientAppender(url: string): Promise<StreamAppender> {
  const stream = openAppend(url);
  await once(stream, 'open');
  return {
    send: (bytes) =>
      new Promise((resolve, reject) => {
        stream.write(bytes, (error) => (error ? reject(error) : resolve()));
      }),
    finish: async () => {
      await stream.close();
    },
  };
}

test(`${appenders} appenders with ${followersOfEach} followers each lose nothing, and leave nothing behind`, async () => {
  const root = await diskDirectory();
  const server = await ServerProcess.start(root);
  await waitFor(() => server.descriptorCount() > 0, 'the server');
  const descriptorsBefore = server.descriptorCount();

  const streams = await Promise.all(
    Array.from({ length: appenders }, async (_, i) => {
      const url = server.url(`/stream-${i}`);
      // Half of each speak the subprotocol, in every combination.
      const appender: StreamAppender =
        i % 2 === 0 ? await Peer.connect(url, 'APPEND') : await clientAppender(url);
      const followers = await Promise.all(
        Array.from({ length: followersOfEach }, (_, j) =>
          j % 2 === 0 ? legacyFollower(url) : clientFollower(url),
        ),
      );
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
      await stream.appender.finish();
    }),
    (async () => {
      while (performance.now() - started < seconds * 1000) {
        residentMiB.push(server.residentMiB());
        await delay(seconds * 50);
      }
    })(),
  ]);
  await waitFor(
    () => streams.every(({ followers }) => followers.every(({ hasEnded }) => hasEnded)),
    'all ends',
  );

  for (const { name, followers, size } of streams) {
    const file = await readFile(path.join(root, name));
    expect(file.equals(pattern(0, size))).toBe(true);
    const digest = createHash('sha256').update(file).digest('hex');
    for (const follower of followers) {
      expect(follower.isFinished).toBe(true);
      expect(follower.digest()).toBe(digest);
    }
  }
  const half = residentMiB.slice(residentMiB.length / 2);
  expect(Math.max(...half) - (half[0] as number)).toBeLessThan(48);
  // One for all watches of directories stays.
  await waitFor(() => server.descriptorCount() <= descriptorsBefore + 1, 'all descriptors to be closed');
  expect(await server.stop('SIGTERM')).toBe(0);
});
