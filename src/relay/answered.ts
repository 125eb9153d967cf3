import { setTimeout as delay } from 'node:timers/promises';
import { nodeFetch } from '../http/index.node.ts';
import {
  type HttpfstreamError,
  RelayLoopError,
  ResourceNotFoundError,
  UpstreamError,
} from '../wire/errors.ts';
import { VERB_HEADER } from '../wire/protocol.ts';
import { AnswerBody } from './answer-body.ts';
import { type Fetching, TOO_LONG } from './fetching.ts';
import { isOfOurs } from './first-contact.ts';
import { KeptAnswer } from './kept-answer.ts';
import type { Copied } from './local-copy.ts';
import type { UpstreamKind } from './upstream.ts';

/** How often it is gone on after a cut before another byte has come. */
const MAX_RESUMES = 5;

/** Wait before the first of them, in milliseconds; it doubles from one to the next. */
const RESUME_DELAY_MS = 100;

const CONTENT_RANGE = /^bytes (\d+)-(\d+)\/(\d+)$/;

const fetch = nodeFetch();

/**
 * Fetches what any server answers to a plain `GET`, keeps it if it may be kept, and goes on after cuts as long as it is sure that
 * the bytes are of the same body. What is here and still holds is not fetched.
 *
 * @returns whether the server is one of ours after all: nothing was fetched then
 * @throws {ResourceNotFoundError} when it is not there
 * @throws {RelayLoopError} when it comes from here
 * @throws {UpstreamError} {@link UpstreamTimeoutError} when it cannot be had
 */
export function fetchAnswer(fetching: Fetching, here: Copied | undefined): Promise<boolean> {
  return new FetchedAnswer(fetching).run(here);
}

/** Status of an answer of a relay to which its own request has come back. */
export const LOOP = 508;

/** Whether a request for it comes back to where it has been before, as far as that can be found out. Never rejects. */
export async function comesBack(fetching: Fetching): Promise<boolean> {
  try {
    const body = await request(fetching);
    await body.cancel();
    return body.response.status === LOOP;
  } catch {
    return false;
  }
}

/**
 * Finds out what a server is, by a request to follow; undefined when its answer does not tell: it may be that of something in
 * front of it.
 *
 * @throws {UpstreamError} {@link UpstreamTimeoutError} when it cannot be reached
 */
export async function kindByAnswer(
  fetching: Fetching,
  signal: AbortSignal,
): Promise<UpstreamKind | undefined> {
  const abort = () => fetching.abort(signal.reason);
  signal.addEventListener('abort', abort, { once: true });
  if (signal.aborted) abort();
  try {
    const body = await request(fetching);
    try {
      if (await isOfOurs(body.response)) return 'ours';
      return body.response.ok ? 'foreign' : undefined;
    } finally {
      await body.cancel();
    }
  } finally {
    signal.removeEventListener('abort', abort);
  }
}

/**
 * Sends a request to follow, which means nothing to any other server.
 *
 * @throws {UpstreamError} {@link UpstreamTimeoutError} when there is no answer
 */
async function request(
  fetching: Fetching,
  headers: Readonly<Record<string, string>> = {},
): Promise<AnswerBody> {
  const { signal, options } = fetching;
  const silence = new AbortController();
  const timer = setTimeout(() => silence.abort(fetching.timedOut()), options.headTimeoutMs);
  try {
    const response = await fetch(fetching.upstream.urlOf(fetching.path), {
      method: 'GET',
      headers: new Headers({
        accept: '*/*',
        'accept-encoding': 'identity',
        [VERB_HEADER]: 'FOLLOW',
        ...fetching.headers,
        ...headers,
      }),
      redirect: 'manual',
      signal: AbortSignal.any([signal, silence.signal]),
    });
    return new AnswerBody(response, silence, options.silenceMs);
  } catch (error) {
    signal.throwIfAborted();
    throw silence.signal.aborted ? fetching.timedOut() : fetching.unreachable(error);
  } finally {
    clearTimeout(timer);
  }
}

/** What is here of the body of an answer. */
interface KeptBody {
  copied: Copied;
  answer: KeptAnswer;
  isWhole: boolean;
}

