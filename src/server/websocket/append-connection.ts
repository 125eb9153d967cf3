import type { Socket } from 'node:net';
import type { FastifyBaseLogger, FastifyRequest } from 'fastify';
import type { WebSocket } from 'ws';
import type { Core } from '../../core/core.ts';
import type { AppendNumbers } from '../../core/numbers.ts';
import type { Permit } from '../../core/permit.ts';
import type { AppendRequest } from '../../core/request.ts';
import type { Lease } from '../../core/sessions/lease.ts';
import type { LeaseHolder } from '../../core/sessions/session.ts';
import { closeWebSocket } from '../../wire/close-websocket.ts';
import { FramingError, type HttpfstreamError, ResourceTooLargeError } from '../../wire/errors.ts';
import { PayloadTap, type TapHandler } from '../../wire/payload-tap.ts';
import { CloseCode, type ControlMessage, contentTypeIn, type EndReason } from '../../wire/protocol.ts';
import type { ActiveConnection, ActiveConnections } from '../active-connections.ts';
import { countRefusal } from '../failure.ts';
import {
  allowIdle,
  ClientSocket,
  CUT_DELAY_MS,
  type SocketOwner,
} from '../node/connections/client-socket.ts';
import { Refusals } from '../node/connections/refusals.ts';
import type { Withdrawal } from '../rights/admission.ts';
import { type AppendEnd, type Dialect, toldDetail, toldType } from './dialects.ts';
import { Liveness } from './liveness.ts';

/** While bytes keep coming they are acknowledged each time so many of them are safe, … */
const ACK_BYTES = 1024 * 1024;

/** … and after this time at the latest. */
const ACK_INTERVAL_MS = 50;

/**
 * One appender's connection, from before its upgrade to its end.
 *
 * A legacy client is sent nothing while the append goes on, not even a ping:
 * the original's never reads, and unread bytes turn its close into a reset, which
 * discards its last bytes.
 */
export class AppendConnection implements ActiveConnection, LeaseHolder, SocketOwner, TapHandler {
  readonly numbers: AppendNumbers;
  readonly #core: Core;
  readonly #appends: ActiveConnections;
  readonly #permit: Permit<'append'>;
  readonly #dialect: Dialect;
  readonly #socket: Socket;
  readonly #log: FastifyBaseLogger;
  readonly #refusals: Refusals;
  /** Of a client that answers pings, once it has its WebSocket. */
  #liveness: Liveness | undefined;
  readonly #openedAt = performance.now();
  #lease: Lease | undefined;
  #websocket: WebSocket | undefined;
  #tap: PayloadTap | undefined;
  #isDeposed = false;
  #shuttingDown = false;
  /** What happened to the file. */
  #loss: [reason: EndReason, error: HttpfstreamError] | undefined;
  #ackedPosition = -1;
  #ackedAt = 0;
  #ackDue = false;

  constructor(
    core: Core,
    appends: ActiveConnections,
    permit: Permit<'append'>,
    dialect: Dialect,
    { raw, log, server: { server } }: FastifyRequest,
  ) {
    this.numbers = core.numbers.appends.websocket;
    this.#core = core;
    this.#appends = appends;
    this.#permit = permit;
    this.#dialect = dialect;
    this.#socket = raw.socket;
    this.#log = log;
    this.#refusals = Refusals.of(server);
  }

  get saysTypeLater(): boolean {
    return !this.#dialect.appendsText;
  }

  /**
   * Acquires the lease of the resource, before the upgrade. It is given back when
   * the connection closes, upgraded or not.
   *
   * @throws what {@link SessionRegistry.open} throws
   */
  async open(request: AppendRequest): Promise<void> {
    // From before anything is held, so that whoever closes the server waits for it.
    this.#appends.add(this);
    let lease: Lease;
    try {
      lease = await this.#acquire(request);
    } catch (error) {
      this.#appends.delete(this);
      throw error;
    }
    if (this.#socket.destroyed) {
      lease.release();
      this.#appends.delete(this);
      return;
    }
    ClientSocket.of(this.#socket).owner = this;
    this.#log.info(
      { resource: this.#permit.path.toString(), position: lease.received, start: lease.startPosition },
      'append opened',
    );
  }

  async #acquire(request: AppendRequest): Promise<Lease> {
    const lease = await this.#core.sessions.open(this.#permit, request, this);
    this.#lease = lease;
    await lease.ready();
    if (lease.failure !== undefined) throw lease.failure;
    return lease;
  }

