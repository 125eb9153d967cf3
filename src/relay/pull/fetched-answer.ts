import { setTimeout as delay } from 'node:timers/promises';
import { type HttpfstreamError, UpstreamError } from '../../wire/errors.ts';
import type { Copied } from '../copies/copy-file.ts';
import { type AnswerHead, StoredAnswer } from '../copies/stored-answer.ts';
import { isHttpfstream } from '../upstream/first-contact.ts';
import type { OpenAnswer } from '../upstream/open-answer.ts';
import type { Copying } from './copying.ts';
import type { Overflow } from './overflow.ts';
import { missingBy, refusalOf } from './refusal.ts';
import {
  type CacheUse,
  FAILED_MS,
  failed,
  refused,
  stored,
  TOO_LONG,
  UNKNOWN,
  unstored,
  type Verdict,
} from './verdict.ts';

/** How often it is gone on after a cut before another byte has come. */
const MAX_RESUMES = 5;

/** Wait before the first of them, in milliseconds; it doubles from one to the next. */
const RESUME_DELAY_MS = 100;

/** Headers of which nothing is sent for anybody whose answer may be shared, besides no name at all. */
const NOT_SENT = ['', 'accept-encoding', 'authorization', 'cookie', 'origin'];

const PARTIAL_CONTENT = 206;

const RANGE_NOT_SATISFIABLE = 416;

const CONTENT_RANGE = /^bytes (\d+)-(\d+)\/(\d+)$/;

/** How an answer is taken. */
export interface FetchAnswerOptions {
  /** Whether what is fresh is looked at, too. */
  revalidates: boolean;
  /** Whether it is looked only whether what is here still holds. */
  looksOnly: boolean;
  /** For what comes beyond what may be kept. */
  overflow: Overflow;
}

/** An answer that is not kept, and was not read. */
export interface Offered {
  answer: OpenAnswer;
  /** Whether it is one to who follows only. */
  isToFollow: boolean;
}

/** How a request to follow was answered. */
export type Answered =
  /** For whoever has asked first the answer is offered, if it is one for him: it is not asked for twice. */
  { verdict: Verdict; offered?: Offered | undefined } | 'followable';

/**
 * Fetches what any server answers to a plain `GET`, keeps it if it may be kept, and goes on after cuts as long as it is
 * sure that the bytes are of the same body. What is here and still holds is not fetched.
 *
 * @param copied what is here, if it comes from there
 * @returns `followable` when it is an httpfstream server that has it: nothing was fetched then
 * @throws {ResourceNotFoundError} {@link StreamGoneError} when it is not there
 * @throws {UpstreamError} {@link UpstreamTimeoutError} when it cannot be had
 * @throws {RelayLoopError} when the request has come back
 */
export function fetchAnswer(
  copying: Copying,
  copied: Copied | undefined,
  options: FetchAnswerOptions,
): Promise<Answered> {
  return new FetchedAnswer(copying, copied, options).run();
}

/** What is here of the body of an answer. */
interface StoredBody {
  copied: Copied;
  answer: StoredAnswer;
  isWhole: boolean;
}

class FetchedAnswer {
  readonly #copying: Copying;
  readonly #copied: Copied | undefined;
  readonly #options: FetchAnswerOptions;
  readonly #body: StoredBody | undefined;

  constructor(copying: Copying, copied: Copied | undefined, options: FetchAnswerOptions) {
    this.#copying = copying;
    this.#copied = copied;
    this.#options = options;
    this.#body = storedBodyOf(copying.request.url, copied);
  }

