import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import net, { type AddressInfo, type Socket } from 'node:net';
import { describe, expect, onTestFinished, test } from 'vitest';
import WebSocket, { WebSocketServer } from 'ws';
import type { FramingError } from '../../src/wire/errors.ts';
import { PayloadTap, type TapHandler } from '../../src/wire/payload-tap.ts';
import { closePayload, type Frame, FrameReader, frame, Op } from '../support/original/frames.ts';
import { waitFor } from '../support/wait-for.ts';

/** A server whose one connection is tapped. */
class TappedServer {
  readonly port: number;
  websocket: WebSocket | undefined;
  readonly chunks: Buffer[] = [];
  readonly pongs: string[] = [];
  readonly framingErrors: FramingError[] = [];
  tap: PayloadTap | undefined;
  closed: [code: number, reason: string] | undefined;

  private constructor(server: WebSocketServer, options: Partial<TapHandler>) {
    this.port = (server.address() as AddressInfo).port;
    server.on('connection', (websocket: WebSocket, request: IncomingMessage) => {
      this.websocket = websocket;
      this.tap = new PayloadTap(websocket, request.socket, {
        masked: true,
        maxMessageBytes: 1e9,
        onPayload: (bytes) => this.chunks.push(bytes),
        onFramingError: (error) => this.framingErrors.push(error),
        beforeClose: () => undefined,
        ...options,
      });
      websocket.on('pong', (bytes) => this.pongs.push(String(bytes)));
      websocket.on('message', () => {
        throw new Error('a message reached ws');
      });
      websocket.on('close', (code, reason) => {
        this.closed = [code, String(reason)];
      });
      websocket.on('error', () => undefined);
    });
  }

  static async start(options: Partial<TapHandler> = {}): Promise<TappedServer> {
    const server = new WebSocketServer({ port: 0, host: '127.0.0.1', maxPayload: 1024 });
    await once(server, 'listening');
    onTestFinished(() => {
      for (const client of server.clients) client.terminate();
      server.close();
    });
    return new TappedServer(server, options);
  }

  get bytes(): Buffer {
    return Buffer.concat(this.chunks);
  }

  async connect(): Promise<WebSocket> {
    const client = new WebSocket(`ws://127.0.0.1:${this.port}`);
    onTestFinished(() => client.terminate());
    await once(client, 'open');
    return client;
  }

  /** Connects without `ws`; `first` goes out in the same packet as the handshake. */
  connectRaw(first: Buffer): Socket {
    const socket = net.connect(this.port, '127.0.0.1');
    onTestFinished(() => {
      socket.destroy();
    });
    const head =
      'GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: upgrade\r\n' +
      `Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${randomBytes(16).toString('base64')}\r\n\r\n`;
    socket.write(Buffer.concat([Buffer.from(head), first]));
    return socket;
  }
}

const masked = { masked: true };

/** Every frame that the peer sends after the handshake, up to its close frame, which is answered by the end. */
async function framesUntilClose(socket: Socket): Promise<Frame[]> {
  const frames: Frame[] = [];
  let received: Buffer = Buffer.alloc(0);
  const reader = new FrameReader();
  let upgraded = false;
  for await (const chunk of socket) {
    received = Buffer.concat([received, chunk]);
    const headEnd = received.indexOf('\r\n\r\n');
    if (!upgraded && headEnd === -1) continue;
    frames.push(...reader.read(upgraded ? chunk : received.subarray(headEnd + 4)));
    upgraded = true;
    if (frames.some(({ opcode }) => opcode === Op.close)) socket.end();
  }
  return frames;
}

