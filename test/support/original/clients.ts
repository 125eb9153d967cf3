import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import net from 'node:net';
import { onTestFinished } from 'vitest';
import { acceptOf, type Frame, FrameReader, frame, Op, originalMessage } from './frames.ts';

/** The original follower reads this much of a message and drops the rest without a word. */
const READ_BUFFER_BYTES = 32_768;

/** A copy from standard input makes messages of this size. */
const COPY_BLOCK_BYTES = 32_768;

export interface ResponseHead {
  status: number;
  /** Names in lower case. */
  headers: Map<string, string>;
}

/** What the original says when its handshake fails; it exits 1 then. */
export class OriginalHandshakeError extends Error {
  readonly head: ResponseHead;

  constructor(head: ResponseHead, message: string) {
    super(message);
    this.head = head;
  }
}

/** The request head of the original, byte for byte. */
export function originalRequestHead(url: string, verb: string, key: string): string {
  // Not by URL, which would clean the path.
  const [, host, target] = /^http:\/\/([^/]+)(.*)$/.exec(url) ?? [];
  return [
    `GET ${target} HTTP/1.1`,
    `Host: ${host}`,
    'Upgrade: websocket',
    'Connection: upgrade',
    'Sec-WebSocket-Version: 13',
    `Sec-WebSocket-Key: ${key}`,
    `X-Verb: ${verb}`,
    '\r\n',
  ].join('\r\n');
}

/**
 * A TCP connection whose reading really stops: what is not read stays in the
 * kernel, where it turns a close into a reset.
 */
class Connection {
  readonly socket: net.Socket;
  readonly closed: Promise<void>;
  failure: Error | undefined;
  #onData: (bytes: Buffer) => void = () => undefined;
  #reading = true;

  private constructor(port: number, host: string) {
    this.socket = net.connect({
      port,
      host,
      noDelay: true,
      onread: {
        buffer: Buffer.alloc(64 * 1024),
        callback: (count, buffer) => {
          this.#onData(Buffer.from(buffer.subarray(0, count)));
          return this.#reading;
        },
      },
    });
    this.socket.on('error', (error) => {
      this.failure = error;
    });
    this.closed = new Promise((resolve) => this.socket.once('close', () => resolve()));
    onTestFinished(() => {
      this.socket.destroy();
    });
  }

  static async open(url: string): Promise<Connection> {
    const { port, hostname } = new URL(url);
    const connection = new Connection(Number(port), hostname);
    await once(connection.socket, 'connect');
    return connection;
  }

  stopReading(): void {
    this.#reading = false;
    this.socket.pause();
  }

  startReading(onData: (bytes: Buffer) => void): void {
    this.#onData = onData;
    this.#reading = true;
    this.socket.resume();
  }

  /** Resolves when the kernel has the bytes. */
  write(bytes: Uint8Array): Promise<void> {
    return new Promise((resolve, reject) => {
      this.socket.write(bytes, (error) => (error ? reject(error) : resolve()));
    });
  }

  /** Sends the handshake; afterwards nothing is read until `startReading`. */
  async handshake(url: string, verb: string): Promise<{ head: ResponseHead; rest: Buffer; key: string }> {
    const key = randomBytes(16).toString('base64');
    const answered = new Promise<Buffer>((resolve, reject) => {
      let received: Buffer = Buffer.alloc(0);
      this.#onData = (bytes) => {
        received = Buffer.concat([received, bytes]);
        if (!received.includes('\r\n\r\n')) return;
        this.stopReading();
        resolve(received);
      };
      void this.closed.then(() => reject(this.failure ?? new Error('unexpected EOF')));
    });
    this.socket.write(originalRequestHead(url, verb, key));
    const received = await answered;
    const end = received.indexOf('\r\n\r\n');
    return { head: parseHead(received.toString('latin1', 0, end)), rest: received.subarray(end + 4), key };
  }
}

function parseHead(text: string): ResponseHead {
  const [statusLine = '', ...lines] = text.split('\r\n');
  const headers = new Map<string, string>();
  for (const line of lines) {
    const colon = line.indexOf(':');
    headers.set(line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim());
  }
  return { status: Number(statusLine.split(' ')[1]), headers };
}

/** The original takes a 101 only when `Connection` is `upgrade` and nothing else. */
export function originalAccepts({ status, headers }: ResponseHead, key: string): boolean {
  return (
    status === 101 &&
    headers.get('upgrade')?.toLowerCase() === 'websocket' &&
    headers.get('connection')?.toLowerCase() === 'upgrade' &&
    headers.get('sec-websocket-accept') === acceptOf(key)
  );
}

