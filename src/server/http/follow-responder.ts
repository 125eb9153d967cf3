import type { IncomingHttpHeaders, OutgoingHttpHeaders } from 'node:http';
import type { FastifyBaseLogger, FastifyReply, FastifyRequest } from 'fastify';
import type { Core } from '../../core/core.ts';
import type { ReadNumbers } from '../../core/numbers.ts';
import type { Permit } from '../../core/permit.ts';
import { ignoreMissing } from '../../core/preconditions.ts';
import type { Reader, ReaderFeed } from '../../core/readers/reader.ts';
import type { FollowRequest } from '../../core/request.ts';
import { givenType } from '../../core/streams/stream-type.ts';
import { ResourceNotFoundError } from '../../wire/errors.ts';
import { GENERATION_HEADER } from '../../wire/protocol.ts';
import type { ResourcePath } from '../../wire/resource-path.ts';
import { withoutKey } from '../access/page-paths.ts';
import type { ActiveConnections } from '../active-connections.ts';
import { enterWaiting, tryToWait } from '../limits/client-limits.ts';
import { followRequestOf } from '../request/query-parameters.ts';
import { contentTypeOf } from '../response/content-type.ts';
import { statusHeaders, userContentHeaders } from '../response/headers.ts';
import { admissionOf } from '../rights/admission.ts';
import { markPrivate } from '../rights/private-answers.ts';
import { HttpFollow } from './follow.ts';

/** What differs between answers. */
interface Head {
  status: number;
  headers: Readonly<Record<string, string>>;
  /** Where it is counted. */
  numbers: ReadNumbers;
}

/** Answers `GET` with what is there and what comes, for as long as somebody appends. */
export class HttpFollowResponder {
  readonly #core: Core;
  readonly #follows: ActiveConnections;
  readonly #log: FastifyBaseLogger;

  constructor(core: Core, follows: ActiveConnections, log: FastifyBaseLogger) {
    this.#core = core;
    this.#follows = follows;
    this.#log = log;
  }