describe('PayloadTap', () => {
  test('takes the payload of text, binary and fragmented messages; control frames still reach ws', async () => {
    const server = await TappedServer.start();
    const client = await server.connect();
    client.send('text ', { fin: false });
    client.pong('first');
    client.send('and more, ', { fin: true });
    client.send(Buffer.from([0xff, 0xfe]), { binary: true });
    const ponged = once(client, 'pong');
    client.ping('are you there?');
    expect(String((await ponged)[0])).toBe('are you there?');
    expect(server.pongs).toEqual(['first']);
    expect(server.bytes).toEqual(Buffer.concat([Buffer.from('text and more, '), Buffer.from([0xff, 0xfe])]));
  });

  test('a message far longer than the maxPayload of ws passes', async () => {
    const server = await TappedServer.start();
    const client = await server.connect();
    const bytes = randomBytes(10 * 1024 * 1024);
    client.send(bytes);
    await waitFor(
      () => server.chunks.reduce((sum, { length }) => sum + length, 0) === bytes.length,
      'all bytes',
    );
    expect(server.bytes.equals(bytes)).toBe(true);
  });

  test('frames that come in the same packet as the handshake are not lost', async () => {
    const server = await TappedServer.start();
    server.connectRaw(Buffer.concat([frame(Op.text, 'early ', masked), frame(Op.text, 'bird', masked)]));
    await waitFor(() => server.bytes.length === 10, 'the bytes');
    expect(String(server.bytes)).toBe('early bird');
  });

  test('pause stops the flow and resume continues it, and nothing is lost', async () => {
    const server = await TappedServer.start({
      onPayload: (bytes) => {
        server.chunks.push(bytes);
        server.websocket?.pause();
        setImmediate(() => server.websocket?.resume());
      },
    });
    const client = await server.connect();
    const bytes = randomBytes(3 * 1024 * 1024);
    client.send(bytes);
    client.close(1000);
    await once(client, 'close');
    expect(server.bytes.equals(bytes)).toBe(true);
    expect(server.closed?.[0]).toBe(1000);
  });

  test('a paused connection reads no more than the buffers hold', async () => {
    const server = await TappedServer.start({
      onPayload: (bytes) => {
        server.chunks.push(bytes);
        server.websocket?.pause();
      },
    });
    const client = await server.connect();
    client.send(randomBytes(1000));
    await waitFor(() => server.chunks.length > 0, 'the first bytes');
    const total = 32 * 1024 * 1024;
    for (let sent = 0; sent < total; sent += 64 * 1024) client.send(randomBytes(64 * 1024));
    await waitFor(() => client.bufferedAmount < total, 'the buffers to fill');
    expect(server.bytes.length).toBeLessThan(2 * 1024 * 1024);
  });

  test('answers a close frame only when beforeClose has resolved, and tells it the code', async () => {
    const codes: number[] = [];
    let allow: () => void = () => undefined;
    const allowed = new Promise<void>((resolve) => {
      allow = resolve;
    });
    const server = await TappedServer.start({
      beforeClose: (code) => {
        codes.push(code);
        return allowed;
      },
    });
    const client = await server.connect();
    client.send('bytes');
    client.close(4321, 'reason');
    await waitFor(() => codes.length > 0, 'beforeClose');
    expect(codes).toEqual([4321]);
    expect(server.closed).toBeUndefined();
    allow();
    await once(client, 'close');
    await waitFor(() => server.closed !== undefined, 'the close');
    expect(server.closed).toEqual([4321, 'reason']);
  });

  test('a close frame without a code is 1005', async () => {
    const codes: number[] = [];
    const server = await TappedServer.start({ beforeClose: async (code) => void codes.push(code) });
    const client = await server.connect();
    client.close();
    await once(client, 'close');
    expect(codes).toEqual([1005]);
  });

  test('what comes after a close frame is dropped', async () => {
    const server = await TappedServer.start();
    const frames = [frame(Op.text, 'good', masked), frame(Op.close, closePayload(1000), masked)];
    const socket = server.connectRaw(Buffer.concat([...frames, frame(Op.text, 'too late', masked)]));
    const answer = await framesUntilClose(socket);
    expect(answer.map(({ opcode }) => opcode)).toEqual([Op.close]);
    expect(String(server.bytes)).toBe('good');
  });

  test.each([
    ['an unmasked frame', frame(Op.text, 'x'), 1002],
    ['a continuation of nothing', frame(Op.continuation, 'x', masked), 1002],
    ['a close frame with half a code', frame(Op.close, Buffer.of(3), masked), 1002],
    ['a close code that may not be sent', frame(Op.close, closePayload(1006), masked), 1002],
    ['a close code that there is not', frame(Op.close, closePayload(1015), masked), 1002],
    ['a reason that is not UTF-8', frame(Op.close, Buffer.of(3, 0xe8, 0xff), masked), 1007],
    ['a message over the limit', frame(Op.binary, Buffer.alloc(1001), masked), 1009],
  ])('answers %s with a close frame, and tells of it once', async (_, wrong, code) => {
    const server = await TappedServer.start({ maxMessageBytes: 1000 });
    const good = frame(Op.text, 'good', masked);
    const socket = server.connectRaw(Buffer.concat([good, wrong, good]));
    const answer = await framesUntilClose(socket);
    expect(answer.map(({ opcode, payload }) => [opcode, payload.readUInt16BE(0)])).toEqual([
      [Op.close, code],
    ]);
    expect(server.framingErrors.map(({ closeCode }) => closeCode)).toEqual([code]);
    expect(String(server.bytes)).toBe('good');
  });

  test('knows whether the peer left between two messages', async () => {
    for (const [bytes, between] of [
      [frame(Op.text, 'whole', masked), true],
      [frame(Op.text, 'not whole', masked).subarray(0, 11), false],
      [frame(Op.text, 'fragment', { masked: true, fin: false }), false],
    ] as const) {
      const server = await TappedServer.start();
      server.connectRaw(bytes).end();
      await waitFor(() => server.closed !== undefined, 'the close');
      expect(server.closed?.[0]).toBe(1006);
      expect(server.tap?.betweenMessages).toBe(between);
    }
  });

  test('on the side of a client it takes unmasked frames and refuses masked ones', async () => {
    const server = new WebSocketServer({ port: 0, host: '127.0.0.1' });
    await once(server, 'listening');
    onTestFinished(() => server.close());
    server.on('connection', (websocket, request) => {
      websocket.send('hello');
      request.socket.write(frame(Op.text, 'masked', masked));
    });
    const client = new WebSocket(`ws://127.0.0.1:${(server.address() as AddressInfo).port}`);
    onTestFinished(() => client.terminate());
    const chunks: Buffer[] = [];
    const errors: FramingError[] = [];
    let socket: Socket | undefined;
    client.once('upgrade', (response) => {
      socket = response.socket;
    });
    client.on('open', () => {
      new PayloadTap(client, socket as Socket, {
        masked: false,
        maxMessageBytes: 1e9,
        onPayload: (bytes) => chunks.push(bytes),
        onFramingError: (error) => errors.push(error),
        beforeClose: () => undefined,
      });
    });
    await waitFor(() => errors.length > 0, 'the refusal');
    expect(errors[0]?.closeCode).toBe(1002);
    expect(String(Buffer.concat(chunks))).toBe('hello');
  });
});