function handshakeError(head: ResponseHead): OriginalHandshakeError {
  if (head.status === 404) return new OriginalHandshakeError(head, 'file does not exist');
  if (head.status === 200 || head.status === 101) return new OriginalHandshakeError(head, 'bad handshake');
  return new OriginalHandshakeError(head, `HTTP status ${head.status}`);
}

/** The original's appender: text frames whatever the bytes are, and it never reads after the handshake. */
export class OriginalAppender {
  readonly head: ResponseHead;
  readonly #connection: Connection;
  #received: Buffer;

  private constructor(connection: Connection, head: ResponseHead, rest: Buffer) {
    this.#connection = connection;
    this.head = head;
    this.#received = rest;
  }

  /** @throws {OriginalHandshakeError} when the server does not upgrade */
  static async connect(url: string): Promise<OriginalAppender> {
    const connection = await Connection.open(url);
    const { head, rest, key } = await connection.handshake(url, 'APPEND');
    if (!originalAccepts(head, key)) {
      connection.socket.destroy();
      throw handshakeError(head);
    }
    return new OriginalAppender(connection, head, rest);
  }

  /** One Write: one message, however long. Resolves when the kernel has it. */
  write(bytes: Uint8Array | string): Promise<void> {
    return this.#connection.write(originalMessage(Op.text, Buffer.from(bytes), true));
  }

  /** As the command copies from its standard input. */
  async copy(bytes: Buffer): Promise<void> {
    for (let at = 0; at < bytes.length; at += COPY_BLOCK_BYTES) {
      await this.write(bytes.subarray(at, at + COPY_BLOCK_BYTES));
    }
  }

  /** Sends what no original would, or parts of what it would. */
  writeRaw(bytes: Uint8Array): Promise<void> {
    return this.#connection.write(bytes);
  }

  /** How the original ends: a bare close. Becomes a reset when anything that was received lies unread. */
  async close(): Promise<void> {
    this.#connection.socket.destroy();
    await this.#connection.closed;
  }

  /** Dies with a reset. */
  async reset(): Promise<void> {
    this.#connection.socket.resetAndDestroy();
    await this.#connection.closed;
  }

  /** Not the original: ends its half of the connection, and returns all that the server ever sent after the 101. */
  async endAndReadAll(): Promise<Buffer> {
    this.#connection.socket.end();
    return this.readAll();
  }

  /** Not the original: reads until the server closes. */
  async readAll(): Promise<Buffer> {
    this.#connection.startReading((bytes) => {
      this.#received = Buffer.concat([this.#received, bytes]);
    });
    await this.#connection.closed;
    return this.#received;
  }
}

/** How a run of the original follower went. */
export interface FollowOutcome {
  exitCode: 0 | 1;
  error?: string;
  /** What it wrote to standard output. */
  bytes: Buffer;
  /** What it dropped without a word, because of too long or fragmented messages. */
  lostBytes: number;
  /** Whether the server upgraded, or answered with the file. */
  upgraded: boolean;
  closeCode?: number;
}

/** The original's follower. */
export class OriginalFollower {
  readonly head: ResponseHead;
  /** Settles when it is over; never rejects. */
  readonly outcome: Promise<FollowOutcome>;
  pings = 0;
  /** Frames of any kind that came. */
  frames = 0;
  readonly #connection: Connection;
  readonly #chunks: Buffer[] = [];
  #byteCount = 0;
  #lostBytes = 0;
  #closeCode: number | undefined;
  #settle: (outcome: FollowOutcome) => void = () => undefined;
  #onData: (bytes: Buffer) => void = () => undefined;
  #midMessage = false;

  private constructor(connection: Connection, head: ResponseHead) {
    this.#connection = connection;
    this.head = head;
    this.outcome = new Promise((resolve) => {
      this.#settle = resolve;
    });
  }

  /**
   * @param options.stalled whether it begins without reading; see `resume`
   * @throws {OriginalHandshakeError} when the server neither upgrades nor sends a file
   */
  static async connect(url: string, { stalled = false } = {}): Promise<OriginalFollower> {
    const connection = await Connection.open(url);
    const { head, rest, key } = await connection.handshake(url, 'FOLLOW');
    const follower = new OriginalFollower(connection, head);
    if (originalAccepts(head, key)) follower.#readMessages();
    else if (head.status === 200) follower.#readBody();
    else {
      connection.socket.destroy();
      throw handshakeError(head);
    }
    if (rest.length > 0) follower.#onData(rest);
    if (!stalled) follower.resume();
    return follower;
  }

  /** How many bytes it has written to standard output so far. */
  get byteCount(): number {
    return this.#byteCount;
  }

