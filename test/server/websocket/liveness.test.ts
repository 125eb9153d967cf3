import { once } from 'node:events';
import net, { type AddressInfo, type Socket } from 'node:net';
import { expect, onTestFinished, test } from 'vitest';
import { Liveness } from '../../../src/server/websocket/liveness.ts';
import { waitFor } from '../../support/wait-for.ts';

const KEEP_ALIVE_MS = 10_000;
const INTERVAL_MS = 5000;

/** A connection over which the peer has sent its handshake, and who looks after it. */
async function connect() {
  const server = net.createServer().listen({ host: '127.0.0.1', port: 0 });
  onTestFinished(() => void server.close());
  await once(server, 'listening');
  const peer = net.connect((server.address() as AddressInfo).port, '127.0.0.1');
  const [socket] = (await once(server, 'connection')) as [Socket];
  onTestFinished(() => {
    peer.destroy();
    socket.destroy();
  });
  socket.resume();
  const hear = async (bytes: string) => {
    const before = socket.bytesRead;
    peer.write(bytes);
    await waitFor(() => socket.bytesRead === before + bytes.length, 'the bytes of the peer');
  };
  await hear('GET / HTTP/1.1\r\n\r\n');
  const liveness = new Liveness(socket, KEEP_ALIVE_MS);
  socket.write('HTTP/1.1 101 Switching Protocols\r\n\r\n');
  /** How long it takes until the peer is taken for dead, in the server's time; undefined if it is not within an hour. */
  const timeToDeath = () => {
    for (let ms = INTERVAL_MS; ms <= 3_600_000; ms += INTERVAL_MS) {
      if (liveness.tick(INTERVAL_MS)) return ms;
    }
    return undefined;
  };
  return { socket, peer, hear, liveness, timeToDeath };
}

test('a peer that says nothing to a ping is dead after two to three times the interval', async () => {
  const { timeToDeath } = await connect();
  const ms = timeToDeath() as number;
  expect(ms).toBeGreaterThanOrEqual(2 * KEEP_ALIVE_MS);
  expect(ms).toBeLessThanOrEqual(3 * KEEP_ALIVE_MS);
});

test('a peer that answers each ping lives', async () => {
  const { socket, hear, liveness } = await connect();
  let written = socket.bytesWritten;
  for (let i = 0; i < 50; i++) {
    expect(liveness.tick(INTERVAL_MS)).toBe(false);
    if (socket.bytesWritten > written) await hear('pong');
    written = socket.bytesWritten;
  }
});

test('a peer that has much to read may take long to come to the ping, and is not there for ever', async () => {
  const { socket, peer, timeToDeath } = await connect();
  peer.pause();
  socket.write(Buffer.alloc(300_000));
  await waitFor(() => socket.writableLength === 0, 'the system to have taken everything');
  const ms = timeToDeath() as number;
  expect(ms).toBeGreaterThan(60_000);
  expect(ms).toBeLessThan(3_600_000);
});

test('a peer for which bytes are unread in the server lives, however long it takes none', async () => {
  const { socket, peer, timeToDeath } = await connect();
  peer.pause();
  socket.write(Buffer.alloc(32 * 1024 * 1024));
  expect(socket.writableLength).toBeGreaterThan(0);
  expect(timeToDeath()).toBeUndefined();
});

test('a peer that gave signs of life by itself and gives none any more is dead soon, whatever it has to read', async () => {
  const { socket, peer, hear, liveness, timeToDeath } = await connect();
  liveness.tick(INTERVAL_MS);
  await hear('beat');
  liveness.tick(INTERVAL_MS);
  await hear('beat');
  liveness.tick(INTERVAL_MS);
  peer.pause();
  socket.write(Buffer.alloc(300_000));
  await waitFor(() => socket.writableLength === 0, 'the system to have taken everything');
  expect(timeToDeath()).toBeLessThanOrEqual(3 * KEEP_ALIVE_MS);
});

test('a peer that answers an old ping may still have much to read of what was sent after it', async () => {
  const { socket, peer, hear, liveness, timeToDeath } = await connect();
  let { bytesWritten } = socket;
  // The tick that pings.
  do {
    bytesWritten = socket.bytesWritten;
    expect(liveness.tick(INTERVAL_MS)).toBe(false);
  } while (socket.bytesWritten === bytesWritten);
  peer.pause();
  socket.write(Buffer.alloc(300_000));
  await waitFor(() => socket.writableLength === 0, 'the system to have taken everything');
  liveness.tick(INTERVAL_MS);
  await hear('pong');
  expect(timeToDeath()).toBeGreaterThan(60_000);
});