  /**
   * Follows as the query says.
   *
   * @throws {InvalidRequestError} when a parameter is malformed
   * @throws {ResourceNotFoundError} when there is nothing, and nothing came while it waited
   * @throws {ServerClosingError} when the server closes while it waits
   * @throws what {@link Followers.follow} throws
   */
  async send(request: FastifyRequest, reply: FastifyReply, path: ResourcePath): Promise<FastifyReply> {
    const { waitMs, ...wanted } = followRequestOf(request);
    const permit = admissionOf(request).require('follow', path);
    const { http } = this.#core.numbers.reads;
    return this.#send(
      request,
      reply,
      permit,
      { wanted, waitMs },
      { status: 200, headers: {}, numbers: http },
    );
  }

  /**
   * Sends a range that ends where the file will have its end (RFC 8673).
   *
   * @returns false when the request asks for none, or nobody appends: to be answered as any other
   * @throws what {@link Followers.follow} throws
   */
  async sendRange(request: FastifyRequest, reply: FastifyReply, path: ResourcePath): Promise<boolean> {
    const range = liveRangeOf(request.headers);
    // A path that is not clean is redirected first.
    if (range === undefined || path.trailingSlash || !isClean(request, path)) return false;
    const { followers } = this.#core;
    const permit = admissionOf(request).permit('follow', path);
    if (permit === undefined) return false;
    const committed = await followers.withLiveFeed(permit, (feed) => feed.committed).catch(ignoreMissing);
    if (committed === undefined || range.start > committed) return false;
    const head = {
      status: 206,
      headers: { 'accept-ranges': 'bytes', 'content-range': range.contentRange },
      numbers: this.#core.numbers.reads.range,
    };
    await this.#send(request, reply, permit, { wanted: { from: range.start }, waitMs: 0 }, head);
    return true;
  }

  async #send(
    request: FastifyRequest,
    reply: FastifyReply,
    permit: Permit<'follow'>,
    { wanted, waitMs }: { wanted: FollowRequest; waitMs: number },
    { status, headers, numbers }: Head,
  ): Promise<FastifyReply> {
    const connection = new HttpFollow(request, reply, this.#follows, this.#log, numbers);
    admissionOf(request).onWithdrawn(({ error }) => connection.withdraw(error));
    let reader: Reader | undefined;
    try {
      reader = await this.#follow(request, connection, permit, { wanted, waitMs });
      const { feed, position } = reader;
      if (feed.isTypeAwaited) await this.#untilTyped(request, connection, feed);
      const { state } = await this.#core.resources.viewOrBytes(feed.file);
      // It may have been refused meanwhile.
      connection.signal.throwIfAborted();
      const name = permit.path.segments.at(-1) ?? '';
      const contentType = contentTypeOf(givenType(state), name, feed.file, feed.committed);
      reply.headers({
        'content-type': contentType,
        'cache-control': 'no-store, no-transform',
        'x-accel-buffering': 'no',
        ...userContentHeaders(request, contentType),
        'stream-position': String(position),
        [GENERATION_HEADER]: String(feed.file.generation),
        ...statusHeaders(reader.outcome?.status),
        ...headers,
      });
      markPrivate(request, reply);
    } catch (error) {
      reader?.leave();
      const isOver = connection.isOver;
      connection.leave();
      if (isOver) return reply.hijack();
      throw error;
    }
    reply.hijack();
    connection.begin(reader, status, reply.getHeaders() as OutgoingHttpHeaders);
    return reply;
  }

  /** Who cannot wait is told what is known. */
  async #untilTyped(request: FastifyRequest, connection: HttpFollow, feed: ReaderFeed): Promise<void> {
    const leave = tryToWait(request);
    if (leave === undefined) return;
    const { signal } = connection;
    await connection.wait(() => feed.untilTyped(this.#follows.keepAliveMs, signal)).finally(leave);
  }

  async #follow(
    request: FastifyRequest,
    connection: HttpFollow,
    permit: Permit<'follow'>,
    { wanted, waitMs }: { wanted: FollowRequest; waitMs: number },
  ): Promise<Reader> {
    const deadline = performance.now() + waitMs;
    for (;;) {
      try {
        return await this.#core.followers.follow(permit, wanted, connection, connection.signal);
      } catch (error) {
        if (!(error instanceof ResourceNotFoundError)) throw error;
        const remainingMs = deadline - performance.now();
        if (remainingMs <= 0) throw error;
        const leave = enterWaiting(request);
        const hasCome = await connection
          .wait(() => this.#core.arrivals.wait(permit, remainingMs, connection.signal))
          .finally(leave);
        if (!hasCome) throw error;
      }
    }
  }
}

function isClean(request: FastifyRequest, path: ResourcePath): boolean {
  return path.toString() === `/${withoutKey(request)}`;
}

/** A range that has no end yet. */
interface LiveRange {
  /** Position of its first byte. */
  start: number;
  /** What `Content-Range` says. */
  contentRange: string;
}

/** A range with this last position or a higher one has no end. */
const VERY_LARGE = 2n ** 53n - 1n;

const CONDITIONS = ['if-match', 'if-modified-since', 'if-none-match', 'if-range', 'if-unmodified-since'];

const RANGE = /^bytes=(\d{1,16})-(\d{16,20})$/i;

/**
 * The range that a request asks for, if it is a live one (RFC 8673): its last
 * position is one that no file has. A request with a condition asks for what is there.
 */
function liveRangeOf(headers: IncomingHttpHeaders): LiveRange | undefined {
  const [, first, last] = RANGE.exec(headers.range ?? '') ?? [];
  if (first === undefined || last === undefined || BigInt(last) < VERY_LARGE) return undefined;
  if (CONDITIONS.some((name) => name in headers)) return undefined;
  return { start: Number(first), contentRange: `bytes ${first}-${last}/*` };
}
