import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Core } from '../../core/core.ts';
import type { KeptAnswer } from '../../relay/kept-answer.ts';
import type { Copied } from '../../relay/local-copy.ts';
import type { Served } from '../../relay/relay.ts';
import { RangeNotSatisfiableError } from '../../wire/errors.ts';
import type { ResourcePath } from '../../wire/resource-path.ts';
import { contentRange, multipartBody, rangesFor } from '../response/byte-ranges.ts';
import { assertUnchanged, isFresh } from '../response/conditions.ts';
import { LastModified, parseHttpDate } from '../response/last-modified.ts';
import { sendBytes, sendStream } from '../response/send-bytes.ts';
import { JoinedBody } from './joined-body.ts';

/** What this server says itself of what it has kept. */
const NOT_TOLD = [
  'access-control-allow-origin',
  'access-control-expose-headers',
  'alt-svc',
  'clear-site-data',
];

/** The type of what has none. */
const ANY_TYPE = 'application/octet-stream';

/** What is kept of an answer. */
export interface Kept {
  answer: KeptAnswer;
  copied: Copied;
  served: Served;
  /** The servers through which it has come, this one included. */
  via: string;
}

/** Answers plain reads with what is kept of the answers of servers that are none of ours, as they were. */
export class KeptResponder {
  readonly #core: Core;

  constructor(core: Core) {
    this.#core = core;
  }

  /**
   * Answers with all of it, with ranges, or with what comes of it.
   *
   * @throws {PreconditionFailedError} {@link RangeNotSatisfiableError} as the request's headers say
   * @throws what {@link Resources.open} and {@link Followers.follow} throw
   */
  async send(
    request: FastifyRequest,
    reply: FastifyReply,
    path: ResourcePath,
    kept: Kept,
    signal: AbortSignal,
  ): Promise<void> {
    const { answer, copied, served, via } = kept;
    for (const [name, value] of Object.entries(answer.headers)) {
      if (!NOT_TOLD.includes(name)) reply.header(name, value);
    }
    const isWhole = copied.outcome?.reason === 'finished';
    reply.headers({ via, 'cache-status': `httpfstream; ${isWhole ? 'hit' : 'fwd=miss; stored; collapsed'}` });
    if (isWhole) await this.#sendWhole(request, reply, path, answer);
    else await this.#sendComing(request, reply, path, served, signal);
  }

  async #sendWhole(
    request: FastifyRequest,
    reply: FastifyReply,
    path: ResourcePath,
    { etag, lastModified: date }: KeptAnswer,
  ): Promise<void> {
    const { resources } = this.#core;
    const file = await resources.open(path);
    try {
      const { state } = await resources.view(file);
      const { size } = state;
      reply.header('accept-ranges', 'bytes');
      const lastModified =
        date === undefined ? undefined : new LastModified(parseHttpDate(date), true, Date.now());
      const validators = { etags: etag === undefined ? [] : [etag.replace(/^W\//, '')], lastModified };
      assertUnchanged(request.headers, validators);
      if (isFresh(request.headers, validators)) {
        await file.close();
        await reply.code(304).send();
        return;
      }
      // A weak one tells bytes from others for nobody.
      const strong = etag?.startsWith('W/') === false ? etag : '';
      const never = new LastModified(Date.now(), false, Date.now());
      const ranges = rangesFor(request.headers, size, strong, lastModified ?? never);
      if (ranges.kind === 'unsatisfiable') {
        reply.header('content-range', `bytes */${size}`);
        throw new RangeNotSatisfiableError(`the resource has ${size} bytes`);
      }
      const [first, second] = ranges.kind === 'partial' ? ranges.ranges : [];
      if (first === undefined || ranges.kind === 'whole') {
        void sendBytes(request, reply, file, [{ start: 0, end: size }], size);
      } else if (second === undefined) {
        reply.code(206).header('content-range', contentRange(first, size));
        void sendBytes(request, reply, file, [first], first.end - first.start);
      } else {
        const type = String(reply.getHeader('content-type') ?? ANY_TYPE);
        const body = multipartBody(ranges.ranges, size, type);
        void sendBytes(
          request,
          reply.code(206).type(body.contentType),
          file,
          body.pieces,
          body.contentLength,
        );
      }
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  /** From the beginning, as it comes. It breaks off when the rest does not come. */
  async #sendComing(
    request: FastifyRequest,
    reply: FastifyReply,
    path: ResourcePath,
    { size }: Served,
    signal: AbortSignal,
  ): Promise<void> {
    const body = new JoinedBody(size);
    body.follow(await this.#core.followers.follow(path, {}, body, signal));
    if (size !== undefined) reply.header('content-length', size);
    void sendStream(request, reply, body);
  }
}