  async run(): Promise<Answered> {
    const { request } = this.#copying;
    const body = this.#body;
    if (body?.isWhole === true && body.answer.isFresh && !this.#options.revalidates) {
      return { verdict: stored('hit', body.answer.trustedMs) };
    }
    const answered = await this.#answered(await request.send(body && headersFor(body)), body);
    return answered ?? ((await this.#answered(await request.send(), undefined)) as Answered);
  }

  /**
   * @param body what was asked about; undefined when all was asked for
   * @returns undefined when it is about something else than what is here
   */
  async #answered(answer: OpenAnswer, body: StoredBody | undefined): Promise<Answered | undefined> {
    let offered: Offered | undefined;
    try {
      const isToFollow = await isHttpfstream(answer);
      const verdict = isToFollow
        ? await this.#answeredByHttpfstream(answer)
        : await this.#answeredByOther(answer, body);
      if (verdict === undefined || verdict === 'followable') return verdict;
      // What has been appended of it is missing.
      const isUntouched = this.#copying.lease === undefined;
      if (verdict.kind === 'bypass' && isUntouched && body?.isWhole !== false && isForAnybody(answer)) {
        offered = { answer, isToFollow };
      }
      return { verdict, offered };
    } finally {
      if (offered === undefined) answer.cancel();
    }
  }

  #answeredByHttpfstream(answer: OpenAnswer): Promise<Verdict> | 'followable' {
    this.#copying.request.upstream.kind = 'httpfstream';
    return answer.isOk ? 'followable' : refusalOf(this.#copying.copy, this.#copied, answer);
  }

  #answeredByOther(answer: OpenAnswer, body: StoredBody | undefined): Promise<Verdict | undefined> {
    const { upstream } = this.#copying.request;
    const isOfHttpfstream = this.#copied !== undefined && this.#copied.answer === undefined;
    if (isOfHttpfstream && upstream.wasHttpfstream) {
      // What is in front of an httpfstream server does not know what is there.
      throw new UpstreamError(`${upstream.origin} has not answered itself: HTTP status ${answer.status}`);
    }
    if (upstream.wasHttpfstream)
      return Promise.resolve(refused('the server does not say what is there', FAILED_MS));
    // Errors may be those of something in front of an httpfstream server, too.
    if (answer.isOk || answer.status === 304) upstream.kind = 'http';
    return this.#judge(answer, body);
  }

