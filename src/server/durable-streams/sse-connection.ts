import type { OutgoingHttpHeaders, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { FastifyBaseLogger, FastifyReply, FastifyRequest } from 'fastify';
import type { Connection, ConnectionGroup } from '../connection-group.ts';
import type { KeepAlive, KeptAlive } from '../keep-alive.ts';
import { allowSilence } from '../keep-alive.ts';
import { ClientSocket } from '../node/client-socket.ts';
import { Deafness } from '../node/deafness.ts';
import { encodeChunk, encodePlainly, lastChunk } from '../response/body-encoders.ts';
import { SocketSink } from '../response/socket-sink.ts';
import { isAhead, nextCursor } from './cursor.ts';
import type { LiveStream, LiveStreams } from './live-streams.ts';
import { controlEvent, type EventPiece, RETRY_FRAME } from './sse-events.ts';

/** After this time the client is to come back, so that caches on the way can share answers. */
const LIFETIME_MS = 60_000;

/** How long a client may take nothing at all. */
const PATIENCE_MS = 120_000;

const COMMENT = Buffer.from(':\n\n');

/** What readers of events need of the server. */
export interface SseContext {
  log: FastifyBaseLogger;
  connections: ConnectionGroup;
  keepAlive: KeepAlive;
  /** Quiet time after which a comment is sent, so that nobody on the way takes the connection for dead, in milliseconds. */
  keepAliveMs: number;
  live: LiveStreams;
}

/**
 * One reader of a stream's events, from its answer's head to its end. It is a
 * position: what it has not taken is in the file.
 */
export class SseConnection implements Connection, KeptAlive {
  readonly #context: SseContext;
  readonly #live: LiveStream;
  readonly #response: ServerResponse;
  readonly #socket: Socket;
  readonly #client: ClientSocket;
  readonly #deafness: Deafness;
  readonly #sink: SocketSink;
  readonly #isChunked: boolean;
  readonly #unwatch: () => void;
  readonly #unwatchClient: () => void;
  /** Above the intervals' numbers, if the client's was. */
  readonly #cursor: string | undefined;
  #position: number;
  /** Where the event ends of which the client has a part. */
  #eventEnd: number | undefined;
  /** Whether nothing is sent after that event. */
  #isEnding = false;
  #isFull = false;
  #isReading = false;
  #isOver = false;
  #ageMs = 0;
  #quietMs = 0;

  /**
   * Takes the live stream over, and answers.
   *
   * @param start position of the first byte
   * @param cursor what the client brought
   */
  constructor(
    request: FastifyRequest,
    reply: FastifyReply,
    context: SseContext,
    { live, start, cursor }: { live: LiveStream; start: number; cursor: string | undefined },
  ) {
    this.#context = context;
    this.#live = live;
    this.#response = reply.raw;
    this.#socket = request.raw.socket;
    this.#client = ClientSocket.of(this.#socket);
    this.#deafness = new Deafness(this.#socket);
    this.#sink = new SocketSink(this.#socket);
    this.#isChunked = request.raw.httpVersion !== '1.0';
    this.#cursor = isAhead(cursor) ? nextCursor(cursor) : undefined;
    this.#position = start;
    this.#unwatch = live.stream.watch(() => this.#pump());
    this.#unwatchClient = this.#client.onLeave(() => this.#pump());
    context.connections.add(this);
    context.keepAlive.add(this);
    allowSilence(this.#socket);
    this.#socket.once('close', this.#leave);
    this.#response.once('close', this.#leave);
    this.#socket.on('drain', this.#drained);
    const headers = reply.getHeaders() as OutgoingHttpHeaders;
    reply.hijack();
    if (this.#response.socket === null) this.#response.once('socket', () => this.#begin(headers));
    else this.#begin(headers);
  }

  /** The end of the stream's life in this process: the client comes back to the next. */
  shutDown(): void {
    this.#isEnding = true;
    if (this.#eventEnd === undefined) this.#end();
  }

  terminate(): void {
    this.#socket.destroy();
  }

  keepAlive(intervalMs: number): void {
    this.#ageMs += intervalMs;
    this.#quietMs += intervalMs;
    const stuckMs = this.#sink.stuckMs(intervalMs, this.#isFull);
    if (stuckMs >= PATIENCE_MS || this.#deafness.lasts()) this.terminate();
    else if (this.#isFull || this.#isReading || this.#eventEnd !== undefined) return;
    else if (this.#ageMs >= LIFETIME_MS) this.#end();
    else if (this.#quietMs >= this.#context.keepAliveMs) this.#write(COMMENT);
  }

  readonly #drained = (): void => {
    this.#isFull = false;
    this.#pump();
  };

  readonly #leave = (): void => {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#unwatch();
    this.#unwatchClient();
    this.#socket.off('close', this.#leave).off('drain', this.#drained);
    this.#context.connections.delete(this);
    this.#context.keepAlive.delete(this);
    this.#context.live.release(this.#live);
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
    this.#write(RETRY_FRAME);
    const { size } = this.#live.stream.state;
    if (this.#position === size) this.#control();
    this.#pump();
  }

  /** Moves on as far as it goes. */
  #pump(): void {
    if (this.#isFull || this.#isReading || this.#isOver || !this.#response.headersSent) return;
    const { stream } = this.#live;
    // Cut by another program: what it has is not what is there.
    const isCut = (this.#eventEnd ?? this.#position) > stream.state.size;
    if (this.#eventEnd !== undefined && !isCut) void this.#send();
    else if (this.#eventEnd === undefined && (stream.isGone || this.#isEnding)) this.#end();
    else if (isCut) this.terminate();
    else if (this.#position < stream.state.size) void this.#send();
    else if (stream.state.closed === true) this.#control();
    else if (this.#client.hasLeft) this.#end();
  }

  async #send(): Promise<void> {
    const { stream } = this.#live;
    const { state } = stream;
    this.#isReading = true;
    let piece: EventPiece | undefined;
    try {
      piece = await this.#live.piece(this.#position, this.#eventEnd);
    } catch (error) {
      this.#context.log.error({ err: error }, 'a reader cannot be served');
      this.terminate();
    }
    this.#isReading = false;
    if (this.#isOver) return;
    if (piece !== undefined) this.#take(piece);
    // Else it waits for the rest of a character, unless the client does not.
    if (piece !== undefined || stream.state !== state) this.#pump();
    else if (this.#client.hasLeft) this.#end();
  }

  #take({ bytes, end, eventEnd }: EventPiece): void {
    this.#position = end;
    if (end < eventEnd) {
      this.#eventEnd = eventEnd;
      this.#write(bytes);
    } else {
      this.#eventEnd = undefined;
      this.#control(bytes);
    }
  }

  /** Sends what is left of an event, if there is something, and how far the client has got. */
  #control(...event: Buffer[]): void {
    const { stream } = this.#live;
    const { state, names } = stream;
    const control = controlEvent(state, names, this.#position, nextCursor(this.#cursor));
    this.#write(...event, Buffer.from(control));
    if (state.closed === true && this.#position === state.size) this.#end();
  }

  #write(...parts: Buffer[]): void {
    this.#quietMs = 0;
    const encode = this.#isChunked ? encodeChunk : encodePlainly;
    this.#isFull = !this.#sink.write(encode(parts));
  }

  #end(): void {
    if (!this.#isOver && this.#isChunked) this.#response.end(lastChunk({}));
    else if (!this.#isOver) this.#response.end();
    this.#leave();
  }
}
