import type { Socket } from 'node:net';
import type { FastifyBaseLogger } from 'fastify';
import type { WebSocket } from 'ws';
import type { Appender, AppenderOwner } from '../core/appender.ts';
import type { EndReason } from '../core/end-reason.ts';
import type { FeedRegistry } from '../core/feed-registry.ts';
import type { HttpfstreamError } from '../errors.ts';
import { CloseCode } from '../protocol.ts';
import type { ResourcePath } from '../storage/resource-path.ts';
import { PayloadTap } from '../websocket/payload-tap.ts';
import type { ConnectionGroup } from './connection-group.ts';

/** Quiet time after which TCP starts to probe whether an appender's machine is still there. */
const TCP_KEEP_ALIVE_MS = 30_000;

/** How long an appender that was told to go may stay: the original's client never reads that it was. */
const FAREWELL_MS = 1000;

export interface AppendContext {
  registry: FeedRegistry;
  connections: ConnectionGroup<AppendConnection>;
  maxMessageBytes: number;
}

/**
 * One appender's connection, from before its upgrade to the end of its append.
 *
 * It sends nothing while the append goes on, not even a ping: the original's
 * client never reads, and what lies unread when it closes turns its close into
 * a reset that throws away its last bytes. For the same reason a bare TCP close
 * between two messages is a clean end.
 */
export class AppendConnection implements AppenderOwner {
  readonly #resource: ResourcePath;
  readonly #socket: Socket;
  readonly #context: AppendContext;
  readonly #log: FastifyBaseLogger;
  readonly #openedAt = performance.now();
  #appender: Appender | undefined;
  #websocket: WebSocket | undefined;
  #tap: PayloadTap | undefined;
  #shuttingDown = false;
  #farewell: NodeJS.Timeout | undefined;

  constructor(resource: ResourcePath, socket: Socket, context: AppendContext, log: FastifyBaseLogger) {
    this.#resource = resource;
    this.#socket = socket;
    this.#context = context;
    this.#log = log;
  }

  /**
   * Takes hold of the resource, before the upgrade. It is let go when the
   * connection closes, upgraded or not.
   *
   * @throws what {@link FeedRegistry.openAppend} throws
   */
  async open(): Promise<void> {
    const appender = await this.#context.registry.openAppend(this.#resource, this);
    this.#appender = appender;
    if (this.#socket.destroyed) {
      void appender.end('interrupted');
      return;
    }
    this.#context.connections.add(this);
    this.#socket.once('close', (hadError) => void this.#closed(appender, hadError));
    this.#log.info(
      { resource: this.#resource.toString(), position: appender.startPosition },
      'append opened',
    );
  }

  /** Starts to append what comes through the WebSocket. */
  start(websocket: WebSocket): void {
    const appender = this.#appender as Appender;
    this.#websocket = websocket;
    this.#socket.setKeepAlive(true, TCP_KEEP_ALIVE_MS);
    this.#tap = new PayloadTap(websocket, this.#socket, {
      masked: true,
      maxMessageBytes: this.#context.maxMessageBytes,
      onPayload: (bytes) => {
        if (!appender.append(bytes)) websocket.pause();
      },
      onFramingError: (error) => {
        this.#log.warn(
          { resource: this.#resource.toString(), code: error.code },
          `append refused: ${error.message}`,
        );
        void appender.end('interrupted');
        this.#cutSoon();
      },
      // Answered when the bytes are in the file, so that the answer means that they are.
      beforeClose: (code) => {
        const isClean = code === CloseCode.finished || code === CloseCode.none;
        return appender.end(this.#reasonFor(isClean && this.#tap?.betweenMessages === true));
      },
    });
  }

  drained(): void {
    this.#websocket?.resume();
  }

  failed(error: HttpfstreamError): void {
    this.#log.error({ resource: this.#resource.toString(), err: error }, `append failed: ${error.message}`);
    this.#websocket?.close(CloseCode.interrupted, error.message);
    this.#websocket?.resume();
    this.#cutSoon();
  }

  /** Tells the appender to go; what it still sends until it does is appended. */
  shutDown(): void {
    this.#shuttingDown = true;
    if (this.#websocket === undefined) this.terminate();
    else this.#websocket.close(CloseCode.goingAway, 'the server is shutting down');
  }

  terminate(): void {
    this.#socket.destroy();
  }

  #cutSoon(): void {
    this.#farewell ??= setTimeout(() => this.terminate(), FAREWELL_MS);
  }

  #reasonFor(clean: boolean): EndReason {
    if (this.#shuttingDown) return 'shutdown';
    return clean ? 'finished' : 'interrupted';
  }

  async #closed(appender: Appender, hadError: boolean): Promise<void> {
    clearTimeout(this.#farewell);
    const bareClose = !hadError && this.#socket.readableEnded && this.#tap?.betweenMessages === true;
    await appender.end(this.#reasonFor(bareClose));
    this.#context.connections.delete(this);
    this.#log.info(
      {
        resource: this.#resource.toString(),
        reason: appender.feed.endReason,
        bytes: appender.feed.committed - appender.startPosition,
        durationMs: Math.round(performance.now() - this.#openedAt),
      },
      'append closed',
    );
  }
}