  /** Does with an answer what is to be done with it. */
  async #judge(answer: OpenAnswer, body: StoredBody | undefined): Promise<Verdict | undefined> {
    const copying = this.#copying;
    const { status } = answer;
    if (status === 304 && body?.isWhole === true) {
      const revalidated = body.answer.revalidated(answer);
      if (revalidated === undefined) return undefined;
      await copying.copy.note(copying.request.url, revalidated.record);
      return stored('fwd=stale; fwd-status=304', revalidated.trustedMs);
    }
    if (body?.isWhole === false) {
      const part = partOf(answer, body.copied.size, body.answer);
      if (part !== undefined) {
        return this.#keep(answer, body.answer, body.copied, { skipped: 0, ...part });
      }
      // It is about a part, and not about this one.
      if (status === PARTIAL_CONTENT || status === RANGE_NOT_SATISFIABLE) return undefined;
    }
    const isBusy = status >= 500 || status === 429;
    if (isBusy && body?.isWhole === true && body.answer.mayBeStale) return stored('fwd=stale', FAILED_MS);
    const next = StoredAnswer.of(copying.request.url, answer);
    if (typeof next !== 'string' && body?.isWhole === false && next.hasBytesOf(body.answer)) {
      return this.#keep(answer, next, body.copied, { skipped: body.copied.size });
    }
    const missing = missingBy(status);
    if (this.#options.looksOnly && missing === undefined && typeof next !== 'string') return UNKNOWN;
    // What is here is not what is there.
    if (this.#copied !== undefined && (missing !== undefined || typeof next !== 'string'))
      await copying.copy.drop();
    if (missing !== undefined) throw missing;
    if (typeof next === 'string') return answer.isOk ? unstored(next) : refused(next);
    return copying.mayKeep(answer.length)
      ? this.#keep(answer, next, undefined, { skipped: 0 })
      : unstored(TOO_LONG);
  }

  /**
   * Keeps a body, and goes on when it is cut.
   *
   * @param copied what there is of it already
   * @param expected which bytes come
   */
  async #keep(
    answer: OpenAnswer,
    head: StoredAnswer,
    copied: Copied | undefined,
    expected: { skipped: number; length?: number; total?: number },
  ): Promise<Verdict> {
    const copying = this.#copying;
    const { request, progress } = copying;
    const size = head.size ?? expected.total;
    copying.noteSize(size, size !== undefined);
    const generation = copied?.generation ?? Date.now() * 1000;
    const made = { generation, contentType: undefined, isAtomic: true, answer: head.record };
    const writing = new Writing(copying, this.#options.overflow, copied?.size ?? 0, size);
    const lease = await copying.begin(copied, made, writing);
    try {
      await writing.take(answer, expected.skipped, expected.length);
      for (let resumes = 0; !writing.isWhole; ) {
        const before = writing.position;
        await this.#resume(writing, head, resumes);
        resumes = writing.position > before ? 0 : resumes + 1;
      }
      await copying.end({ reason: 'finished' });
      return stored(this.#useOf(copied, expected.skipped), head.trustedMs);
    } catch (error) {
      if (request.signal.aborted) throw error;
      // Those who ask from now on are told that what is here is a part.
      progress.conclude(failed(request.upstream.broken(error)));
      const verdict = progress.verdict as Verdict;
      if (verdict.kind !== 'failed') return verdict;
      await lease.ready();
      await lease.end('interrupted');
      if (writing.isUntrue) await copying.drop('a part of it has not as many bytes as it says');
      else if (head.strongValidator === undefined) await copying.drop('nothing tells the rest of it');
      return verdict;
    }
  }

  #useOf(copied: Copied | undefined, skipped: number): CacheUse {
    if (copied === undefined) {
      return this.#copied === undefined
        ? 'fwd=uri-miss; fwd-status=200; stored'
        : 'fwd=stale; fwd-status=200; stored';
    }
    return skipped > 0 ? 'fwd=partial; fwd-status=200; stored' : 'fwd=partial; fwd-status=206; stored';
  }

  /** Goes on after a cut. */
  async #resume(writing: Writing, head: StoredAnswer, resumes: number): Promise<void> {
    const { strongValidator } = head;
    const copying = this.#copying;
    const { request } = copying;
    if (strongValidator === undefined || resumes >= MAX_RESUMES || writing.loss !== undefined) {
      throw writing.failure ?? new UpstreamError('the answer was cut');
    }
    copying.connected(false);
    await delay(RESUME_DELAY_MS * 2 ** resumes, undefined, { signal: request.signal });
    const { position } = writing;
    const asked = request.send({ range: `bytes=${position}-`, 'if-range': strongValidator });
    const answer = await asked.catch((error: HttpfstreamError) => {
      writing.failure = error;
    });
    if (answer === undefined) return;
    try {
      const part = partOf(answer, position, head, writing.size);
      const again = StoredAnswer.of(request.url, answer);
      const isAgain = typeof again !== 'string' && again.hasBytesOf(head);
      if (part !== undefined || isAgain) copying.connected(true);
      if (part !== undefined) {
        writing.size = part.total;
        await writing.take(answer, 0, part.length);
      } else if (isAgain) await writing.take(answer, position);
      else if (answer.status >= 500) writing.failure = new UpstreamError(`HTTP status ${answer.status}`);
      else throw new UpstreamError('what is there has changed while it was fetched');
    } finally {
      answer.cancel();
    }
  }
}

/** The bytes of one body on their way to the copy, from one or several answers. */
class Writing {
  /** Position of the next byte. */
  position: number;
  /** How many bytes the body has, as soon as that is known. */
  size: number | undefined;
  /** Why the last answer has not come to its end. */
  failure: unknown;
  /** Whether an answer was not what it says: nobody knows which bytes these are. */
  isUntrue = false;
  /** Set when the copy takes no more. */
  loss: HttpfstreamError | undefined;
  readonly #copying: Copying;
  readonly #overflow: Overflow;
  #isComplete = false;
  #answer: OpenAnswer | undefined;

