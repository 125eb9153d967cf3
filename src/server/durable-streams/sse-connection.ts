import type { OutgoingHttpHeaders, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { FastifyBaseLogger, FastifyReply, FastifyRequest } from 'fastify';
import type { ReadNumbers } from '../../core/numbers.ts';
import type { Encoder } from '../../core/readers/chunk.ts';
import type { Cutting } from '../../core/readers/cutting.ts';
import type { LiveReads } from '../../core/readers/live-reads.ts';
import type { Reader, Sink } from '../../core/readers/reader.ts';
import type { Outcome } from '../../wire/protocol.ts';
import type { ActiveConnection, ActiveConnections } from '../active-connections.ts';
import { allowIdle, ClientSocket, ReadStall } from '../node/connections/client-socket.ts';
import { noteFirstByte } from '../response/answer-numbers.ts';
import { encodeChunk, encodePlainly, lastChunk, SocketSink } from '../response/socket-sink.ts';
import {
  controlEvent,
  type EventForm,
  endOfEvent,
  endsWithReturn,
  eventFormOf,
  frameOf,
  isAfterReturn,
  RETRY_FRAME,
  type StreamProgress,
} from './sse-events.ts';
import { isAhead, nextCursor } from './stream-request.ts';

/** After this time the client is to come back, so that caches on the way can share answers. */
const LIFETIME_MS = 60_000;

/** How long a client may take nothing at all. */
const STALL_TIMEOUT_MS = 120_000;

const NOTHING: Buffer = Buffer.alloc(0);
const COMMENT = Buffer.from(':\n\n');

/** What a reader gets. */
export interface Events {
  live: LiveReads;
  form: EventForm;
  /** Position of the first byte. */
  start: number;
  /** Whether the client has the events before it, by `Last-Event-ID`. */
  isReturning: boolean;
  /** What the client brought. */
  cursor: string | undefined;
  /** Where it is counted. */
  numbers: ReadNumbers;
}

/** One reader of a stream's events, from its answer's head to its end. */
export class SseConnection implements Sink, ActiveConnection {
  readonly cutting: Cutting;
  readonly numbers: ReadNumbers;
  readonly #follows: ActiveConnections;
  readonly #log: FastifyBaseLogger;
  readonly #form: EventForm;
  readonly #live: LiveReads;
  readonly #reader: Reader;
  readonly #response: ServerResponse;
  readonly #socket: Socket;
  readonly #client: ClientSocket;
  readonly #readStall: ReadStall;
  readonly #sink: SocketSink;
  readonly #isChunked: boolean;
  readonly #layOut: Encoder;
  readonly #unwatchClient: () => void;
  /** Above the intervals' numbers, if the client's was. */
  readonly #cursor: string | undefined;
  /** Whether the byte before the next one is a CR. */
  #isAfterReturn: boolean;
  /** Whether the client has a part of an event. */
  #isWithin = false;
  /** Whether nothing is sent after that event. */
  #isEnding = false;
  #isFull = false;
  #isOver = false;
  #ageMs = 0;
  #quietMs = 0;

  /** Answers, and follows the live stream. */
  constructor(
    request: FastifyRequest,
    reply: FastifyReply,
    follows: ActiveConnections,
    log: FastifyBaseLogger,
    { live, form, start, isReturning, cursor, numbers }: Events,
  ) {
    this.numbers = numbers;
    this.#follows = follows;
    this.#log = log;
    this.#form = form;
    this.cutting = form.cutting;
    // Whoever has read the bytes so far has the CR as it is.
    const hasEvents = isReturning && form.encodeAfterReturn !== undefined;
    this.#isAfterReturn = hasEvents && isAfterReturn(live.feed.file, start);
    this.#live = live;
    this.#response = reply.raw;
    this.#socket = request.raw.socket;
    this.#client = ClientSocket.of(this.#socket);
    this.#readStall = new ReadStall(this.#socket);
    this.#sink = new SocketSink(this.#socket);
    this.#isChunked = request.raw.httpVersion !== '1.0';
    this.#layOut = this.#isChunked ? encodeChunk : encodePlainly;
    this.#cursor = isAhead(cursor) ? nextCursor(cursor) : undefined;
    this.#reader = live.join(start, this);
    this.#unwatchClient = this.#client.onLeave(() => this.#endIfIdle());
    follows.add(this);
    allowIdle(this.#socket);
    this.#socket.once('close', this.#leave);
    this.#response.once('close', this.#leave);
    this.#socket.on('drain', this.#drained);
    const headers = reply.getHeaders() as OutgoingHttpHeaders;
    noteFirstByte(request, 'stream');
    reply.hijack();
    if (this.#response.socket === null) this.#response.once('socket', () => this.#begin(headers));
    else this.#begin(headers);
  }

  get encode(): Encoder {
    const { encode, encodeAfterReturn = encode } = this.#form;
    return this.#isAfterReturn ? encodeAfterReturn : encode;
  }

  write(encoded: readonly Buffer[], isWhole: boolean): boolean {
    const { outcome } = this.#reader;
    // The rest is for who comes back; of what was cut there is none.
    const isOver = outcome?.reason === 'shutdown' && !this.#isWithin;
    if (outcome !== undefined && (isOver || outcome.reason === 'truncated')) {
      this.end(outcome);
      return false;
    }
    try {
      this.#live.resource.assertWhole();
    } catch (error) {
      this.fail(error);
      return false;
    }
    const [data] = encoded as readonly [Buffer];
    this.#isAfterReturn = endsWithReturn(data);
    const beginning = this.#isWithin ? NOTHING : this.#form.beginning;
    this.#isWithin = !isWhole;
    const progress = isWhole ? this.#progress : undefined;
    const ending = progress === undefined ? '' : endOfEvent(this.#form, progress) + controlEvent(progress);
    this.#write([frameOf(data, beginning, ending, this.#layOut)]);
    if (progress !== undefined) this.#endAfter(progress);
    return !this.#isFull;
  }

  /** Events do not say it. */
  waiting(): void {}

  /** What has begun as events of another form ends, while there are none: the client comes back. */
  typed(contentType: string): void {
    if (eventFormOf(contentType, false) !== this.#form) this.#end();
  }

  end({ reason }: Outcome): void {
    if (reason === 'finished') this.#control();
    // What the client has is not what is there.
    if (reason === 'truncated') this.terminate();
    else this.#end();
  }

  fail(error: unknown): void {
    this.#log.error({ err: error }, 'a reader cannot be served');
    this.terminate();
  }

  /** The end of the stream's life in this process: the client comes back to the next. */
  shutDown(): void {
    this.#isEnding = true;
    if (!this.#isWithin) this.#end();
  }

  terminate(): void {
    this.#socket.destroy();
  }

  keepAlive(intervalMs: number): void {
    this.#ageMs += intervalMs;
    this.#quietMs += intervalMs;
    const stalledMs = this.#sink.stalledMs(intervalMs, this.#isFull);
    if (stalledMs >= STALL_TIMEOUT_MS || this.#readStall.lasts()) this.terminate();
    else if (this.#isFull || this.#isWithin) return;
    else if (this.#ageMs >= LIFETIME_MS) this.#end();
    else if (this.#quietMs >= this.#follows.keepAliveMs) this.#write(this.#layOut([COMMENT]));
    this.#endIfIdle();
  }

  readonly #drained = (): void => {
    this.#isFull = false;
    this.#reader.drained();
  };

  readonly #leave = (): void => {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#unwatchClient();
    this.#socket.off('close', this.#leave).off('drain', this.#drained);
    this.#follows.delete(this);
    this.#reader.leave();
  };

  #begin(headers: OutgoingHttpHeaders): void {
    if (this.#isOver) return;
    const response = this.#response;
    response.writeHead(200, {
      ...headers,
      ...(this.#isChunked ? { 'transfer-encoding': 'chunked' } : { connection: 'close' }),
    });
    // The chunks are made here.
    response.chunkedEncoding = false;
    response.flushHeaders();
    this.#write(this.#layOut([RETRY_FRAME]));
    if (this.#progress.isAtEnd) this.#control();
    this.#reader.drained();
    this.#endIfIdle();
  }

  /** Ends it when there is nothing to be had, and the client cannot be told from one that is gone. */
  #endIfIdle(): void {
    if (this.#client.hasLeft && !this.#reader.isBehind && this.#response.headersSent) this.#end();
  }

  get #progress(): StreamProgress {
    const { resource, feed } = this.#live;
    const { position } = this.#reader;
    const { state, names } = resource;
    // An append may be given out in pieces, and what a session brings is not counted before it is given out.
    const isAtEnd = position === Math.max(feed.committed, state.size);
    return {
      position,
      names,
      isAtEnd,
      isClosed: state.closed === true,
      cursor: nextCursor(this.#cursor),
    };
  }

  /** Sends how far the client has got. */
  #control(): void {
    const progress = this.#progress;
    this.#write(this.#layOut([Buffer.from(controlEvent(progress))]));
    this.#endAfter(progress);
  }

  /** Ends it when that was the last that is sent. */
  #endAfter({ isAtEnd, isClosed }: StreamProgress): void {
    if (this.#isEnding || (isAtEnd && isClosed)) this.#end();
    else this.#endIfIdle();
  }

  #write(encoded: readonly Buffer[]): void {
    this.#quietMs = 0;
    this.#isFull = !this.#sink.write(encoded);
  }

  #end(): void {
    if (this.#isOver) return;
    this.#leave();
    if (this.#isChunked) this.#response.end(lastChunk({}));
    else this.#response.end();
  }
}
