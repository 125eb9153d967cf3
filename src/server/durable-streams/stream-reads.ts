import type { FastifyBaseLogger, FastifyReply, FastifyRequest } from 'fastify';
import type { Core } from '../../core/core.ts';
import type { OpenFile } from '../../core/open-file.ts';
import type { Permit } from '../../core/permit.ts';
import type { LiveReads } from '../../core/readers/live-reads.ts';
import type { Resource } from '../../core/resource.ts';
import { givenType, isJsonType } from '../../core/streams/stream-type.ts';
import type { StreamView } from '../../core/streams/stream-view.ts';
import { StreamHeader } from '../../wire/durable-streams.ts';
import { ResourceGoneError, ResourceNotFoundError, ServerClosingError } from '../../wire/errors.ts';
import type { ResourcePath } from '../../wire/resource-path.ts';
import type { ActiveConnections } from '../active-connections.ts';
import { assertBetweenLines, type JsonForm, jsonFormOf, sendArray } from '../json/json-response.ts';
import { enterWaiting } from '../limits/client-limits.ts';
import { ClientSocket } from '../node/connections/client-socket.ts';
import { assertUnchanged, isFresh } from '../response/conditions.ts';
import { contentTypeOf } from '../response/content-type.ts';
import {
  addVary,
  closedHeader,
  expiryHeaders,
  streamHeaders,
  streamTag,
  userContentHeaders,
} from '../response/headers.ts';
import { sendBytes } from '../response/send-bytes.ts';
import { admissionOf } from '../rights/admission.ts';
import { permitToRead } from '../rights/permits.ts';
import { markPrivate } from '../rights/private-answers.ts';
import { firstBytes } from './first-bytes.ts';
import { SseConnection } from './sse-connection.ts';
import { eventFormOf } from './sse-events.ts';
import { nextCursor, type ReadRequest, readRequestOf } from './stream-request.ts';

const EVENTS_TYPE = 'text/event-stream';

/** Answers GET and HEAD of the Durable Streams protocol. */
export class StreamReads {
  readonly #core: Core;
  readonly #follows: ActiveConnections;
  readonly #log: FastifyBaseLogger;
  readonly #longPollMs: number;

  /** @param options.longPollMs how long a long-poll waits, in milliseconds */
  constructor(
    core: Core,
    follows: ActiveConnections,
    log: FastifyBaseLogger,
    { longPollMs }: { longPollMs: number },
  ) {
    this.#core = core;
    this.#follows = follows;
    this.#log = log;
    this.#longPollMs = longPollMs;
  }

  /**
   * Answers a read with `offset` or `live`.
   *
   * @throws {InvalidRequestError} when a parameter is malformed
   * @throws {ResourceGoneError} when the stream does not have the offset (any more)
   * @throws what {@link Resources.open} throws
   */
  async send(request: FastifyRequest, reply: FastifyReply, path: ResourcePath): Promise<FastifyReply> {
    const wanted = readRequestOf(request);
    if (request.method === 'HEAD') wanted.live = undefined;
    if (wanted.live !== undefined) {
      const permit = admissionOf(request).require('follow', path);
      return wanted.live === 'sse'
        ? this.#sendEvents(request, reply, permit, wanted)
        : this.#poll(request, reply, permit, wanted);
    }
    const permit = permitToRead(request, path);
    const file = await this.#core.resources.open(permit);
    return this.#sendFrom(request, reply, permit, file, wanted);
  }

