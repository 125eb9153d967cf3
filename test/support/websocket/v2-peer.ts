import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { onTestFinished } from 'vitest';
import type { AckMessage, ControlMessage, EndMessage, OpenMessage } from '../../../src/wire/protocol.ts';
import { Peer, type PeerOptions, type Query, type Verb, websocketTo } from './peer.ts';

export const V2 = 'httpfstream.v2';

/** A token as a client makes it, another one for each letter. */
export const sessionOf = (letter: string) => letter.repeat(32);

/** A client that offers the subprotocol, and tells its messages apart. */
export class V2Peer extends Peer {
  readonly controls: ControlMessage[] = [];
  /** Texts that are no JSON objects with a type: there should be none. */
  readonly oddTexts: string[] = [];
  /** `bytes` and the types of control messages as they came; bytes in a row count once. */
  readonly story: string[] = [];

  /** Connects; resolves once the server has upgraded. The connection is gone after the test. */
  static override async connect(url: string, verb: Verb, options: PeerOptions = {}): Promise<V2Peer> {
    const peer = new V2Peer(url, verb, { protocols: [V2], skipUTF8Validation: false, ...options });
    onTestFinished(() => peer.websocket.terminate());
    await peer.upgraded();
    return peer;
  }

  /** Connects as an appender and waits for the first message. */
  static async append(url: string, query: Query = {}, options: PeerOptions = {}): Promise<V2Peer> {
    const peer = await V2Peer.connect(url, 'APPEND', { ...options, query });
    await peer.until(() => peer.open !== undefined, 'the first message');
    return peer;
  }

  /** Connects as a follower. */
  static follow(url: string, query: Query = {}, options: PeerOptions = {}): Promise<V2Peer> {
    return V2Peer.connect(url, 'FOLLOW', { ...options, query });
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
  override send(bytes: Buffer | string): Promise<void> {
    return this.sendMessage(bytes, true);
  }

  /** Sends and waits for the acknowledgement of everything up to `position`. */
  async append(bytes: Buffer | string, position: number): Promise<void> {
    await this.send(bytes);
    await this.until(() => this.acked >= position, `the acknowledgement of ${position}`);
  }

  override until(condition: () => boolean, what: string): Promise<void> {
    return super.until(condition, `${what} (so far: ${JSON.stringify(this.controls.slice(-5))})`);
  }

  protected override take(message: Buffer, isBinary: boolean): void {
    if (isBinary) {
      super.take(message, isBinary);
      if (this.story.at(-1) !== 'bytes') this.story.push('bytes');
    } else this.#takeText(message.toString());
  }

  #takeText(text: string): void {
    const message = parse(text);
    if (message === undefined) {
      this.oddTexts.push(text);
      return;
    }
    this.controls.push(message);
    this.story.push(message.type);
  }
}

/** The status, and the problem's code, with which a handshake is refused. Rejects when it is not. */
export async function refusalOf(
  url: string,
  verb: Verb,
  query: Query = {},
): Promise<[number | undefined, string]> {
  const websocket = websocketTo(url, verb, {
    protocols: [V2],
    query,
    headers: { accept: 'application/problem+json' },
  });
  onTestFinished(() => websocket.terminate());
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

function parse(text: string): ControlMessage | undefined {
  try {
    const message = JSON.parse(text);
    return typeof message?.type === 'string' ? message : undefined;
  } catch {
    return undefined;
  }
}
