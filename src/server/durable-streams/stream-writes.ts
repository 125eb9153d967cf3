import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Core } from '../../core/core.ts';
import type { Permit } from '../../core/permit.ts';
import type { Resource } from '../../core/resource.ts';
import { givenType, isJsonType, isSameType } from '../../core/streams/stream-type.ts';
import type { Created, NewFile } from '../../core/streams/streams.ts';
import { FORM_TYPE, isMediaType } from '../../wire/content-type.ts';
import { MAX_APPEND_BYTES, StreamHeader } from '../../wire/durable-streams.ts';
import { ContentTypeMismatchError, InvalidRequestError, ResourceNotFoundError } from '../../wire/errors.ts';
import type { ResourcePath } from '../../wire/resource-path.ts';
import { linesOfJson } from '../json/json-values.ts';
import { Turns } from '../node/requests/turns.ts';
import { BodyBudget, type BodyShare } from '../request/body-budget.ts';
import { asksToClose, sentTypeOf } from '../request/headers.ts';
import { collectBody } from '../request/request-body.ts';
import { absoluteUrl } from '../request/request-target.ts';
import { knownContentType } from '../response/content-type.ts';
import { closedHeader, expiryHeaders, setRefusalHeaders } from '../response/headers.ts';
import { admissionOf } from '../rights/admission.ts';
import { storeBody } from './store-body.ts';
import { createRequestOf, hasBody, producerOf, sequenceOf } from './stream-request.ts';

const HINT = 'to append to a plain file, which is made if it is missing, say ?verb=APPEND';

const NO_BYTES = Buffer.alloc(0);

/** Options of {@link StreamWrites}. */
export interface StreamWritesOptions {
  /** What stands before every resource's path in URLs; empty or `/…`. */
  prefix: string;
  /** Longest time without a byte of a body, in milliseconds. */
  bodyIdleTimeoutMs: number;
}

/** Answers PUT, POST and DELETE of the Durable Streams protocol. */
export class StreamWrites {
  readonly #core: Core;
  readonly #options: StreamWritesOptions;
  /** What is held of bodies until they are appended. */
  readonly #bodies = new BodyBudget();

  constructor(core: Core, options: StreamWritesOptions) {
    this.#core = core;
    this.#options = options;
  }

  /**
   * Creates a stream, or stores a file.
   *
   * @throws what {@link createRequestOf} and {@link Streams.create} throw
   */
  async create(request: FastifyRequest, reply: FastifyReply, path: ResourcePath): Promise<FastifyReply> {
    const { put } = this.#core.numbers.appends;
    const permit = admissionOf(request).require('append', path);
    const wanted = createRequestOf(request, this.#options.prefix);
    const isWhole = wanted.fork !== undefined || isJsonType(wanted.contentType);
    const share = this.#bodies.share();
    let content: Buffer | NewFile | undefined;
    try {
      content = await (isWhole || !hasBody(request)
        ? this.#collect(request, share)
        : this.#store(request, permit));
      if (content === undefined) return reply.hijack();
      const isJson = isJsonType(wanted.contentType) && Buffer.isBuffer(content) && content.length > 0;
      const bytes = isJson ? await linesOfJson(content as Buffer, turnsOf(request)) : content;
      const created = await this.#core.streams.create(permit, wanted, bytes);
      put.finished++;
      if (created.isNew) put.bytes += Buffer.isBuffer(bytes) ? bytes.length : bytes.size;
      return this.#created(request, reply, path, created);
    } catch (error) {
      put.refused++;
      throw error;
    } finally {
      share.release();
      if (!Buffer.isBuffer(content)) await content?.discard();
    }
  }

  /**
   * Appends to a stream, closes it, or both.
   *
   * @throws {InvalidRequestError} when a header or the body is malformed
   * @throws what {@link Resource.append} throws
   */
  async append(request: FastifyRequest, reply: FastifyReply, path: ResourcePath): Promise<FastifyReply> {
    const { resources } = this.#core;
    const { post } = this.#core.numbers.appends;
    const permit = admissionOf(request).require('append', path);
    const producer = producerOf(request);
    const seq = sequenceOf(request);
    const close = asksToClose(request);
    const contentType = sentTypeOf(request);
    const share = this.#bodies.share();
    let resource: Resource | undefined;
    try {
      const body = await this.#collect(request, share);
      if (body === undefined) return reply.hijack();
      resource = await resources.acquire(permit);
      if (body.length === 0 && !close) throw new InvalidRequestError('the body is empty');
      if (body.length > 0) assertType(contentType);
      assertTypeOfFile(path, resource, contentType, body);
      const isJson =
        body.length > 0 &&
        isJsonType(resource.streamType) &&
        isSameType(resource.streamType as string, contentType);
      const bytes = isJson && resource.state.closed !== true ? await valuesOf(body, turnsOf(request)) : body;
      const appended = await resource.append({ bytes, contentType, seq, producer, close });
      post.finished++;
      void resources.touch(resource.fingerprint, appended.state);
      reply.header(StreamHeader.nextOffset, resource.names.nameOf(appended.state.size));
      reply.headers({ ...closedHeader(appended.state), 'x-content-type-options': 'nosniff' });
      if (appended.producer !== undefined) {
        reply.header(StreamHeader.producerEpoch, String(appended.producer.epoch));
        reply.header(StreamHeader.producerSeq, String(appended.producer.seq));
      }
      const hasNews = producer !== undefined && bytes.length > 0 && !appended.isRepeated;
      return reply.code(hasNews ? 200 : 204).send();
    } catch (error) {
      post.refused++;
      setRefusalHeaders(reply, error, resource?.names);
      throw withHint(error, contentType);
    } finally {
      share.release();
      if (resource !== undefined) resources.release(resource);
    }
  }

  /** @throws what {@link Streams.delete} throws */
  async delete(request: FastifyRequest, reply: FastifyReply, path: ResourcePath): Promise<FastifyReply> {
    await this.#core.streams.delete(admissionOf(request).require('delete', path));
    return reply.code(204).header('x-content-type-options', 'nosniff').send();
  }

  #created(
    request: FastifyRequest,
    reply: FastifyReply,
    path: ResourcePath,
    { state, names, isNew }: Created,
  ): FastifyReply {
    const name = path.segments.at(-1) ?? '';
    reply.headers({
      'content-type': knownContentType(givenType(state), name) ?? 'application/octet-stream',
      [StreamHeader.nextOffset]: names.nameOf(state.size),
      ...closedHeader(state),
      ...expiryHeaders(state),
      'x-content-type-options': 'nosniff',
    });
    if (isNew) reply.header('location', absoluteUrl(request, `${this.#options.prefix}${path.toUrlPath()}`));
    return reply.code(isNew ? 201 : 200).send();
  }

  async #collect(request: FastifyRequest, share: BodyShare): Promise<Buffer | undefined> {
    if (!hasBody(request)) return NO_BYTES;
    const { bodyIdleTimeoutMs: idleTimeoutMs } = this.#options;
    return collectBody(request, { maxBytes: MAX_APPEND_BYTES, idleTimeoutMs, share });
  }