  constructor(copying: Copying, overflow: Overflow, position: number, size: number | undefined) {
    this.#copying = copying;
    this.#overflow = overflow;
    this.position = position;
    this.size = size;
  }

  /** Whether all has come. */
  get isWhole(): boolean {
    return this.#isComplete && this.position === (this.size ?? this.position);
  }

  resume(): void {
    this.#answer?.resume();
  }

  stop(error: HttpfstreamError = new UpstreamError('the pull was stopped')): void {
    this.loss ??= error;
    this.#answer?.cancel();
  }

  tooLong(bytes: Buffer): void {
    const rest = this.#answer?.restFrom(bytes);
    if (rest !== undefined) this.#overflow.put(rest, this.position - bytes.length);
    this.stop();
  }

  /**
   * Takes what an answer has. What breaks it is in `failure`.
   *
   * @param skipped how many of the bytes that come are here already
   * @param length how many come, as it says. Default: all that come
   * @throws {UpstreamError} when that is not true
   */
  async take(answer: OpenAnswer, skipped: number, length = Number.POSITIVE_INFINITY): Promise<void> {
    this.#isComplete = false;
    this.#answer = answer;
    let toSkip = skipped;
    let missing = length;
    let isLonger = false;
    const consumed = answer.consume((bytes) => {
      const rest = bytes.subarray(toSkip);
      toSkip -= bytes.length - rest.length;
      const wanted = rest.subarray(0, missing);
      missing -= wanted.length;
      isLonger ||= wanted.length < rest.length;
      if (this.loss !== undefined) return true;
      this.position += wanted.length;
      return this.#copying.take(wanted);
    });
    try {
      await consumed;
      this.#isComplete = true;
    } catch (error) {
      this.failure = error;
    }
    this.#copying.request.signal.throwIfAborted();
    if (this.loss !== undefined) throw this.loss;
    const isShorter = this.#isComplete && missing > 0 && length !== Number.POSITIVE_INFINITY;
    this.isUntrue = isLonger || isShorter;
    if (this.isUntrue) throw new UpstreamError('a part has not as many bytes as it says');
  }
}

/** What is here, if anything can be done with it. */
function storedBodyOf(url: URL, copied: Copied | undefined): StoredBody | undefined {
  const answer = copied?.answer && StoredAnswer.from(url, copied.answer);
  if (copied === undefined || answer === undefined) return undefined;
  const isWhole = copied.outcome?.reason === 'finished';
  return isWhole || answer.strongValidator !== undefined ? { copied, answer, isWhole } : undefined;
}

/**
 * Whether an answer is the same for whoever asks with no cookies and the like: what else a user's request says was not
 * asked.
 */
function isForAnybody({ headers: { vary = '' } }: OpenAnswer): boolean {
  const names = vary.split(',').map((name) => name.trim().toLowerCase());
  return names.every((name) => NOT_SENT.includes(name));
}

function headersFor({ copied, answer, isWhole }: StoredBody): Readonly<Record<string, string>> {
  if (isWhole) return answer.conditions;
  return { range: `bytes=${copied.size}-`, 'if-range': answer.strongValidator as string };
}

/** The rest of a body; undefined when an answer is something else, or may be of another body. */
function partOf(
  { status, headers }: AnswerHead,
  position: number,
  answer: StoredAnswer,
  size = answer.size,
): { length: number; total: number } | undefined {
  const [, start, end, total] = CONTENT_RANGE.exec(headers['content-range'] ?? '') ?? [];
  const isRest =
    status === 206 &&
    Number(start) === position &&
    Number(end) + 1 === Number(total) &&
    (size === undefined || Number(total) === size) &&
    answer.hasPart(headers) &&
    (headers['content-encoding'] ?? 'identity') === 'identity';
  return isRest ? { length: Number(total) - position, total: Number(total) } : undefined;
}