  /** Answers with what is there from an offset on. Closes the file. */
  async #sendFrom(
    request: FastifyRequest,
    reply: FastifyReply,
    { path, use }: Permit<'follow' | 'append'>,
    file: OpenFile,
    wanted: ReadRequest,
  ): Promise<FastifyReply> {
    const { resources } = this.#core;
    const { offset } = wanted;
    let answer: StreamAnswer;
    let isKnown: boolean;
    try {
      const view = await resources.view(file);
      const { state, names } = view;
      const form = jsonFormOf(request, state);
      const start = offset === 'now' ? state.size : names.positionOf(offset ?? '-1', state.size);
      // Where values end is for those who may read them.
      if (form !== undefined && use === 'follow') assertBetweenLines(file, start);
      const name = path.segments.at(-1) ?? '';
      const contentType = contentTypeOf(givenType(state), name, file, state.size);
      answer = { view, start, form, contentType };
      if (request.method !== 'HEAD') void resources.touch(file.stat.fingerprint, state);
      isKnown = hasAlready(request, reply, answer, wanted);
    } catch (error) {
      await file.close();
      throw error;
    }
    if (isKnown) {
      await file.close();
      return reply.code(304).send();
    }
    const range = { start: answer.start, end: answer.view.state.size };
    if (answer.form?.isArray) return sendArray(request, reply, file, range);
    return sendBytes(request, reply, file, [range], range.end - range.start);
  }

  async #poll(
    request: FastifyRequest,
    reply: FastifyReply,
    permit: Permit<'follow'>,
    wanted: ReadRequest,
  ): Promise<FastifyReply> {
    const live = await this.#core.followers.openLive(permit);
    const { resource, feed } = live;
    const { names } = resource;
    try {
      const { start } = beginningOf(live, permit, wanted);
      const form = jsonFormOf(request, resource.state);
      const leave = enterWaiting(request);
      const { body, end, reason } = await firstBytes(live, start, form?.isArray === true, {
        client: ClientSocket.of(request.raw.socket),
        admission: admissionOf(request),
        timeoutMs: this.#longPollMs,
        numbers: this.#core.numbers.reads.longPoll,
      }).finally(leave);
      if (resource.isGone || reason === 'deleted') throw new ResourceNotFoundError('the stream was deleted');
      if (reason === 'truncated') throw new ResourceGoneError('the file was cut');
      if (resource.isClosing) throw new ServerClosingError('the server is shutting down');
      resource.assertWhole();
      const view = { state: { ...resource.state, size: feed.committed }, names };
      // It may have been given while nothing had come.
      const contentType = typeOf(live, permit);
      if (view.state.size === start) {
        await this.#assertThere(permit, resource);
        return sendNothing(reply, view, contentType, wanted);
      }
      if (body === undefined || end !== view.state.size) {
        const file = await this.#core.resources.open(permit);
        return await this.#sendFrom(request, reply, permit, file, {
          ...wanted,
          offset: names.nameOf(start),
        });
      }
      const answer = { view, start, form, contentType };
      if (hasAlready(request, reply, answer, wanted)) return reply.code(304).send();
      return reply.send(body);
    } finally {
      live.release();
    }
  }

  /** @throws {ResourceNotFoundError} when another program has taken the file away meanwhile */
  async #assertThere(permit: Permit<'follow'>, { fingerprint }: Resource): Promise<void> {
    const file = await this.#core.resources.open(permit);
    await file.close();
    if (file.stat.fingerprint !== fingerprint) throw new ResourceNotFoundError('the stream was deleted');
  }

  async #sendEvents(
    request: FastifyRequest,
    reply: FastifyReply,
    permit: Permit<'follow'>,
    wanted: ReadRequest,
  ): Promise<FastifyReply> {
    const { lastEventId, cursor } = wanted;
    const live = await this.#core.followers.openLive(permit);
    try {
      const { contentType, start, hasValues } = beginningOf(live, permit, wanted, lastEventId);
      const { state, names } = live.resource;
      const isOver = state.closed === true && start === state.size;
      // A browser comes back after every end, but for this one.
      if (lastEventId !== undefined && isOver)
        return sendNothing(reply, { state, names }, EVENTS_TYPE, wanted);
      const form = eventFormOf(contentType, hasValues);
      reply.headers({
        'content-type': EVENTS_TYPE,
        'cache-control': 'no-cache, no-store, no-transform',
        'x-accel-buffering': 'no',
        ...userContentHeaders(request, EVENTS_TYPE),
        ...(form.isBase64 && { [StreamHeader.sseEncoding]: 'base64' }),
        ...(isOver && closedHeader(state)),
      });
      markPrivate(request, reply);
      new SseConnection(request, reply, this.#follows, this.#log, {
        ...{ live, form, start, cursor, isReturning: lastEventId !== undefined },
        numbers: this.#core.numbers.reads.sse,
      });
      return reply;
    } finally {
      // From here on its follower holds the feed.
      live.release();
    }
  }
}

/** Where somebody begins, and what is there. */
interface Beginning {
  contentType: string;
  start: number;
  /** Whether it is values of JSON, one a line. */
  hasValues: boolean;
}

/**
 * Where somebody begins who reads a stream live.
 *
 * @param lastEventId offset that goes before the one that is asked for
 * @throws {InvalidRequestError} when the offset is malformed, or within a JSON value
 * @throws {ResourceGoneError} when the stream does not have it (any more)
 */
function beginningOf(
  { resource, feed }: LiveReads,
  permit: Permit,
  { offset = '-1' }: ReadRequest,
  lastEventId?: string,
): Beginning {
  const { file, committed } = feed;
  const contentType = typeOf({ resource, feed }, permit);
  // What was not made as a stream is a document, whatever its name or an append says.
  const hasValues = isJsonType(resource.streamType);
  const isAtEnd = lastEventId === undefined && offset === 'now';
  const start = isAtEnd ? committed : resource.names.positionOf(lastEventId ?? offset, committed);
  if (hasValues) assertBetweenLines(file, start);
  return { contentType, start, hasValues };
}

function typeOf({ resource, feed }: Pick<LiveReads, 'resource' | 'feed'>, { path }: Permit): string {
  return contentTypeOf(resource.givenType, path.segments.at(-1) ?? '', feed.file, feed.committed);
}

interface StreamAnswer {
  view: StreamView;
  /** Position of the first byte. */
  start: number;
  form: JsonForm | undefined;
  contentType: string;
}

/**
 * Says what an answer has.
 *
 * @returns whether the client has it already
 * @throws {PreconditionFailedError} when the client means something else
 */
function hasAlready(
  request: FastifyRequest,
  reply: FastifyReply,
  { view, start, form, contentType }: StreamAnswer,
  { offset, live, cursor }: ReadRequest,
): boolean {
  const { state } = view;
  const isPassing = offset === 'now' && live === undefined;
  const etag = streamTag(view, start, form?.isArray === true);
  const type = form?.contentType ?? contentType;
  if (form !== undefined) addVary(reply, 'Accept');
  reply.headers({
    ...userContentHeaders(request, type),
    'content-type': type,
    'cache-control': isPassing || request.method === 'HEAD' ? 'no-store' : 'no-cache',
    ...streamHeaders(view, state.size),
    ...expiryHeaders(state),
    ...(live !== undefined && state.closed !== true && { [StreamHeader.cursor]: nextCursor(cursor) }),
    ...(!isPassing && { etag }),
  });
  if (isPassing) return false;
  assertUnchanged(request.headers, { etags: [etag] });
  return isFresh(request.headers, { etags: [etag] });
}

/** Answers a poll for which nothing has come. */
function sendNothing(
  reply: FastifyReply,
  { state, names }: StreamView,
  contentType: string,
  { cursor }: ReadRequest,
): FastifyReply {
  return reply
    .code(204)
    .headers({
      ...userContentHeaders(reply.request, contentType),
      ...streamHeaders({ state, names }, state.size),
      ...(state.closed !== true && { [StreamHeader.cursor]: nextCursor(cursor) }),
      'cache-control': 'no-store',
    })
    .send();
}
