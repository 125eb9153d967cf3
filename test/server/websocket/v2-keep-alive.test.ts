import { once } from 'node:events';
import { describe, expect, test } from 'vitest';
import { NEVER_MS, PATIENCE_MS } from '../../support/patience.ts';
import { startServer } from '../../support/server/server.ts';
import { waitFor } from '../../support/wait-for.ts';
import { fileText } from '../../support/websocket/appends.ts';
import { Peer } from '../../support/websocket/peer.ts';
import { sessionOf, V2Peer } from '../../support/websocket/v2-peer.ts';

const KEEP_ALIVE_MS = 60;

const MiB = 1024 * 1024;

/** Resolves after the server has pinged `websocket` as many times: by then it would have cut who does not answer. */
async function pings(peer: Pick<V2Peer, 'websocket'>, count: number): Promise<void> {
  for (let i = 0; i < count; i++) {
    await once(peer.websocket, 'ping', { signal: AbortSignal.timeout(PATIENCE_MS) });
  }
}

/**
 * Follows, and freezes as soon as bytes come. Not before: on a slow machine a ping
 * may come first, and whoever has nothing else to read and does not answer it is cut.
 */
async function followUpToBytes(url: string): Promise<V2Peer> {
  const follower = await V2Peer.follow(url);
  const { websocket } = follower;
  const freeze = (_message: Buffer, isBinary: boolean) => {
    if (!isBinary) return;
    websocket.off('message', freeze);
    follower.freeze();
  };
  websocket.on('message', freeze);
  await follower.until(() => websocket.isPaused, 'bytes');
  return follower;
}

describe('a client that speaks the subprotocol and answers no pings', () => {
  test('is cut when it follows', async () => {
    const server = await startServer({ keepAliveMs: KEEP_ALIVE_MS });
    const appender = await V2Peer.append(server.url('/f'));
    const begun = performance.now();
    const follower = await V2Peer.follow(server.url('/f'), {}, { autoPong: false });
    await follower.closed();
    expect(performance.now() - begun).toBeGreaterThan(2 * KEEP_ALIVE_MS - 20);
    expect(follower.ending).toEqual([undefined, 1006]);
    expect(appender.closeCode).toBeUndefined();
  });

  test('is cut when it appends, and its session waits for it', async () => {
    const server = await startServer({ keepAliveMs: KEEP_ALIVE_MS, graceMs: NEVER_MS });
    const session = sessionOf('a');
    const appender = await V2Peer.append(server.url('/f'), { session }, { autoPong: false });
    const follower = await V2Peer.follow(server.url('/f'));
    await follower.until(() => follower.story.includes('waiting'), 'waiting');
    await appender.closed();
    expect(appender.closeCode).toBe(1006);
    const back = await V2Peer.append(server.url('/f'), { session });
    await back.append('back', 4);
    await back.finish();
    await follower.closed();
    expect([follower.text, ...follower.ending]).toEqual(['back', 'finished', 1000]);
  });

  test('is cut when it waits for its resource', async () => {
    const server = await startServer({ keepAliveMs: KEEP_ALIVE_MS });
    const follower = await V2Peer.follow(server.url('/later'), { wait: 60 }, { autoPong: false });
    await follower.closed();
    expect(follower.closeCode).toBe(1006);
  });

  test('is not cut while it sends something else', async () => {
    const server = await startServer({ keepAliveMs: KEEP_ALIVE_MS });
    const witness = await V2Peer.append(server.url('/g'));
    const appender = await V2Peer.append(server.url('/f'), {}, { autoPong: false });
    const sending = setInterval(() => appender.websocket.send(Buffer.from('x')), KEEP_ALIVE_MS / 4);
    await pings(witness, 4);
    clearInterval(sending);
    expect(appender.closeCode).toBeUndefined();
    await appender.finish();
  });
});

describe('a client that speaks the subprotocol', () => {
  test('is pinged when it is quiet and is not cut as long as it answers, whatever it does', async () => {
    const server = await startServer({ keepAliveMs: KEEP_ALIVE_MS });
    const appender = await V2Peer.append(server.url('/f'));
    const peers = [
      appender,
      await V2Peer.follow(server.url('/f')),
      await V2Peer.follow(server.url('/later'), { wait: 60 }),
    ];
    await Promise.all(peers.map((peer) => pings(peer, 4)));
    expect(peers.map(({ closeCode }) => closeCode)).toEqual([undefined, undefined, undefined]);
    await appender.finish();
  });

  test('is not cut while bytes for it are unread in the server, however slow it is', async () => {
    const server = await startServer({ keepAliveMs: KEEP_ALIVE_MS });
    const appender = await V2Peer.append(server.url('/f'));
    await appender.append(Buffer.alloc(32 * MiB), 32 * MiB);
    const witness = await V2Peer.append(server.url('/g'));
    const follower = await followUpToBytes(server.url('/f'));
    await pings(witness, 4);
    follower.websocket.resume();
    await appender.finish();
    await follower.closed();
    expect([follower.byteCount, ...follower.ending]).toEqual([32 * MiB, 'finished', 1000]);
  });

  test('is not cut while bytes for it are unread in the system, which has taken them all', async () => {
    const server = await startServer({ keepAliveMs: KEEP_ALIVE_MS });
    const appender = await V2Peer.append(server.url('/f'));
    await appender.append(Buffer.alloc(MiB), MiB);
    const witness = await V2Peer.append(server.url('/g'));
    const follower = await followUpToBytes(server.url('/f'));
    await pings(witness, 6);
    follower.websocket.resume();
    await appender.finish();
    await follower.closed();
    expect([follower.byteCount, ...follower.ending]).toEqual([MiB, 'finished', 1000]);
  });
});

describe('a legacy client that answers no pings', () => {
  test('is not cut when it follows, nor pinged when it appends', async () => {
    const server = await startServer({ keepAliveMs: KEEP_ALIVE_MS });
    const appender = await Peer.connect(server.url('/f'), 'APPEND', { autoPong: false });
    const follower = await Peer.connect(server.url('/f'), 'FOLLOW', { autoPong: false });
    let isPinged = false;
    appender.websocket.on('ping', () => {
      isPinged = true;
    });
    const witness = await V2Peer.append(server.url('/g'));
    await pings(witness, 4);
    expect(isPinged).toBe(false);
    await appender.send('still here');
    await waitFor(() => follower.text === 'still here', 'the bytes');
    expect(await fileText(server, 'f')).toBe('still here');
  });
});
