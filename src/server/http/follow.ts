import type { OutgoingHttpHeaders, ServerResponse } from 'node:http';
import { Socket } from 'node:net';
import type { FastifyBaseLogger, FastifyReply, FastifyRequest } from 'fastify';
import type { Histogram, ReadNumbers } from '../../core/numbers.ts';
import type { Encoder } from '../../core/readers/chunk.ts';
import { anywhere } from '../../core/readers/cutting.ts';
import type { Reader, Sink } from '../../core/readers/reader.ts';
import { ServerClosingError } from '../../wire/errors.ts';
import type { Outcome } from '../../wire/protocol.ts';
import { STATUS_HEADER } from '../../wire/protocol.ts';
import { type ActiveConnection, type ActiveConnections, DRAIN_TIMEOUT_MS } from '../active-connections.ts';
import { allowIdle, ClientSocket, ReadStall } from '../node/connections/client-socket.ts';
import { AnswerNumbers } from '../response/answer-numbers.ts';
import { statusHeaders } from '../response/headers.ts';
import { encodeChunk, encodePlainly, lastChunk, SocketSink } from '../response/socket-sink.ts';

/** How long a client of HTTP/1.0 has to take the last bytes before its connection is reset. */
const RESET_DELAY_MS = 1000;

/**
 * A follower's answer, from the request to its end. The body ends cleanly when
 * the stream has finished; at every other end the connection breaks.
 *
 * Bytes go past Node's response, in chunks that all followers share.
 */
export class HttpFollow implements Sink, ActiveConnection {
  readonly encode: Encoder;
  readonly cutting = anywhere;
  readonly numbers: ReadNumbers;
  readonly #response: ServerResponse;
  readonly #socket: Socket;
  readonly #client: ClientSocket;
  readonly #firstByte: Histogram;
  readonly #readStall: ReadStall;
  readonly #sink: SocketSink;
  readonly #follows: ActiveConnections;
  readonly #log: FastifyBaseLogger;
  readonly #isChunked: boolean;
  readonly #aborter = new AbortController();
  readonly #unwatch: () => void;
  #reader: Reader | undefined;
  #isWaiting = false;
  /** Whether nothing more is sent, although the feed may go on. */
  #isBrokenOff = false;
  #isOver = false;
  #reset: NodeJS.Timeout | undefined;

