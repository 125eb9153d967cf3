import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Resources } from '../../core/resources.ts';
import type { Stream } from '../../core/streams/stream.ts';
import type { StreamView } from '../../core/streams/stream-view.ts';
import type { StoredFile } from '../../storage/stored-file.ts';
import { StreamHeader } from '../../wire/durable-streams.ts';
import { ResourceGoneError, ResourceNotFoundError, ServerClosingError } from '../../wire/errors.ts';
import type { ResourcePath } from '../../wire/resource-path.ts';
import { assertBetweenLines, type JsonForm, jsonFormOf, sendArray } from '../json/json-response.ts';
import { ClientSocket } from '../node/client-socket.ts';
import { assertUnchanged, isFresh } from '../response/conditions.ts';
import { contentTypeOf } from '../response/content-type.ts';
import { SMALL_BODY_BYTES, sendBytes } from '../response/send-bytes.ts';
import { closedHeader, expiryHeaders, streamHeaders, streamTag } from '../response/stream-headers.ts';
import { userContentHeaders } from '../response/user-content.ts';
import { addVary } from '../response/vary.ts';
import { nextCursor } from './cursor.ts';
import { SseConnection, type SseContext } from './sse-connection.ts';
import { type ReadRequest, readRequestOf } from './stream-request.ts';

const EVENTS_TYPE = 'text/event-stream';

/** What the reading half of the protocol needs of the server. */
export interface StreamReadsOptions {
  resources: Resources;
  /** How long a long-poll waits, in milliseconds. */
  longPollMs: number;
  sse: SseContext;
}

/** Answers GET and HEAD of the Durable Streams protocol. */
export class StreamReads {
  readonly #options: StreamReadsOptions;

  constructor(options: StreamReadsOptions) {
    this.#options = options;
  }

  /**
   * Answers a read with `offset` or `live`.
   *
   * @throws {InvalidRequestError} when a parameter is malformed
   * @throws {ResourceGoneError} when the stream does not have the offset (any more)
   * @throws what {@link Resources.open} throws
   */
  async send(request: FastifyRequest, reply: FastifyReply, resource: ResourcePath): Promise<FastifyReply> {
    const wanted = readRequestOf(request);
    if (request.method === 'HEAD') wanted.live = undefined;
    if (wanted.live === 'sse') return this.#sendEvents(request, reply, resource, wanted);
    if (wanted.live === 'long-poll') return this.#poll(request, reply, resource, wanted);
    const file = await this.#options.resources.open(resource);
    return this.#sendFrom(request, reply, resource, file, wanted);
  }

