import { createServer, type IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import path from 'node:path';
import { onTestFinished } from 'vitest';
import { acceptOf, closePayload, FrameReader, frame, Op, originalMessage } from './frames.ts';

export interface OriginalServerOptions {
  /** Time between two pings to a quiet follower; the original's is 3 s. */
  pingMs?: number;
  /** Silence after which an appender is cut; the original's is 25 s. */
  readWaitMs?: number;
}

interface LiveFollower {
  socket: Socket;
  lastSentAt: number;
  /** Whether it has sent something, which the original never reads: its close is a reset then. */
  hasSent: boolean;
}

/**
 * The original's server as its clients see it, in memory. Of its faults it has
 * those of the wire (binary appends are dropped, silent appenders are cut, a
 * message is passed on whole, in frames of which its followers read the first,
 * what a follower sends makes its end a reset); its races and crashes are not emulated.
 */
export class OriginalServer {
  /** What appenders sent besides text. */
  readonly received = { pongs: 0, binaryMessages: 0, closeCodes: [] as number[] };
  /** Heads of all requests, in order. */
  readonly requests: IncomingMessage[] = [];
  /** Pings that followers were sent. */
  pings = 0;
  /** Pongs that they sent. */
  followerPongs = 0;
  /** The messages that were appended to each path. */
  readonly #files = new Map<string, Buffer[]>();
  readonly #options: Required<OriginalServerOptions>;
  readonly #server = createServer((request, response) => this.#answer(request, response));
  readonly #sockets = new Set<Socket>();
  /** Followers of the paths that are being appended to. */
  readonly #live = new Map<string, Set<LiveFollower>>();
  #port = 0;

  private constructor(options: OriginalServerOptions) {
    this.#options = { pingMs: 3000, readWaitMs: 25_000, ...options };
    this.#server.on('upgrade', (request: IncomingMessage, socket: Socket) => this.#upgrade(request, socket));
    this.#server.on('connection', (socket: Socket) => {
      this.#sockets.add(socket);
      socket.on('error', () => undefined);
      socket.once('close', () => this.#sockets.delete(socket));
    });
  }

  /** Runs until the test is over. */
  static async start(options: OriginalServerOptions = {}): Promise<OriginalServer> {
    const server = new OriginalServer(options);
    await new Promise<void>((resolve) => server.#server.listen(0, '127.0.0.1', resolve));
    server.#port = (server.#server.address() as AddressInfo).port;
    onTestFinished(() => server.stop());
    return server;
  }

  url(urlPath: string): string {
    return `http://127.0.0.1:${this.#port}${urlPath}`;
  }

  /** What is in a file; empty when there is none. */
  content(filePath: string): Buffer {
    return Buffer.concat(this.#files.get(filePath) ?? []);
  }

  /** Puts a file there. */
  write(filePath: string, content: Buffer | string): void {
    this.#files.set(filePath, [Buffer.from(content)]);
  }

  isLive(filePath: string): boolean {
    return this.#live.has(filePath);
  }

  followerCount(filePath: string): number {
    return this.#live.get(filePath)?.size ?? 0;
  }

  /** How many connections are open. */
  get connectionCount(): number {
    return this.#sockets.size;
  }

  /** Crashes: every connection is cut without a word. */
  crash(): void {
    for (const socket of this.#sockets) socket.resetAndDestroy();
  }

  /** Stops to read from everybody, as a machine that hangs does. */
  hang(): void {
    for (const socket of this.#sockets) socket.pause();
  }

  /** Goes on after `hang`. */
  wake(): void {
    for (const socket of this.#sockets) socket.resume();
  }

  async stop(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }

  #upgrade(request: IncomingMessage, socket: Socket): void {
    socket.on('error', () => undefined);
    const response = new ServerResponse(request);
    response.assignSocket(socket);
    this.#answer(request, response, socket);
  }

  #answer(request: IncomingMessage, response: ServerResponse, socket?: Socket): void {
    this.requests.push(request);
    const url = new URL(request.url ?? '/', 'http://original');
    const filePath = path.posix.join('/', decodeURIComponent(url.pathname));
    const verb = request.headers['x-verb'] || url.searchParams.get('verb');
    if (request.method !== 'GET') fail(response, 405, 'method not supported');
    else if (verb === 'APPEND') this.#append(filePath, request, response, socket);
    else if (this.#live.has(filePath) && socket) this.#follow(filePath, request, response, socket);
    else this.#sendFile(filePath, request, response);
  }

  #append(filePath: string, request: IncomingMessage, response: ServerResponse, socket?: Socket): void {
    if (this.#live.has(filePath)) {
      fail(response, 403, 'addWriter: path already has an active writer');
      return;
    }
    const { received } = this;
    const file = this.#files.get(filePath) ?? [];
    this.#files.set(filePath, file);
    if (!socket) {
      fail(response, 400, 'Bad Request');
      return;
    }
    const followers = new Set<LiveFollower>();
    this.#live.set(filePath, followers);
    switchProtocols(request, response, socket);

    const deadline = setTimeout(() => socket.destroy(), this.#options.readWaitMs);
    const reader = new FrameReader();
    let message: { opcode: number; parts: Buffer[] } | undefined;
    socket.on('data', (bytes: Buffer) => {
      for (const { fin, opcode, payload } of reader.read(bytes)) {
        if (opcode === Op.pong) {
          received.pongs++;
          deadline.refresh();
        } else if (opcode === Op.close) {
          received.closeCodes.push(payload.length >= 2 ? payload.readUInt16BE(0) : 1005);
          socket.end(frame(Op.close));
          return;
        } else if (opcode <= Op.binary) {
          message ??= { opcode, parts: [] };
          message.parts.push(payload);
          if (!fin) continue;
          if (message.opcode === Op.text) {
            file.push(...message.parts);
            const whole = originalMessage(Op.text, Buffer.concat(message.parts), false);
            for (const follower of followers) send(follower, whole);
            deadline.refresh();
          } else received.binaryMessages++;
          message = undefined;
        }
      }
    });
    socket.once('end', () => socket.end());
    socket.once('close', () => {
      clearTimeout(deadline);
      this.#live.delete(filePath);
      for (const { socket: to, hasSent } of followers) {
        const close = frame(Op.close, closePayload(1000));
        if (hasSent) to.write(close, () => to.resetAndDestroy());
        else to.end(close);
      }
    });
  }

  #follow(filePath: string, request: IncomingMessage, response: ServerResponse, socket: Socket): void {
    switchProtocols(request, response, socket);
    const follower: LiveFollower = { socket, lastSentAt: performance.now(), hasSent: false };
    const history = this.content(filePath);
    if (history.length > 0) send(follower, originalMessage(Op.text, history, false));
    send(follower, frame(Op.text));
    const followers = this.#live.get(filePath) as Set<LiveFollower>;
    followers.add(follower);

    const { pingMs } = this.#options;
    const ticks = setInterval(() => {
      if (performance.now() - follower.lastSentAt < pingMs) return;
      this.pings++;
      send(follower, frame(Op.ping));
    }, pingMs);
    const reader = new FrameReader();
    socket.on('data', (bytes: Buffer) => {
      follower.hasSent = true;
      for (const { opcode } of reader.read(bytes)) if (opcode === Op.pong) this.followerPongs++;
    });
    socket.once('end', () => socket.end());
    socket.once('close', () => {
      clearInterval(ticks);
      followers.delete(follower);
    });
  }

  #sendFile(filePath: string, request: IncomingMessage, response: ServerResponse): void {
    if (!this.#files.has(filePath)) {
      fail(response, 404, '404 page not found');
      return;
    }
    const content = this.content(filePath);
    response.setHeader('Accept-Ranges', 'bytes');
    response.setHeader('Content-Type', 'text/plain; charset=utf-8');
    const [, from, to] = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? '') ?? [];
    if (from === undefined) {
      response.setHeader('Content-Length', content.length);
      response.end(content);
      return;
    }
    const start = Number(from);
    const end = to ? Math.min(Number(to) + 1, content.length) : content.length;
    response.statusCode = 206;
    response.setHeader('Content-Range', `bytes ${start}-${end - 1}/${content.length}`);
    response.setHeader('Content-Length', end - start);
    response.end(content.subarray(start, end));
  }
}

function fail(response: ServerResponse, status: number, text: string): void {
  response.writeHead(status, { 'Content-Type': 'text/plain; charset=utf-8' });
  response.end(`${text}\n`);
}

function switchProtocols(request: IncomingMessage, response: ServerResponse, socket: Socket): void {
  response.detachSocket(socket);
  socket.write(
    'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n' +
      `Sec-WebSocket-Accept: ${acceptOf(String(request.headers['sec-websocket-key']))}\r\n\r\n`,
  );
}

function send(follower: LiveFollower, bytes: Buffer): void {
  follower.lastSentAt = performance.now();
  follower.socket.write(bytes);
}
