import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import { onTestFinished } from 'vitest';
import WebSocket from 'ws';
import type { AckMessage, ControlMessage, EndMessage, OpenMessage } from '../../../src/wire/protocol.ts';
import { waitFor } from '../wait-for.ts';

export const V2 = 'httpfstream.v2';

export type Query = Readonly<Record<string, string | number>>;

export interface V2Options {
  /** Default: the subprotocol alone. */
  protocols?: readonly string[];
  query?: Query;
  /** Whether it answers pings. Default: it does. */
  answersPings?: boolean;
}

/** A token as a client makes it, another one for each letter. */
export const sessionOf = (letter: string) => letter.repeat(32);

/** A raw WebSocket client that offers the subprotocol, and keeps everything that it gets, in order. */
export class V2Peer {
  readonly websocket: WebSocket;
  /** Payloads of binary messages. */
  readonly payloads: Buffer[] = [];
  readonly controls: ControlMessage[] = [];
  /** Texts that are no JSON objects with a type: there should be none. */
  readonly oddTexts: string[] = [];
  /** `bytes` and the types of control messages as they came; bytes in a row count once. */
  readonly story: string[] = [];
  /** When each of `controls` came, in terms of `performance.now()`. */
  readonly times: number[] = [];
  closeCode: number | undefined;
  closeReason = '';
  #byteCount = 0;
  #socket: Socket | undefined;

  constructor(websocket: WebSocket) {
    this.websocket = websocket;
    websocket.once('upgrade', (response: IncomingMessage) => {
      this.#socket = response.socket;
    });
    websocket.on('message', (message: Buffer, isBinary) => {
      if (isBinary) this.#takeBytes(message);
      else this.#takeText(message.toString());
    });
    websocket.on('close', (code, reason) => {
      this.closeCode = code;
      this.closeReason = reason.toString();
    });
    websocket.on('error', () => undefined);
  }

  /** Connects; resolves once the server has upgraded. The connection is gone after the test. */
  static async connect(url: string, verb: 'APPEND' | 'FOLLOW', options: V2Options = {}): Promise<V2Peer> {
    const peer = new V2Peer(websocketTo(url, verb, options));
    await new Promise<void>((resolve, reject) => {
      peer.websocket.once('open', resolve);
      peer.websocket.once('unexpected-response', (_request, { statusCode }) => {
        peer.websocket.terminate();
        reject(new Error(`${verb} ${url}: HTTP status ${statusCode}`));
      });
      peer.websocket.once('error', reject);
    });
    return peer;
  }

  /** Connects as an appender and waits for the first message. */
  static async append(url: string, query: Query = {}, options: V2Options = {}): Promise<V2Peer> {
    const peer = await V2Peer.connect(url, 'APPEND', { ...options, query });
    await peer.until(() => peer.open !== undefined, 'the first message');
    return peer;
  }

  /** Connects as a follower. */
  static follow(url: string, query: Query = {}, options: V2Options = {}): Promise<V2Peer> {
    return V2Peer.connect(url, 'FOLLOW', { ...options, query });
  }

  get socket(): Socket {
    return this.#socket as Socket;
  }

  get bytes(): Buffer {
    return Buffer.concat(this.payloads);
  }

  get text(): string {
    return this.bytes.toString('latin1');
  }

  get byteCount(): number {
    return this.#byteCount;
  }

  get open(): OpenMessage | undefined {
    return this.controls.find((message): message is OpenMessage => message.type === 'open');
  }

  get acks(): number[] {
    return this.controls
      .filter((message): message is AckMessage => message.type === 'ack')
      .map(({ position }) => position);
  }

  /** The last position that was acknowledged, or at which it opened. */
  get acked(): number {
    return this.acks.at(-1) ?? -1;
  }

  get end(): EndMessage | undefined {
    return this.controls.find((message): message is EndMessage => message.type === 'end');
  }

  /** How a follower's stream ended: the reason in the message, and the close code. */
  get ending(): [string | undefined, number | undefined] {
    return [this.end?.reason, this.closeCode];
  }

  /** Sends one binary message; resolves when the system has taken it. */
  send(bytes: Buffer | string): Promise<void> {
    return new Promise((resolve, reject) => {
      this.websocket.send(Buffer.from(bytes), { binary: true }, (error) =>
        error ? reject(error) : resolve(),
      );
    });
  }

  /** Sends and waits for the acknowledgement of everything up to `position`. */
  async append(bytes: Buffer | string, position: number): Promise<void> {
    await this.send(bytes);
    await this.until(() => this.acked >= position, `the acknowledgement of ${position}`);
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

  /** Resolves when the connection is closed, by whomever. */
  closed(): Promise<void> {
    return this.until(() => this.closeCode !== undefined, 'the close');
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

  async until(condition: () => boolean, what: string): Promise<void> {
    await waitFor(condition, `${what} (so far: ${JSON.stringify(this.controls.slice(-5))})`);
  }

  #takeBytes(bytes: Buffer): void {
    this.payloads.push(bytes);
    this.#byteCount += bytes.length;
    if (this.story.at(-1) !== 'bytes') this.story.push('bytes');
  }

  #takeText(text: string): void {
    const message = parse(text);
    if (message === undefined) {
      this.oddTexts.push(text);
      return;
    }
    this.controls.push(message);
    this.times.push(performance.now());
    this.story.push(message.type);
  }
}

/** The status, and the problem's code, with which a handshake is refused. Rejects when it is not. */
export async function refusalOf(
  url: string,
  verb: 'APPEND' | 'FOLLOW',
  query: Query = {},
): Promise<[number | undefined, string]> {
  const websocket = websocketTo(url, verb, { query, headers: { accept: 'application/problem+json' } });
  websocket.on('error', () => undefined);
  const answer = await Promise.race([
    once(websocket, 'unexpected-response'),
    once(websocket, 'open').then(() => {
      throw new Error(`${verb} ${url} was not refused`);
    }),
  ]);
  const response = answer[1] as IncomingMessage;
  const chunks: Buffer[] = await response.toArray();
  websocket.terminate();
  return [response.statusCode, JSON.parse(Buffer.concat(chunks).toString()).code];
}

function websocketTo(
  url: string,
  verb: string,
  {
    protocols = [V2],
    query = {},
    answersPings = true,
    headers = {},
  }: V2Options & { headers?: Record<string, string> },
): WebSocket {
  const target = new URL(url);
  for (const [name, value] of Object.entries(query)) target.searchParams.set(name, String(value));
  const websocket = new WebSocket(target, [...protocols], {
    headers: { 'X-Verb': verb, ...headers },
    perMessageDeflate: false,
    autoPong: answersPings,
  });
  onTestFinished(() => websocket.terminate());
  return websocket;
}

function parse(text: string): ControlMessage | undefined {
  try {
    const message = JSON.parse(text);
    return typeof message?.type === 'string' ? message : undefined;
  } catch {
    return undefined;
  }
}
