import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Core } from '../../core/core.ts';
import type { Copied } from '../../relay/copies/copy-file.ts';
import type { StoredAnswer } from '../../relay/copies/stored-answer.ts';
import type { Coming } from '../../relay/readiness.ts';
import type { Upstream } from '../../relay/upstream/upstream.ts';
import { GENERATION_HEADER } from '../../wire/protocol.ts';
import type { ResourcePath } from '../../wire/resource-path.ts';
import { contentRange } from '../response/byte-ranges.ts';
import { assertChangeable, assertUnchanged, isFresh, type Validators } from '../response/conditions.ts';
import type { Range } from '../response/file-body.ts';
import { LastModified, parseHttpDate } from '../response/last-modified.ts';
import { sendStream } from '../response/send-bytes.ts';
import { sendRanges } from '../response/send-ranges.ts';
import { admissionOf } from '../rights/admission.ts';
import { permitToRead } from '../rights/permits.ts';
import { beingReplaced, joinPart } from './joined-part.ts';
import { FOR_THE_NEXT, headersOfOther, passedOn, varyOf } from './passed-on.ts';
import { referencesIn } from './references.ts';

/** What is kept of an answer. */
export interface StoredCopy {
  answer: StoredAnswer;
  copied: Copied;
  /** How it has come to be here (RFC 9211). */
  cacheStatus: string;
  /** What has come of it by now. Missing: all of it is here. */
  coming?: Coming;
  /** The part that is asked for of what is still coming. Default: all of it. */
  range?: Range | undefined;
  /** The servers through which it has come, this one included. */
  via: string;
  /** The one from which it comes. */
  upstream: Upstream;
}

/** Answers plain reads with what is kept of the answers of plain HTTP servers, as they were. */
export class StoredResponder {
  readonly #core: Core;
  readonly #prefix: string;

  /** @param prefix what stands before every resource's path in URLs; empty or `/…` */
  constructor(core: Core, prefix: string) {
    this.#core = core;
    this.#prefix = prefix;
  }

  /**
   * Answers with all of it, with ranges, or with what comes of it.
   *
   * @throws {PreconditionFailedError} {@link RangeNotSatisfiableError} as the request's headers say
   * @throws {StorageBusyError} when it is being replaced
   * @throws what {@link Resources.open} and {@link Followers.follow} throw
   */
  async send(
    request: FastifyRequest,
    reply: FastifyReply,
    path: ResourcePath,
    stored: StoredCopy,
    signal: AbortSignal,
  ): Promise<void> {
    const { answer, copied, cacheStatus, coming, range, via, upstream } = stored;
    const url = upstream.urlOf(path);
    const headers = passedOn(answer.headers, FOR_THE_NEXT);
    const before = reply.getHeaders();
    reply.headers({
      ...headersOfOther(request, headers, cacheStatus),
      ...referencesIn(headers, { request, upstream, url, prefix: this.#prefix }),
      ...varyOf(reply, headers),
      via,
      [GENERATION_HEADER]: String(copied.generation),
    });
    // It is not about an error that comes in its place, which a cache would keep for as long.
    const takeBack = () => {
      for (const name of Object.keys(headers)) reply.removeHeader(name);
      reply.headers(before);
    };
    try {
      if (coming === undefined) await this.#sendWhole(request, reply, path, stored);
      else {
        const { generation } = copied;
        await this.#sendComing(request, reply, path, { ...coming, generation, range }, signal, takeBack);
      }
    } catch (error) {
      takeBack();
      throw error;
    }
  }

  /**
   * Checks whether a request means what is kept, if it names conditions.
   *
   * @throws {PreconditionFailedError} when it means something else
   */
  assertMeant({ headers }: FastifyRequest, stored: Pick<StoredCopy, 'answer'> | undefined): void {
    assertChangeable(headers, stored && validatorsOf(stored.answer, lastModifiedOf(stored.answer)));
  }

  async #sendWhole(
    request: FastifyRequest,
    reply: FastifyReply,
    path: ResourcePath,
    { answer, copied }: StoredCopy,
  ): Promise<void> {
    const file = await this.#core.resources.open(permitToRead(request, path));
    try {
      if (file.generation !== copied.generation) throw beingReplaced();
      const lastModified = lastModifiedOf(answer);
      const validators = validatorsOf(answer, lastModified);
      reply.header('accept-ranges', 'bytes');
      assertUnchanged(request.headers, validators);
      if (!isFresh(request.headers, validators)) {
        await sendRanges(request, reply, file, { size: copied.size, etag: answer.strongTag, lastModified });
        return;
      }
      await file.close();
      await reply.code(304).send();
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  /**
   * As it comes. It breaks off when the rest does not come.
   *
   * @param broken called when it does, maybe before anything was sent
   */
  async #sendComing(
    request: FastifyRequest,
    reply: FastifyReply,
    path: ResourcePath,
    {
      fetched: { size, committed },
      overflow,
      generation,
      range,
    }: Coming & Pick<StoredCopy, 'range'> & { generation: number },
    signal: AbortSignal,
    broken: () => void,
  ): Promise<void> {
    const wanted = range ?? (size === undefined ? undefined : { start: 0, end: size });
    const { body } = await joinPart(
      this.#core,
      admissionOf(request).require('follow', path),
      { generation, committed, overflow },
      wanted,
      reply,
      signal,
    );
    if (range !== undefined) reply.code(206).header('content-range', contentRange(range, size as number));
    if (wanted !== undefined) reply.header('content-length', wanted.end - wanted.start);
    void sendStream(request, reply, body.once('error', broken));
  }
}

/** Of what says no date nothing can be concluded from dates. */
function lastModifiedOf({ lastModified = '' }: StoredAnswer): LastModified {
  const changedMs = parseHttpDate(lastModified);
  const isKnown = !Number.isNaN(changedMs);
  return new LastModified(isKnown ? changedMs : Date.now(), isKnown, Date.now());
}

function validatorsOf({ etag, lastModified: date }: StoredAnswer, lastModified: LastModified): Validators {
  return {
    etags: etag === undefined ? [] : [etag.replace(/^W\//, '')],
    lastModified: date === undefined ? undefined : lastModified,
  };
}