  /** Answers with what is there from an offset on. Closes the file. */
  async #sendFrom(
    request: FastifyRequest,
    reply: FastifyReply,
    resource: ResourcePath,
    file: StoredFile,
    wanted: ReadRequest,
  ): Promise<FastifyReply> {
    const { resources } = this.#options;
    const { offset } = wanted;
    let answer: StreamAnswer;
    let isKnown: boolean;
    try {
      const view = await resources.view(file);
      const { state, names } = view;
      const form = jsonFormOf(request, state);
      const start = offset === 'now' ? state.size : names.positionOf(offset ?? '-1', state.size);
      if (form !== undefined) assertBetweenLines(file, start);
      const name = resource.segments.at(-1) ?? '';
      const contentType = state.contentType ?? contentTypeOf(name, file, state.size);
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
    resource: ResourcePath,
    wanted: ReadRequest,
  ): Promise<FastifyReply> {
    const { resources, sse } = this.#options;
    const live = await sse.live.acquire(resource);
    const { stream, contentType } = live;
    const { names } = stream;
    try {
      const { offset = '-1' } = wanted;
      const start = offset === 'now' ? stream.state.size : names.positionOf(offset, stream.state.size);
      live.assertStart(start);
      await this.#waitBeyond(stream, start, request);
      if (stream.isGone) throw new ResourceNotFoundError('the stream was deleted');
      if (stream.state.size < start) throw new ResourceGoneError('the file was cut');
      if (stream.isClosing) throw new ServerClosingError('the server is shutting down');
      const { state } = stream;
      if (state.size === start) {
        await this.#assertThere(resource, stream);
        return sendNothing(reply, { state, names }, contentType, wanted);
      }
      if (state.size - start > SMALL_BODY_BYTES) {
        const file = await resources.open(resource);
        return await this.#sendFrom(request, reply, resource, file, {
          ...wanted,
          offset: names.nameOf(start),
        });
      }
      const form = jsonFormOf(request, state);
      const body = await live.block(start, state.size, form?.isArray === true);
      const answer = { view: { state, names }, start, form, contentType };
      if (hasAlready(request, reply, answer, wanted)) return reply.code(304).send();
      return reply.send(body);
    } finally {
      sse.live.release(live);
    }
  }

  /**
   * Resolves when there is more than `position`, nothing will come, the time is over or the client has gone;
   * at once when nobody could see that.
   */
  async #waitBeyond(stream: Stream, position: number, request: FastifyRequest): Promise<void> {
    const isOver = () => {
      const { size, closed } = stream.state;
      return size !== position || closed === true || stream.isGone || stream.isClosing;
    };
    const client = ClientSocket.of(request.raw.socket);
    if (isOver() || client.hasLeft || client.isDeaf) return;
    await new Promise<void>((resolve) => {
      const settle = () => {
        clearTimeout(timer);
        unwatch();
        unwatchClient();
        resolve();
      };
      const timer = setTimeout(settle, this.#options.longPollMs);
      const unwatch = stream.watch(() => {
        if (isOver()) settle();
      });
      const unwatchClient = client.onLeave(settle);
    });
  }

  /** @throws {ResourceNotFoundError} when another program has taken the file away meanwhile */
  async #assertThere(resource: ResourcePath, { fingerprint }: Stream): Promise<void> {
    const file = await this.#options.resources.open(resource);
    await file.close();
    if (file.stat.fingerprint !== fingerprint) throw new ResourceNotFoundError('the stream was deleted');
  }

  async #sendEvents(
    request: FastifyRequest,
    reply: FastifyReply,
    resource: ResourcePath,
    wanted: ReadRequest,
  ): Promise<FastifyReply> {
    const { lastEventId, offset = '-1', cursor } = wanted;
    const { sse } = this.#options;
    const live = await sse.live.acquire(resource);
    try {
      const { state, names } = live.stream;
      const isAtEnd = lastEventId === undefined && offset === 'now';
      const start = isAtEnd ? state.size : names.positionOf(lastEventId ?? offset, state.size);
      live.assertStart(start);
      if (lastEventId !== undefined && state.closed === true && start === state.size) {
        sse.live.release(live);
        // A browser comes back after every end, but for this one.
        return sendNothing(reply, { state, names }, EVENTS_TYPE, wanted);
      }
      reply.headers({
        'content-type': EVENTS_TYPE,
        'cache-control': 'no-cache, no-store, no-transform',
        'x-accel-buffering': 'no',
        ...userContentHeaders(EVENTS_TYPE),
        ...(live.encoding === 'base64' && { [StreamHeader.sseEncoding]: 'base64' }),
        ...(state.closed === true && start === state.size && closedHeader(state)),
      });
      new SseConnection(request, reply, sse, { live, start, cursor });
      return reply;
    } catch (error) {
      sse.live.release(live);
      throw error;
    }
  }
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
  const etag = streamTag(view, start, form);
  const type = form?.contentType ?? contentType;
  if (form !== undefined) addVary(reply, 'Accept');
  reply.headers({
    ...userContentHeaders(type),
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
      ...userContentHeaders(contentType),
      ...streamHeaders({ state, names }, state.size),
      ...(state.closed !== true && { [StreamHeader.cursor]: nextCursor(cursor) }),
      'cache-control': 'no-store',
    })
    .send();
}