class FetchedAnswer {
  readonly #fetching: Fetching;
  readonly #url: URL;

  constructor(fetching: Fetching) {
    this.#fetching = fetching;
    this.#url = fetching.upstream.urlOf(fetching.path);
  }

  async run(here: Copied | undefined): Promise<boolean> {
    const kept = this.#keptOf(here);
    if (kept?.isWhole === true && kept.answer.isFresh) return false;
    let body: AnswerBody;
    try {
      body = await request(this.#fetching, kept && headersFor(kept));
    } catch (error) {
      if (kept?.isWhole === true && kept.answer.mayBeStale) return false;
      throw error;
    }
    try {
      if (body.response.status === LOOP) throw new RelayLoopError('the request has come back to a relay');
      if (await isOfOurs(body.response)) return true;
      // Errors may be those of something in front of one of ours.
      if (body.response.ok || body.response.status === 304) this.#fetching.upstream.kind = 'foreign';
      await this.#judge(body, here, kept);
      return false;
    } finally {
      await body.cancel();
    }
  }

  /** What is here, if anything can be done with it. */
  #keptOf(copied: Copied | undefined): KeptBody | undefined {
    const answer = copied?.answer && KeptAnswer.from(this.#url, copied.answer);
    if (copied === undefined || answer === undefined) return undefined;
    const isWhole = copied.outcome?.reason === 'finished';
    return isWhole || answer.strongValidator !== undefined ? { copied, answer, isWhole } : undefined;
  }

  /** Does with an answer what is to be done with it. */
  async #judge(body: AnswerBody, here: Copied | undefined, kept: KeptBody | undefined): Promise<void> {
    const fetching = this.#fetching;
    const { response } = body;
    const { status } = response;
    if (status === 304 && kept?.isWhole === true) {
      const answer = kept.answer.revalidated(response);
      if (answer !== undefined) await fetching.copy.note(answer.record);
      return;
    }
    if (status === 206 && kept?.isWhole === false && goesOn(response, kept)) {
      await this.#keep(body, kept.answer, kept.copied, 0);
      return;
    }
    if (status >= 500 && kept?.isWhole === true && kept.answer.mayBeStale) return;
    const answer = KeptAnswer.of(this.#url, response);
    if (typeof answer !== 'string' && kept?.isWhole === false && answer.hasBytesOf(kept.answer)) {
      await this.#keep(body, answer, kept.copied, kept.copied.size);
      return;
    }
    // What is here is not what is there.
    if (here !== undefined && status < 500) await fetching.copy.drop();
    if (status === 404 || status === 410) throw new ResourceNotFoundError('there is nothing at this path');
    // Errors are not for a while: they may be over.
    if (typeof answer === 'string') fetching.passOn(answer, response.ok);
    else if (!fetching.mayKeep(body.length)) fetching.passOn(TOO_LONG, true);
    else await this.#keep(body, answer, undefined, 0);
  }

  /**
   * Keeps a body, and goes on when it is cut.
   *
   * @param here what there is of it already
   * @param skipped how many of the bytes that come are here already
   */
  async #keep(
    body: AnswerBody,
    answer: KeptAnswer,
    here: Copied | undefined,
    skipped: number,
  ): Promise<void> {
    const fetching = this.#fetching;
    const start = here?.size ?? 0;
    const length = body.length;
    const size = length === undefined ? undefined : start - skipped + length;
    fetching.found(size, size !== undefined);
    const made = { generation: Date.now() * 1000, contentType: undefined, answer: answer.record };
    const writing = new Writing(fetching, start);
    const lease = await fetching.append(here, made, writing);
    try {
      await writing.take(body, skipped);
      for (let resumes = 0; writing.position !== (size ?? writing.position) || !writing.isComplete; ) {
        const before = writing.position;
        await this.#resume(writing, answer, size, resumes);
        resumes = writing.position > before ? 0 : resumes + 1;
      }
      await fetching.end({ reason: 'finished' });
    } catch (error) {
      if (fetching.signal.aborted) throw error;
      if (fetching.isTooLong) {
        await fetching.giveUp();
        return;
      }
      const failure = fetching.breakOff(error);
      await lease.ready();
      await fetching.end({ reason: 'interrupted' });
      if (answer.strongValidator === undefined) await fetching.drop('nothing tells the rest of it');
      throw failure;
    }
  }

