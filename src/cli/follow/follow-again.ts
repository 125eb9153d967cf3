import { setTimeout as delay } from 'node:timers/promises';
import {
  ConnectionError,
  ConnectionLostError,
  ProtocolError,
  RangeNotSatisfiableError,
  ResourceGoneError,
  ResourceNotFoundError,
  StreamInterruptedError,
  StreamTruncatedError,
  UnexpectedStatusError,
} from '../../wire/errors.ts';
import { messageOf } from '../io/io.ts';
import { type FollowResourceOptions, failFollowing, stopFollowing } from './follow-once.ts';
import { FollowPass, type PassStart } from './follow-pass.ts';

const INTERVAL_MS = 1000;

/** Refusals of who asked too slowly or too often: the next time may be the right one. */
const ASKING_LATER: readonly number[] = [408, 429];

/** How many files that took each other's place are gone through without a pause: a server holds no more. */
const MAX_HOPS = 8;

/** How long the server holds what was followed: a connection may be away for some time. */
const HOLD_SECONDS = 60;

/**
 * Follows a resource over all its appenders, as `tail -F` does: after each end
 * asks again, from where it was; begins anew with a file that was cut or made anew,
 * when it has had the rest of the old one. What cannot be had is told.
 *
 * @returns the exit code, when it cannot go on
 * @throws the signal's reason
 */
export async function followAgain(url: string, options: FollowResourceOptions): Promise<number> {
  return new PersistentFollow(url, options).run();
}

class PersistentFollow {
  readonly #url: string;
  readonly #options: FollowResourceOptions;
  #start: PassStart;
  /** What is followed has no name any more; there may still be written to it. */
  #isNameless = false;
  /** It was there at some time. */
  #wasThere = false;
  /** What is wrong for the time being, so that it is told once. */
  #trouble: 'missing' | 'unreachable' | undefined;
  /** It was interrupted and has brought nothing since, which was told. */
  #isBarren = false;
  /** What to say when it is open the next time. */
  #news: string | undefined;

  constructor(url: string, options: FollowResourceOptions) {
    this.#url = url;
    this.#options = options;
    this.#start = { ...options.start, hold: HOLD_SECONDS };
  }

  async run(): Promise<number> {
    const { signal, logVerbose } = this.#options;
    logVerbose(`following data at ${this.#url} (ctrl-C to exit)`);
    let hops = 0;
    for (;;) {
      const pass = new FollowPass(this.#url, { ...this.#options, onOpen: () => this.#opened() });
      const error = await pass.run(this.#start).then(
        () => undefined,
        (thrown: unknown) => thrown,
      );
      if (signal.aborted) stopFollowing(pass, this.#options);
      if (pass.isOpen) this.#goOnAfter(pass);
      if (isBroken(error)) this.#interrupted(error, pass);
      const mayBeginAnew = this.#options.file === undefined && this.#wasThere;
      if (mayBeginAnew && error instanceof ResourceGoneError) {
        this.#replaced(pass);
        if (pass.ending.next !== undefined && hops++ < MAX_HOPS) continue;
      } else if (mayBeginAnew && isCut(error)) this.#cut(pass);
      else if (error instanceof ResourceNotFoundError && this.#start.generation !== undefined) {
        // The server tells those who name a generation that it is gone: this is a proxy's answer.
        this.#unreachable(error);
      } else if (error instanceof ResourceNotFoundError && this.#mayWait) this.#missing(error);
      else if (isUnreachable(error)) this.#unreachable(error);
      else if (error !== undefined && !isBroken(error)) {
        return failFollowing(this.#url, pass, this.#failureOf(error), {
          ...this.#options,
          start: this.#start,
        });
      }
      hops = 0;
      await delay(pauseAfter(error), undefined, { signal }).catch(() => signal.throwIfAborted());
    }
  }

  /** Whether what appears where nothing is may be followed: not where a file holds the one that was there. */
  get #mayWait(): boolean {
    return this.#options.file === undefined || !this.#wasThere;
  }

  #failureOf(error: unknown): unknown {
    if (!(error instanceof ResourceNotFoundError)) return error;
    return new ResourceGoneError('the file was deleted', { cause: error });
  }

