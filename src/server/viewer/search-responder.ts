import { Readable } from 'node:stream';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Core } from '../../core/core.ts';
import type { SearchRange } from '../../search/file-search.ts';
import type { SearchQuery } from '../../search/search-query.ts';
import { InvalidRequestError } from '../../wire/errors.ts';
import { SearchHeader, SearchQueryName } from '../../wire/page-requests.ts';
import { GENERATION_HEADER } from '../../wire/protocol.ts';
import type { ResourcePath } from '../../wire/resource-path.ts';
import { clientKeyOf } from '../limits/client-key.ts';
import { ClientSocket } from '../node/connections/client-socket.ts';
import { parameterOf } from '../request/query-parameters.ts';
import { sendStream } from '../response/send-bytes.ts';
import { admissionOf } from '../rights/admission.ts';
import { searchLines } from './search-answer.ts';
import { Searches } from './searches.ts';
import { takenInTime } from './taken-in-time.ts';
import { choiceOf, wholeNumberOf } from './view-parameters.ts';

/** Longest text, or regular expression, in characters. */
const MAX_TEXT_LENGTH = 1000;

/** For so long an answer waits for who reads it, in milliseconds: other searches wait for that. */
const UNREAD_MS = 30_000;

const DEFAULT_LIMIT = 1000;
const MAX_LIMIT = 100_000;

/** Answers searches in files. */
export class SearchResponder {
  readonly #core: Core;
  readonly #searches = new Searches();

  constructor(core: Core) {
    this.#core = core;
  }

  /**
   * Answers with what is found, as it is found. It ends when the client goes, and breaks off when it reads nothing for long.
   *
   * @throws {InvalidRequestError} when a parameter is missing or malformed
   * @throws what {@link Searches.enter} and {@link Resources.open} throw
   */
  async send(request: FastifyRequest, reply: FastifyReply, path: ResourcePath): Promise<FastifyReply> {
    const query = queryOf(request);
    const wanted = rangeOf(request);
    const permit = admissionOf(request).require('follow', path);
    const leave = this.#searches.enter(clientKeyOf(request));
    const file = await this.#core.resources.open(permit).catch((error) => {
      leave();
      throw error;
    });
    const over = async () => {
      leave();
      await file.close();
    };
    try {
      const size = await this.#core.resources.committed(file);
      const { signal, stop } = untilLeft(request);
      const from = Math.min(wanted.from, size);
      const steps = this.#searches.search(file, query, { ...wanted, from, size, signal });
      const found = takenInTime(searchLines(steps, from), UNREAD_MS, () => lines.destroy());
      const lines = Readable.from(found, { objectMode: false });
      // Also when it never began.
      lines.once('close', () => {
        stop();
        void over();
      });
      reply.headers({
        'cache-control': 'no-store, no-transform',
        'x-accel-buffering': 'no',
        'x-content-type-options': 'nosniff',
        [GENERATION_HEADER]: String(file.generation),
        [SearchHeader.size]: String(size),
      });
      return sendStream(request, reply.type('application/x-ndjson'), lines);
    } catch (error) {
      await over();
      throw error;
    }
  }

  /** Ends all searches. */
  close(): Promise<void> {
    return this.#searches.close();
  }
}

/** A signal for when nobody waits for the answer any more: no byte may be written for long that would show it. */
function untilLeft({ raw: { socket } }: FastifyRequest): { signal: AbortSignal; stop: () => void } {
  const aborter = new AbortController();
  const stop = ClientSocket.of(socket).onLeave(() => aborter.abort());
  if (ClientSocket.of(socket).hasLeft) aborter.abort();
  return { signal: aborter.signal, stop };
}

function queryOf(request: FastifyRequest): SearchQuery {
  const text = parameterOf(request, SearchQueryName.text) ?? '';
  if (text === '' || text.length > MAX_TEXT_LENGTH) {
    throw new InvalidRequestError(
      `the query parameter ${SearchQueryName.text} must have 1 to ${MAX_TEXT_LENGTH} characters`,
    );
  }
  return {
    text,
    mode: choiceOf(request, SearchQueryName.mode, ['literal', 'regex']),
    case: choiceOf(request, SearchQueryName.case, ['smart', 'sensitive', 'insensitive']),
  };
}

function rangeOf(request: FastifyRequest): Omit<SearchRange, 'size' | 'timeMs' | 'signal'> {
  return {
    from: wholeNumberOf(request, SearchQueryName.from) ?? 0,
    direction: choiceOf(request, SearchQueryName.direction, ['both', 'forward', 'backward']),
    limit: Math.min(wholeNumberOf(request, SearchQueryName.limit) ?? DEFAULT_LIMIT, MAX_LIMIT),
    onePerLine: choiceOf(request, SearchQueryName.per, ['match', 'line']) === 'line',
  };
}
