import type { Socket } from 'node:net';
import type { FastifyBaseLogger } from 'fastify';
import type { WebSocket } from 'ws';
import type { ReadNumbers } from '../../core/numbers.ts';
import type { Encoder } from '../../core/readers/chunk.ts';
import type { Cutting } from '../../core/readers/cutting.ts';
import type { Reader, ReaderFeed, Sink } from '../../core/readers/reader.ts';
import { closeWebSocket } from '../../wire/close-websocket.ts';
import { HttpfstreamError, RangeNotSatisfiableError, ResourceGoneError } from '../../wire/errors.ts';
import { PayloadTap, type TapHandler } from '../../wire/payload-tap.ts';
import type { Outcome } from '../../wire/protocol.ts';
import { type ActivityMessage, CloseCode, type ControlMessage, type EndReason } from '../../wire/protocol.ts';
import { type ActiveConnection, type ActiveConnections, DRAIN_TIMEOUT_MS } from '../active-connections.ts';
import { ClientSocket, CUT_DELAY_MS, type SocketOwner } from '../node/connections/client-socket.ts';
import { SocketSink } from '../response/socket-sink.ts';
import type { Withdrawal } from '../rights/admission.ts';
import { type Dialect, toldDetail, toldType } from './dialects.ts';
import { Liveness } from './liveness.ts';

/** What people read in the close frame, where the reason is not the whole story. */
const CLOSE_TEXTS: Readonly<Partial<Record<EndReason, string>>> = {
  interrupted: 'the appender was lost',
  deleted: 'the file was deleted',
  truncated: 'the file was cut',
  shutdown: 'the server is shutting down',
};

/** Longest message that a follower, which has nothing to say, may send. */
const MAX_MESSAGE_BYTES = 1024;

/** One follower's connection, from before its upgrade to its end. */
export class FollowConnection implements ActiveConnection, Sink, SocketOwner, TapHandler {
  readonly numbers: ReadNumbers;
  readonly #follows: ActiveConnections;
  readonly #log: FastifyBaseLogger;
  readonly #dialect: Dialect;
  readonly #socket: Socket;
  readonly #client: ClientSocket;
  readonly #sink: SocketSink;
  readonly #liveness: Liveness;
  /** Made for those who wait only: there are many connections. */
  #aborter: AbortController | undefined;
  #reader: Reader | undefined;
  #websocket: WebSocket | undefined;
  /** Whether it is closed from the other side, or as good as that. */
  #isStopped = false;
  /** Whether the server closes. */
  #isShuttingDown = false;

  constructor(
    follows: ActiveConnections,
    log: FastifyBaseLogger,
    dialect: Dialect,
    socket: Socket,
    numbers: ReadNumbers,
  ) {
    this.numbers = numbers;
    this.#follows = follows;
    this.#log = log;
    this.#dialect = dialect;
    this.#socket = socket;
    this.#client = ClientSocket.of(socket);
    this.#sink = new SocketSink(socket);
    this.#liveness = new Liveness(socket, follows.keepAliveMs);
    follows.add(this);
    this.#client.owner = this;
  }

  get encode(): Encoder {
    return this.#dialect.encode;
  }

  get cutting(): Cutting {
    return this.#dialect.cutting;
  }