  /** Starts to append what comes through the WebSocket. */
  start(websocket: WebSocket): void {
    const lease = this.#lease as Lease;
    this.#websocket = websocket;
    allowIdle(this.#socket);
    if (this.#dialect.answersPings) this.#liveness = new Liveness(this.#socket, this.#appends.keepAliveMs);
    this.#tap = new PayloadTap(websocket, this.#socket, this);
    this.#send({
      type: 'open',
      generation: lease.file.stat.generation,
      position: lease.received,
      live: true,
      ...toldType(lease.feed.givenType ?? null),
    });
    this.#acknowledge();
    if (this.#loss !== undefined) this.#sendLoss(...this.#loss);
  }

  get masked(): boolean {
    return true;
  }

  /** Messages are not buffered, and the original sends all that it has as one. */
  get maxMessageBytes(): number {
    return Number.MAX_SAFE_INTEGER;
  }

  get onText(): ((text: string) => void) | undefined {
    return this.#dialect.appendsText ? undefined : (text) => this.#takeText(text);
  }

  onPayload(bytes: Buffer, isMerged: boolean): void {
    if (this.#lease?.append(bytes, isMerged) === false) this.#websocket?.pause();
  }

  /** @throws {FramingError} unless it says what the content type is, before the first byte */
  #takeText(text: string): void {
    const contentType = contentTypeIn(text);
    const lease = this.#lease as Lease;
    if (contentType === undefined) {
      throw new FramingError(
        'an appender sends binary messages, and in text only what their content type is',
        CloseCode.unsupportedData,
      );
    }
    if (lease.received > lease.startPosition) {
      throw new FramingError(
        'the content type is said before the first byte, or in the query',
        CloseCode.unsupportedData,
      );
    }
    lease.giveType(contentType);
  }

  onDrain(): void {
    this.#acknowledge();
  }

  onFramingError(error: FramingError): void {
    this.#log.warn(
      { resource: this.#permit.path.toString(), code: error.code },
      `append refused: ${error.message}`,
    );
    void this.#lease?.end('interrupted');
    ClientSocket.of(this.#socket).cutAfter(CUT_DELAY_MS);
  }

  /** Answered when the bytes are in the file, so that the answer means that they are. */
  beforeClose(code: number, reason: string): Promise<void> {
    const how = this.#dialect.endOfClose(code, this.#tap?.betweenMessages === true);
    return this.#end(this.#lease as Lease, how, this.#dialect.statusOfClose(reason));
  }

  drained(): void {
    this.#websocket?.resume();
  }

  safe(position: number): void {
    const isFarAhead = position - this.#ackedPosition >= ACK_BYTES;
    if (isFarAhead || performance.now() - this.#ackedAt >= ACK_INTERVAL_MS) this.#acknowledge();
    else if (!this.#ackDue) {
      this.#ackDue = true;
      setImmediate(() => this.#acknowledgeAll());
    }
  }

  lost(reason: EndReason, error: HttpfstreamError): void {
    this.#log.error(
      { resource: this.#permit.path.toString(), err: error },
      `append failed: ${error.message}`,
    );
    this.#loss = [reason, error];
    // What happened to the file refuses nothing.
    if (reason === 'interrupted') countRefusal(this.#refusals, error);
    if (this.#websocket !== undefined) this.#sendLoss(reason, error);
  }

  deposed(): void {
    this.#isDeposed = true;
    this.terminate();
  }

  /**
   * Closes a connection whose client may not go on, with what has come by now: who comes back in time with another
   * credential may.
   */
  withdraw({ isExpired, error }: Withdrawal): void {
    if (this.#websocket === undefined) {
      this.terminate();
      return;
    }
    if (isExpired) this.#lease?.release();
    else void this.#lease?.end('interrupted');
    closeWebSocket(this.#websocket, isExpired ? CloseCode.unauthorized : CloseCode.forbidden, error.message);
    this.#websocket.resume();
    ClientSocket.of(this.#socket).cutAfter(CUT_DELAY_MS);
  }

  /** Tells the appender to go; what it still sends until it does is appended. */
  shutDown(): void {
    this.#shuttingDown = true;
    // It is refused, and the answer says so.
    if (this.#lease === undefined) return;
    if (this.#websocket === undefined) {
      this.terminate();
      return;
    }
    this.#send({ type: 'end', position: this.#lease?.safePosition ?? 0, reason: 'shutdown' });
    closeWebSocket(this.#websocket, this.#dialect.closingCode, 'the server is shutting down');
  }

  /** Cuts an appender that does not answer. */
  keepAlive(intervalMs: number): void {
    if (this.#isOpen && !this.#websocket?.isPaused && this.#liveness?.tick(intervalMs)) this.terminate();
  }

  terminate(): void {
    this.#socket.destroy();
  }

  /** Once the client waits for nothing more than this: not while bytes keep coming. */
  #acknowledgeAll(): void {
    this.#ackDue = false;
    if (this.#lease?.safePosition === this.#lease?.received) this.#acknowledge();
  }

  #acknowledge(): void {
    // A connection that takes over holds the session before it is open.
    const safePosition = this.#lease?.safePosition;
    if (!this.#isOpen || safePosition === undefined || safePosition === this.#ackedPosition) return;
    // Those that nobody reads would pile up; the last one says it all.
    if (this.#socket.writableNeedDrain) return;
    this.#ackedPosition = safePosition;
    this.#ackedAt = performance.now();
    this.#send({ type: 'ack', position: safePosition });
  }

  #send(message: ControlMessage): void {
    const frame = this.#dialect.control(message);
    if (this.#isOpen && frame.length > 0) this.#socket.write(frame);
  }

  get #isOpen(): boolean {
    return this.#websocket !== undefined && this.#websocket.readyState === this.#websocket.OPEN;
  }

  #sendLoss(reason: EndReason, error: HttpfstreamError): void {
    const websocket = this.#websocket as WebSocket;
    const position = this.#lease?.safePosition ?? 0;
    this.#send({ type: 'end', position, reason, detail: toldDetail(error.message) });
    closeWebSocket(websocket, closeCodeOf(error), error.message);
    websocket.resume();
    ClientSocket.of(this.#socket).cutAfter(CUT_DELAY_MS);
  }

  async #end(lease: Lease, how: AppendEnd, status?: number): Promise<void> {
    if (this.#shuttingDown) await lease.end('shutdown');
    else if (how === 'lost') lease.release();
    else if (how === 'finished') await lease.end(how, status);
    else await lease.end(how);
    if (how === 'finished') this.#acknowledge();
  }

  closed(socket: Socket, hadError: boolean): void {
    const isOrderly = !hadError && socket.readableEnded && this.#tap?.betweenMessages === true;
    void this.#finish(this.#lease as Lease, this.#dialect.endOfConnection(isOrderly));
  }

  async #finish(lease: Lease, how: AppendEnd): Promise<void> {
    await this.#end(lease, how);
    this.#appends.delete(this);
    this.#log.info(
      {
        resource: this.#permit.path.toString(),
        reason: this.#isDeposed ? 'deposed' : (lease.endReason ?? 'lost'),
        bytes: lease.committed - lease.startPosition,
        durationMs: Math.round(performance.now() - this.#openedAt),
      },
      'append closed',
    );
  }
}

function closeCodeOf(error: HttpfstreamError): number {
  return error instanceof ResourceTooLargeError ? CloseCode.messageTooBig : CloseCode.interrupted;
}