  constructor(
    request: FastifyRequest,
    reply: FastifyReply,
    follows: ActiveConnections,
    log: FastifyBaseLogger,
    numbers: ReadNumbers,
  ) {
    // An application's tests use fake connections.
    if (!(request.raw.socket instanceof Socket)) throw new TypeError('a follower needs a connection');
    this.#response = reply.raw;
    this.#socket = request.raw.socket;
    this.#client = ClientSocket.of(this.#socket);
    this.#firstByte = AnswerNumbers.of(request).firstByte.stream;
    this.#readStall = new ReadStall(this.#socket);
    this.#sink = new SocketSink(this.#socket);
    this.#follows = follows;
    this.#log = log;
    this.numbers = numbers;
    this.#isChunked = request.raw.httpVersion !== '1.0';
    this.encode = this.#isChunked ? encodeChunk : encodePlainly;
    follows.add(this);
    // A response that waits for its turn has no event for that.
    this.#socket.on('close', this.leave);
    this.#response.on('close', this.leave);
    this.#unwatch = this.#client.onLeave(() => this.#cutIfForMore());
    // Finding the last lines of a large file, or the file itself, may take long.
    allowIdle(this.#socket);
    if (this.#socket.destroyed) this.leave();
  }

  /** Aborts when the connection has closed, or the server closes before there is anything to follow. */
  get signal(): AbortSignal {
    return this.#aborter.signal;
  }

  /** Whether the answer, or the connection, has ended. */
  get isOver(): boolean {
    return this.#isOver;
  }

  /**
   * Waits for the resource. A client that has closed its side waits for
   * nothing: as long as nothing is written to it, it cannot be told from one that is gone.
   */
  async wait<T>(arrival: () => Promise<T>): Promise<T> {
    this.#isWaiting = true;
    this.#cutIfForMore();
    try {
      return await arrival();
    } finally {
      this.#isWaiting = false;
    }
  }

  /** Answers, and starts to send. */
  begin(reader: Reader, status: number, headers: OutgoingHttpHeaders): void {
    if (this.#isOver) {
      reader.leave();
      return;
    }
    this.#reader = reader;
    this.#cutIfForMore();
    if (this.#socket.destroyed) return;
    const start = () => this.#start(reader, status, headers);
    // Behind another request's answer it has no socket yet.
    if (this.#response.socket === null) this.#response.once('socket', start);
    else start();
  }

  write(encoded: readonly Buffer[]): boolean {
    return this.#sink.write(encoded);
  }

  /** There is no way to say it in a body. */
  waiting(): void {}

  end({ reason, status }: Outcome): void {
    if (reason !== 'finished') this.#breakOff();
    else if (this.#isChunked) this.#response.end(lastChunk(statusHeaders(status)));
    else this.#response.end();
  }

  fail(error: unknown): void {
    if (!this.#isOver) this.#log.error({ err: error }, 'a follower cannot be served');
    this.#breakOff();
  }

  /** Refuses one that still waits, and cuts one whose client may not go on. */
  withdraw(error: Error): void {
    if (this.#reader === undefined) this.#aborter.abort(error);
    else this.terminate();
  }

  /** Refuses one that still waits for its resource; the others end with their feed. */
  shutDown(): void {
    if (this.#reader === undefined) {
      this.#aborter.abort(new ServerClosingError('the server is shutting down'));
    }
  }

  /** Cuts a follower that takes nothing for too long after the end, and one whose leaving would go unnoticed. */
  keepAlive(intervalMs: number): void {
    const isUnread = this.#readStall.lasts();
    const hasEnded = this.#isBrokenOff || this.#reader?.outcome !== undefined;
    const stalledMs = this.#sink.stalledMs(intervalMs, hasEnded);
    if (stalledMs >= DRAIN_TIMEOUT_MS || isUnread) this.terminate();
  }

  terminate(): void {
    this.#socket.destroy();
  }

  /**
   * Releases everything. Called when the answer or the connection has ended, and by the caller when there is no
   * answer.
   */
  readonly leave = (): void => {
    this.#isOver = true;
    clearTimeout(this.#reset);
    this.#unwatch();
    this.#socket.off('close', this.leave).off('drain', this.#drained);
    this.#response.off('close', this.leave);
    this.#aborter.abort();
    this.#reader?.leave();
    this.#follows.delete(this);
  };

  readonly #drained = (): void => this.#reader?.drained();

  /** Cuts a client that has closed its side, unless it is sent what is there and nothing else. */
  #cutIfForMore(): void {
    const isLive = this.#reader !== undefined && this.#reader.outcome === undefined;
    if (this.#client.hasLeft && (this.#isWaiting || isLive)) this.terminate();
  }

  #start(reader: Reader, status: number, headers: OutgoingHttpHeaders): void {
    if (this.#isOver) return;
    const response = this.#response;
    response.writeHead(status, {
      ...headers,
      ...(this.#isChunked && { 'transfer-encoding': 'chunked', trailer: STATUS_HEADER }),
      ...(!this.#isChunked && { connection: 'close' }),
    });
    // The chunks are made here.
    response.chunkedEncoding = false;
    this.#socket.on('drain', this.#drained);
    this.#firstByte.observe(this.#client.sinceRequestMs ?? 0);
    this.#socket.cork();
    response.flushHeaders();
    reader.drained();
    this.#socket.uncork();
  }

  /** What was sent arrives; a client of HTTP/1.0 would take a mere close for the end. */
  #breakOff(): void {
    this.#isBrokenOff = true;
    if (this.#isChunked) {
      this.#socket.destroySoon();
      return;
    }
    this.#socket.write('', () => {
      this.#reset = setTimeout(() => this.terminate(), RESET_DELAY_MS);
    });
  }
}