  get bytes(): Buffer {
    return Buffer.concat(this.#chunks);
  }

  /** What it has kept of each message. */
  get messages(): readonly Buffer[] {
    return this.#chunks;
  }

  /** Stops to read: the kernel's buffers fill, and then the server's. */
  stall(): void {
    this.#connection.stopReading();
  }

  resume(): void {
    this.#connection.startReading((bytes) => this.#onData(bytes));
  }

  /** Dies: by a reset, as a killed process with unread bytes does. */
  async cut(): Promise<void> {
    this.#connection.socket.resetAndDestroy();
    await this.#connection.closed;
  }

  #readMessages(): void {
    const reader = new FrameReader();
    this.#onData = (bytes) => {
      for (const each of reader.read(bytes)) {
        this.frames++;
        if (!this.#take(each)) return;
      }
    };
    void this.#connection.closed.then(() =>
      this.#finish(true, 1, this.#connection.failure?.message ?? 'EOF'),
    );
  }

  /** Returns false when it is over. */
  #take({ fin, opcode, payload }: Frame): boolean {
    switch (opcode) {
      case Op.text:
      case Op.continuation: {
        const taken = opcode === Op.continuation || this.#midMessage ? 0 : READ_BUFFER_BYTES;
        this.#keep(payload.subarray(0, taken));
        this.#lostBytes += payload.length - Math.min(taken, payload.length);
        this.#midMessage = !fin;
        return true;
      }
      case Op.ping:
        this.pings++;
        this.#connection.socket.write(frame(Op.pong, payload, { masked: true }));
        return true;
      case Op.close: {
        const code = payload.length >= 2 ? payload.readUInt16BE(0) : undefined;
        this.#closeCode = code ?? 1005;
        this.#connection.socket.write(frame(Op.close, '', { masked: true }));
        const isEnd = code === undefined || code === 1000 || code === 1001;
        this.#finish(
          true,
          isEnd ? 0 : 1,
          isEnd ? undefined : `websocket: close ${code} ${payload.subarray(2)}`,
        );
        return false;
      }
      default:
        this.#finish(true, 1, opcode === Op.pong ? 'unexpected pong' : 'websocket op is not text');
        return false;
    }
  }

  #readBody(): void {
    const length = this.head.headers.get('content-length');
    if (this.head.headers.get('transfer-encoding') === 'chunked') {
      const dechunk = chunkedReader((bytes) => this.#keep(bytes));
      this.#onData = (bytes) => {
        if (dechunk(bytes)) this.#finish(false, 0);
      };
      void this.#connection.closed.then(() => this.#finish(false, 1, 'unexpected EOF'));
    } else if (length !== undefined) {
      this.#onData = (bytes) => {
        this.#keep(bytes.subarray(0, Number(length) - this.#byteCount));
        if (this.#byteCount === Number(length)) this.#finish(false, 0);
      };
      if (length === '0') this.#finish(false, 0);
      void this.#connection.closed.then(() => this.#finish(false, 1, 'unexpected EOF'));
    } else {
      this.#onData = (bytes) => this.#keep(bytes);
      void this.#connection.closed.then(() => {
        const { failure } = this.#connection;
        this.#finish(false, failure ? 1 : 0, failure?.message);
      });
    }
  }

  #keep(bytes: Buffer): void {
    this.#chunks.push(bytes);
    this.#byteCount += bytes.length;
  }

  /** The first outcome stays. Closes TCP once what was written is out. */
  #finish(upgraded: boolean, exitCode: 0 | 1, error?: string): void {
    this.#settle({
      exitCode,
      ...(error !== undefined && { error }),
      bytes: this.bytes,
      lostBytes: this.#lostBytes,
      upgraded,
      ...(this.#closeCode !== undefined && { closeCode: this.#closeCode }),
    });
    if (!this.#connection.socket.destroyed) this.#connection.socket.destroySoon();
  }
}

/** Returns a function that takes the bytes of a chunked body and returns true at its end. */
function chunkedReader(onBytes: (bytes: Buffer) => void): (bytes: Buffer) => boolean {
  let pending: Buffer = Buffer.alloc(0);
  return (bytes) => {
    pending = Buffer.concat([pending, bytes]);
    for (;;) {
      const lineEnd = pending.indexOf('\r\n');
      if (lineEnd === -1) return false;
      const size = Number.parseInt(pending.toString('latin1', 0, lineEnd), 16);
      const end = lineEnd + 2 + size + 2;
      if (pending.length < end) return false;
      if (size === 0) return true;
      onBytes(Buffer.from(pending.subarray(lineEnd + 2, end - 2)));
      pending = pending.subarray(end);
    }
  };
}
