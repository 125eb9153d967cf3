import type { Socket } from 'node:net';
import type { FastifyBaseLogger } from 'fastify';
import type { WebSocket } from 'ws';
import type { EndReason } from '../core/end-reason.ts';
import type { Feed } from '../core/feed.ts';
import type { Follower, FollowerSink } from '../core/follower.ts';
import { CloseCode, LEGACY_MESSAGE_BYTES } from '../protocol.ts';
import { messageEncoder } from '../websocket/message-encoder.ts';
import { Opcode } from '../websocket/opcode.ts';
import type { ConnectionGroup } from './connection-group.ts';
import type { KeepAlive } from './keep-alive.ts';

/** The original's follower reads nothing but short, unfragmented text messages. */
const encodeLegacyMessages = messageEncoder(Opcode.text, LEGACY_MESSAGE_BYTES);

const PING_FRAME = Buffer.of(0x80 | Opcode.ping, 0);

/** How a feed's end is told to a client that knows nothing but close codes. */
const CLOSE_OF_REASON: Readonly<Record<EndReason, readonly [code: number, text?: string]>> = {
  finished: [CloseCode.finished],
  interrupted: [CloseCode.interrupted, 'the appender was lost'],
  shutdown: [CloseCode.goingAway, 'the server is shutting down'],
};

/**
 * How long a follower may take nothing at all after its feed has ended, and how
 * long the close handshake may take. Long, because a slow reader still has the
 * system's buffers to empty, and a close before that would lose them.
 */
export const CLOSE_PATIENCE_MS = 300_000;

export interface FollowContext {
  log: FastifyBaseLogger;
  connections: ConnectionGroup<FollowConnection>;
  keepAlive: KeepAlive;
  keepAliveMs: number;
}

/** One follower's connection, from before its upgrade to its end. */
export class FollowConnection implements FollowerSink {
  readonly encode = encodeLegacyMessages;
  readonly #feed: Feed;
  readonly #socket: Socket;
  readonly #context: FollowContext;
  readonly #follower: Follower;
  #websocket: WebSocket | undefined;
  /** Time without a write. */
  #quietMs = 0;
  /** Time without progress since the feed has ended. */
  #stuckMs = 0;
  #unsentBytes = 0;

  /** Joins the feed, before the upgrade. It leaves when the connection closes, upgraded or not. */
  constructor(feed: Feed, socket: Socket, context: FollowContext) {
    this.#feed = feed;
    this.#socket = socket;
    this.#context = context;
    this.#follower = feed.join(0, this);
    context.connections.add(this);
    socket.once('close', () => this.#closed());
  }

  /** Starts to send. Bytes go past `ws`, in frames that all followers share; what `ws` sends is whole frames, too. */
  start(websocket: WebSocket): void {
    this.#websocket = websocket;
    this.#context.keepAlive.add(this);
    this.#socket.on('drain', () => this.#follower.drained());
    this.#follower.drained();
  }

  write(encoded: readonly Buffer[]): boolean {
    this.#quietMs = 0;
    const socket = this.#socket;
    let isBelowMark = true;
    if (encoded.length > 1) socket.cork();
    for (const bytes of encoded) isBelowMark = socket.write(bytes);
    if (encoded.length > 1) socket.uncork();
    // Beyond the mark and yet empty: the system has taken everything at once.
    return isBelowMark || socket.writableLength === 0;
  }

  end(reason: EndReason): void {
    this.#websocket?.close(...CLOSE_OF_REASON[reason]);
  }

  fail(error: unknown): void {
    this.#context.log.error({ err: error }, 'a follower cannot be served: the file cannot be read');
    this.#websocket?.close(CloseCode.interrupted, 'the file cannot be read');
  }

  /** Pings a quiet follower; cuts one that takes nothing for too long after the end. */
  keepAlive(): void {
    const { keepAliveMs } = this.#context;
    const unsentBytes = this.#socket.writableLength;
    const isStuck =
      this.#feed.endReason !== undefined && unsentBytes > 0 && unsentBytes === this.#unsentBytes;
    this.#stuckMs = isStuck ? this.#stuckMs + keepAliveMs : 0;
    this.#unsentBytes = unsentBytes;
    if (this.#stuckMs >= CLOSE_PATIENCE_MS) this.terminate();

    const isOpen = this.#websocket?.readyState === this.#websocket?.OPEN;
    if (this.#quietMs >= keepAliveMs && unsentBytes === 0 && isOpen) this.#socket.write(PING_FRAME);
    this.#quietMs += keepAliveMs;
  }

  terminate(): void {
    this.#socket.destroy();
  }

  #closed(): void {
    this.#follower.leave();
    this.#context.keepAlive.delete(this);
    this.#context.connections.delete(this);
  }
}