  /** Aborts when the connection has closed. */
  get signal(): AbortSignal {
    this.#aborter ??= new AbortController();
    if (this.#socket.destroyed) this.#aborter.abort();
    return this.#aborter.signal;
  }

  /** Whether it is over, or as good as that. */
  get isOver(): boolean {
    return this.#isStopped || this.#socket.destroyed;
  }

  /** What is followed; undefined as long as it is waited for, and once nothing more comes. */
  get feed(): ReaderFeed | undefined {
    return this.#reader?.outcome === undefined ? this.#reader?.feed : undefined;
  }

  /** Tells what goes on, unless its client has not read what was sent before. */
  tell(message: ActivityMessage): void {
    if (this.#socket.writableLength === 0) this.#send(message);
  }

  /** Gives it what it follows: before the upgrade, or later, when the resource is there. */
  follow(reader: Reader): void {
    this.#reader = reader;
    if (this.#socket.destroyed || this.#isStopped) reader.leave();
    else if (this.#websocket !== undefined) this.#open(reader);
  }

  /** Starts to send. Bytes go past `ws`, in frames that all followers share; what `ws` sends is whole frames, too. */
  start(websocket: WebSocket): void {
    this.#websocket = websocket;
    // ws would answer each of its pings, read or not.
    new PayloadTap(websocket, this.#socket, this);
    if (this.#reader !== undefined) {
      this.#open(this.#reader);
      return;
    }
    this.#send({ type: 'waiting' });
    if (this.#isShuttingDown) this.shutDown();
  }

  get masked(): boolean {
    return true;
  }

  get maxMessageBytes(): number {
    return MAX_MESSAGE_BYTES;
  }

  /** It has nothing to say. */
  onPayload(): void {}

  onDrain(): void {
    this.#reader?.drained();
  }

  onFramingError(): void {
    this.#stop();
    this.#client.cutAfter(CUT_DELAY_MS);
  }

  /** Nothing may be sent behind the answer (RFC 6455, section 5.5.1). */
  beforeClose(): void {
    this.#stop();
  }

  write(encoded: readonly Buffer[]): boolean {
    return this.#sink.write(encoded);
  }

  waiting(isWaiting: boolean): void {
    this.#send({ type: isWaiting ? 'waiting' : 'live' });
  }

  typed(contentType: string): void {
    this.#send({ type: 'type', contentType });
  }

  end(outcome: Outcome): void {
    const { reason } = outcome;
    this.#send({ type: 'end', position: this.#reader?.position ?? 0, ...outcome });
    this.#close(this.#dialect.closeCode(reason), CLOSE_TEXTS[reason]);
  }

  fail(error: unknown): void {
    const isShutDown = this.#isShuttingDown && this.#reader === undefined;
    if (this.#socket.destroyed || this.#isStopped || isShutDown) return;
    if (error instanceof ResourceGoneError) this.refuse('deleted', error.message);
    else if (error instanceof RangeNotSatisfiableError) this.refuse('truncated', error.message);
    else {
      this.#log.error({ err: error }, 'a follower cannot be served');
      this.refuse(
        'interrupted',
        error instanceof HttpfstreamError ? error.message : 'the file cannot be read',
      );
    }
  }

  /** Ends a connection that cannot be served. */
  refuse(reason: EndReason | 'missing', detail: string): void {
    this.#send({ type: 'end', position: this.#reader?.position ?? 0, reason, detail: toldDetail(detail) });
    this.#close(CloseCode.interrupted, detail);
  }

  /** Closes a connection whose client may not go on. That is no end of what it follows. */
  withdraw({ isExpired, error }: Withdrawal): void {
    if (this.#websocket === undefined) {
      this.terminate();
      return;
    }
    this.#close(isExpired ? CloseCode.unauthorized : CloseCode.forbidden, error.message);
    this.#stop();
    this.#client.cutAfter(CUT_DELAY_MS);
  }

  /**
   * Closes a connection that still waits for its resource, at the latest when it opens; the others are closed by the
   * end of their feed.
   */
  shutDown(): void {
    this.#isShuttingDown = true;
    if (this.#reader !== undefined || this.#websocket === undefined) return;
    this.end({ reason: 'shutdown' });
    this.#stop();
  }

  /** Cuts a follower that does not answer, or takes nothing for too long after the end. */
  keepAlive(intervalMs: number): void {
    const hasEnded = this.#reader?.outcome !== undefined;
    const stalledMs = this.#sink.stalledMs(intervalMs, hasEnded);
    const isDead = this.#isOpen && this.#liveness.tick(intervalMs) && this.#dialect.answersPings;
    if (isDead || stalledMs >= DRAIN_TIMEOUT_MS) this.terminate();
  }

  terminate(): void {
    this.#socket.destroy();
  }

  #open(reader: Reader): void {
    const { feed, position, outcome } = reader;
    const { streamType, givenType, isAtomic } = feed;
    const size = feed.size ?? (outcome && feed.committed);
    const { generation } = feed.file;
    this.#send({
      type: 'open',
      generation,
      position,
      live: outcome === undefined,
      ...(size !== undefined && { size }),
      ...(isAtomic && { part: true }),
      ...toldType(givenType),
      ...(streamType !== undefined && { stream: true }),
    });
    if (outcome === undefined && feed.isWaiting) this.#send({ type: 'waiting' });
    reader.drained();
  }

  #send(message: ControlMessage): void {
    const frame = this.#dialect.control(message);
    if (this.#isOpen && frame.length > 0) this.#socket.write(frame);
  }

  #close(code: number, reason?: string): void {
    if (this.#websocket !== undefined) closeWebSocket(this.#websocket, code, reason);
  }

  get #isOpen(): boolean {
    return this.#websocket !== undefined && this.#websocket.readyState === this.#websocket.OPEN;
  }

  /** Sends no more of the resource. */
  #stop(): void {
    this.#isStopped = true;
    this.#aborter?.abort();
    this.#reader?.leave();
  }

  closed(): void {
    this.#stop();
    this.#follows.delete(this);
  }
}