  #opened(): void {
    if (this.#trouble === 'unreachable') this.#tell(this.#wasThere ? ': connected again' : ': connected');
    this.#trouble = this.#isNameless ? 'missing' : undefined;
    if (this.#isNameless) return;
    if (this.#news !== undefined) this.#tell(this.#news);
    this.#news = undefined;
    this.#wasThere = true;
  }

  #goOnAfter(pass: FollowPass): void {
    const { position: from, generation } = pass;
    this.#start = { from, hold: HOLD_SECONDS, ...(generation !== undefined && { generation }) };
    if (pass.bytes === 0) return;
    this.#isBarren = false;
    const reason = pass.reason ?? 'ended';
    this.#options.logVerbose(`${this.#url}: ${reason} (read ${pass.bytes} bytes); asking again`);
  }

  /** Told when asking again brings nothing but the same: it may be a server that breaks the rules, and for ever. */
  #interrupted(error: Error, { bytes }: FollowPass): void {
    if (bytes > 0 || this.#isBarren) return;
    this.#isBarren = true;
    this.#tell(`: ${messageOf(error)}; asking again`);
  }

  #replaced(pass: FollowPass): void {
    const { from = 0 } = this.#start;
    const { next, gap = false } = pass.ending;
    if (pass.isOpen && next === undefined) {
      // There may be another file by now: who asks again is told.
      if (!pass.wasLive) this.#nameless();
      return;
    }
    if (next === undefined)
      this.#tell(`: what was written since byte ${from} of the old file is lost, if anything was`);
    else if (gap)
      this.#tell(': more may have been written in between, to the old file or to others; that is lost');
    this.#news ??= ' has been replaced; following the new file';
    this.#beginAnew(next);
  }

  #cut(pass: FollowPass): void {
    const { from = 0, generation } = this.#start;
    const { lost } = pass.ending;
    this.#news = undefined;
    this.#tell(': file truncated');
    if (lost !== undefined)
      this.#tell(`: at least ${lost} bytes from byte ${from} on were cut off before they were read`);
    else if (!pass.wasLive)
      this.#tell(`: what was cut off after byte ${from} before it was read is lost, if anything was`);
    this.#beginAnew(generation);
  }

  #beginAnew(generation: number | undefined): void {
    this.#start = { from: 0, hold: HOLD_SECONDS, ...(generation !== undefined && { generation }) };
    this.#isNameless = false;
  }

  /** Goes on with what is still written to a file that is not at its path any more, until another one is. */
  #nameless(): void {
    this.#isNameless = true;
    this.#tellMissing('file does not exist');
  }

  #missing(error: Error): void {
    // What a file holds is taken for the beginning of what will appear.
    if (this.#options.file === undefined) this.#beginAnew(undefined);
    this.#tellMissing(error.message);
  }

  #tellMissing(why: string): void {
    this.#news = ' has appeared; following the new file';
    if (this.#trouble === 'missing') return;
    this.#trouble = 'missing';
    if (this.#wasThere) this.#tell(` has become inaccessible: ${why}`);
    else this.#tell(`: ${why}; waiting for it`);
  }

  #unreachable(error: Error): void {
    if (this.#trouble === 'unreachable') return;
    this.#trouble = 'unreachable';
    this.#tell(` cannot be reached: ${messageOf(error)}; trying again`);
  }

  #tell(text: string): void {
    this.#options.log(`httpfstream-follow: ${this.#url}${text}`);
  }
}

function isCut(error: unknown): boolean {
  return error instanceof StreamTruncatedError || error instanceof RangeNotSatisfiableError;
}

/** Whether the stream, or what the server said of it, broke off: the next one may be whole. */
function isBroken(error: unknown): error is Error {
  return error instanceof StreamInterruptedError || error instanceof ProtocolError;
}

/** Whether the server is away for a while, and not of another opinion. */
function isUnreachable(error: unknown): error is Error {
  if (error instanceof UnexpectedStatusError)
    return error.status >= 500 || ASKING_LATER.includes(error.status);
  return error instanceof ConnectionError || error instanceof ConnectionLostError;
}

/** How long to wait before asking again, in milliseconds: as long as the server wants it. */
function pauseAfter(error: unknown): number {
  const wantedMs = error instanceof UnexpectedStatusError ? error.retryAfterMs : undefined;
  return Math.max(INTERVAL_MS, wantedMs ?? 0);
}