  async #store(request: FastifyRequest, permit: Permit<'append'>): Promise<NewFile | undefined> {
    const { bodyIdleTimeoutMs: idleTimeoutMs } = this.#options;
    const file = await this.#core.streams.newFile(permit);
    try {
      if (await storeBody(request, file, { idleTimeoutMs })) return file;
    } catch (error) {
      await file.discard();
      throw error;
    }
    await file.discard();
    return undefined;
  }
}

/** @throws {InvalidRequestError} when it is missing, or none */
function assertType(contentType: string | undefined): void {
  if (contentType === undefined) throw new InvalidRequestError(`the Content-Type is missing; ${HINT}`);
  if (!isMediaType(contentType)) throw new InvalidRequestError(`the Content-Type is malformed; ${HINT}`);
}

/** Tells of the other way to append who says no type, or the one that curl says by itself. */
function withHint(error: unknown, contentType: string | undefined): unknown {
  if (contentType !== undefined && !isSameType(FORM_TYPE, contentType)) return error;
  if (error instanceof ResourceNotFoundError) {
    return new ResourceNotFoundError(`${error.message}; ${HINT}`, { cause: error });
  }
  if (error instanceof ContentTypeMismatchError) {
    return new ContentTypeMismatchError(`${error.message}; ${HINT}`, { cause: error });
  }
  return error;
}

/** A file that was not made as a stream has the type that an append has given it, or else that its name says. */
function assertTypeOfFile(
  path: ResourcePath,
  { streamType, state }: Resource,
  contentType: string | undefined,
  body: Buffer,
): void {
  const expected = knownContentType(givenType(state), path.segments.at(-1) ?? '');
  if (streamType !== undefined || expected === undefined || body.length === 0 || state.closed === true)
    return;
  if (!isSameType(expected, contentType)) {
    const why = state.fileType === undefined ? 'by its name ' : '';
    throw new ContentTypeMismatchError(`${why}the file is of the type ${expected}`);
  }
}

/** @throws {InvalidRequestError} when there is none, or it is not JSON */
async function valuesOf(body: Buffer, turns: Turns): Promise<Buffer> {
  const lines = await linesOfJson(body, turns);
  if (lines.length === 0) throw new InvalidRequestError('the array has no values');
  return lines;
}

function turnsOf({ server }: FastifyRequest): Turns {
  return Turns.of(server.server);
}
