import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import { onTestFinished } from 'vitest';
import WebSocket from 'ws';
import { PATIENCE_MS } from '../patience.ts';
import { waitFor } from '../wait-for.ts';

export type Verb = 'APPEND' | 'FOLLOW';

export type Query = Readonly<Record<string, string | number>>;

export interface PeerOptions extends WebSocket.ClientOptions {
  /** Default: none, as a browser's plain WebSocket. */
  protocols?: readonly string[];
  query?: Query;
}

/** A WebSocket client that keeps everything that it gets, in order. */
export class Peer {
  readonly websocket: WebSocket;
  /** What came as bytes, message by message. */
  readonly payloads: Buffer[] = [];
  closeCode: number | undefined;
  closeReason = '';
  #byteCount = 0;
  #socket: Socket | undefined;

  protected constructor(url: string, verb: Verb, options: PeerOptions) {
    this.websocket = websocketTo(url, verb, options);
    this.websocket.once('upgrade', (response: IncomingMessage) => {
      this.#socket = response.socket;
    });
    this.websocket.on('message', (message: Buffer, isBinary) => this.take(message, isBinary));
    this.websocket.on('close', (code, reason) => {
      this.closeCode = code;
      this.closeReason = reason.toString();
    });
    this.websocket.on('error', () => undefined);
  }

  /** Connects; resolves once the server has upgraded. The connection is gone after the test. */
  static async connect(url: string, verb: Verb, options: PeerOptions = {}): Promise<Peer> {
    const peer = new Peer(url, verb, options);
    onTestFinished(() => peer.websocket.terminate());
    await peer.upgraded();
    return peer;
  }

  /** Like {@link connect}, to be closed by the caller, or the server. */
  static async open(url: string, verb: Verb, options: PeerOptions = {}): Promise<Peer> {
    const peer = new Peer(url, verb, options);
    await peer.upgraded();
    return peer;
  }

  get socket(): Socket {
    return this.#socket as Socket;
  }

  get bytes(): Buffer {
    return Buffer.concat(this.payloads);
  }

  get text(): string {
    return this.bytes.toString();
  }

  get byteCount(): number {
    return this.#byteCount;
  }

  /** Sends one text message, whatever the bytes are; resolves when the system has taken it. */
  send(bytes: Buffer | string): Promise<void> {
    return this.sendMessage(bytes, false);
  }

  /** Closes with a code and waits for the server's answer. */
  async close(code: number): Promise<void> {
    this.websocket.close(code);
    await this.closed();
  }

  /** Ends cleanly and waits for the server's answer. */
  finish(): Promise<void> {
    return this.close(1000);
  }

  /** Resolves with how the connection was closed, by whomever. */
  async closed(): Promise<{ code: number; reason: string }> {
    await this.until(() => this.closeCode !== undefined, 'the close');
    return { code: this.closeCode as number, reason: this.closeReason };
  }

  /** Cuts the TCP connection: a FIN, and no close frame. */
  cut(): void {
    this.socket.destroy();
  }

  /** Breaks the TCP connection with a reset. */
  reset(): void {
    this.socket.resetAndDestroy();
  }

  /** Stops reading, and so noticing whatever the server does: to the client the connection is alive. */
  freeze(): void {
    this.websocket.pause();
  }

  until(condition: () => boolean, what: string): Promise<void> {
    return waitFor(condition, what);
  }

  protected async upgraded(): Promise<void> {
    const { websocket } = this;
    await new Promise<void>((resolve, reject) => {
      websocket.once('open', resolve);
      websocket.once('unexpected-response', (_request, { statusCode }) => {
        websocket.terminate();
        reject(new Error(`${websocket.url}: HTTP status ${statusCode}`));
      });
      websocket.once('error', reject);
    });
  }

  protected take(message: Buffer, _isBinary: boolean): void {
    this.payloads.push(message);
    this.#byteCount += message.length;
  }

  protected sendMessage(bytes: Buffer | string, isBinary: boolean): Promise<void> {
    return new Promise((resolve, reject) => {
      this.websocket.send(Buffer.from(bytes), { binary: isBinary }, (error) =>
        error ? reject(error) : resolve(),
      );
    });
  }
}

/** A connection to `url`, whose query has a verb's parameters added. */
export function websocketTo(
  url: string,
  verb: Verb,
  { protocols = [], query = {}, headers = {}, ...options }: PeerOptions,
): WebSocket {
  const target = new URL(url);
  for (const [name, value] of Object.entries(query)) target.searchParams.set(name, String(value));
  return new WebSocket(target, [...protocols], {
    headers: { 'X-Verb': verb, ...headers },
    perMessageDeflate: false,
    skipUTF8Validation: true,
    handshakeTimeout: PATIENCE_MS,
    ...options,
  });
}