  /** Goes on after a cut. */
  async #resume(
    writing: Writing,
    answer: KeptAnswer,
    size: number | undefined,
    resumes: number,
  ): Promise<void> {
    const { strongValidator } = answer;
    const { signal } = this.#fetching;
    if (strongValidator === undefined || resumes >= MAX_RESUMES || writing.loss !== undefined) {
      throw writing.failure ?? new UpstreamError('the answer was cut');
    }
    await delay(RESUME_DELAY_MS * 2 ** resumes, undefined, { signal });
    const { position } = writing;
    const asked = request(this.#fetching, { range: `bytes=${position}-`, 'if-range': strongValidator });
    const body = await asked.catch((error: HttpfstreamError) => {
      writing.failure = error;
    });
    if (body === undefined) return;
    try {
      const { response } = body;
      const isSame = response.status === 206 && isPart(response, position, size, answer);
      const again = KeptAnswer.of(this.#url, response);
      const isAgain = typeof again !== 'string' && again.hasBytesOf(answer);
      if (isSame || isAgain) this.#fetching.resumed();
      if (isSame) await writing.take(body, 0);
      else if (isAgain) await writing.take(body, position);
      else if (response.status >= 500) writing.failure = new UpstreamError(`HTTP status ${response.status}`);
      else throw new UpstreamError('what is there has changed while it was fetched');
    } finally {
      await body.cancel();
    }
  }
}

/** The bytes of one body on their way to the copy, from one or several answers. */
class Writing {
  /** Position of the next byte. */
  position: number;
  /** Whether an answer has come to its end. */
  isComplete = false;
  /** Why the last one has not. */
  failure: unknown;
  /** Set when the copy takes no more. */
  loss: HttpfstreamError | undefined;
  readonly #fetching: Fetching;
  #drained = () => {};

  constructor(fetching: Fetching, position: number) {
    this.#fetching = fetching;
    this.position = position;
  }

  resume(): void {
    this.#drained();
  }

  stop(error: HttpfstreamError = new UpstreamError('the pull was stopped')): void {
    this.loss = error;
    this.#drained();
  }

  /** Takes what an answer has, but for the first bytes. What breaks it is in `failure`. */
  async take(body: AnswerBody, skipped: number): Promise<void> {
    this.isComplete = false;
    let toSkip = skipped;
    try {
      for (let bytes = await body.read(); bytes !== undefined; bytes = await body.read()) {
        const wanted = bytes.subarray(toSkip);
        toSkip -= bytes.length - wanted.length;
        this.position += wanted.length;
        if (!this.#fetching.take(wanted)) await this.#untilDrained();
        if (this.loss !== undefined) throw this.loss;
      }
      this.isComplete = true;
    } catch (error) {
      if (this.loss !== undefined || this.#fetching.signal.aborted) throw error;
      this.failure = error;
    }
  }

  #untilDrained(): Promise<void> {
    return new Promise((resolve) => {
      this.#drained = resolve;
      if (this.loss !== undefined) resolve();
    });
  }
}

function headersFor({ copied, answer, isWhole }: KeptBody): Readonly<Record<string, string>> {
  if (isWhole) return answer.conditions;
  return { range: `bytes=${copied.size}-`, 'if-range': answer.strongValidator as string };
}

function goesOn(response: Response, { copied, answer }: KeptBody): boolean {
  return isPart(response, copied.size, undefined, answer);
}

/** Whether a part begins where it must, of what has this size, and nothing says that it is of another body. */
function isPart(
  { headers }: Response,
  position: number,
  size: number | undefined,
  answer: KeptAnswer,
): boolean {
  const [, start, end, total] = CONTENT_RANGE.exec(headers.get('content-range') ?? '') ?? [];
  const etag = headers.get('etag') ?? undefined;
  return (
    Number(start) === position &&
    Number(end) + 1 === Number(total) &&
    (size === undefined || Number(total) === size) &&
    etag === answer.etag &&
    (headers.get('content-encoding') ?? 'identity') === 'identity'
  );
}
