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

/** Refusals of requests that came too slowly or too often. */
const RETRIABLE: readonly number[] = [408, 429];

/** How many successive replacements to follow without a pause: a server holds no more files. */
const MAX_REPLACEMENTS = 8;

/** How long the server keeps the file open after a connection breaks. */
const HOLD_SECONDS = 60;

/**
 * Follows a resource over all its appenders, as `tail -F` does: reconnects after each
 * end, at its position; when the file was cut or replaced, reads the rest of the old
 * one and starts again at the beginning of the new one. Bytes that are lost are reported.
 *
 * @returns the exit code, when the resource cannot be followed any further
 * @throws the signal's reason
 */
export async function followAgain(url: string, options: FollowResourceOptions): Promise<number> {
  return new PersistentFollow(url, options).run();
}

class PersistentFollow {
  readonly #url: string;
  readonly #options: FollowResourceOptions;
  #start: PassStart;
  /** Whether the file was deleted or renamed while it is followed; it may still be written to. */
  #isUnlinked = false;
  /** Whether the resource has existed at some time. */
  #hasExisted = false;
  /** What is wrong at the moment, so that it is reported once. */
  #trouble: 'missing' | 'unreachable' | undefined;
  /** Whether an interruption without any bytes since was reported. */
  #isInterruptionReported = false;
  /** What to report when the file is open. */
  #pendingReport: string | undefined;

  constructor(url: string, options: FollowResourceOptions) {
    this.#url = url;
    this.#options = options;
    this.#start = { ...options.start, hold: HOLD_SECONDS };
  }

  async run(): Promise<number> {
    const { signal, log } = this.#options;
    log.verbose(`following data at ${this.#url} (ctrl-C to exit)`);
    let replacements = 0;
    for (;;) {
      const pass = new FollowPass(this.#url, { ...this.#options, onOpen: () => this.#opened() });
      const error = await pass.run(this.#start).then(
        () => undefined,
        (thrown: unknown) => thrown,
      );
      if (signal.aborted) stopFollowing(pass, this.#options);
      if (pass.isOpen) this.#continueAfter(pass);
      if (isBroken(error)) this.#interrupted(error, pass);
      const mayStartAgain = this.#options.file === undefined && this.#hasExisted;
      if (mayStartAgain && error instanceof ResourceGoneError) {
        this.#replaced(pass);
        if (pass.ending.next !== undefined && replacements++ < MAX_REPLACEMENTS) continue;
      } else if (mayStartAgain && isCut(error)) this.#cut(pass);
      else if (error instanceof ResourceNotFoundError && this.#start.generation !== undefined) {
        // The server answers 410 to requests that name a generation: this answer comes from a proxy.
        this.#unreachable(error);
      } else if (error instanceof ResourceNotFoundError && this.#mayWait) this.#missing(error);
      else if (isUnreachable(error)) this.#unreachable(error);
      else if (error !== undefined && !isBroken(error)) {
        return failFollowing(this.#url, pass, this.#failureOf(error), {
          ...this.#options,
          start: this.#start,
        });
      }
      replacements = 0;
      await delay(pauseAfter(error), undefined, { signal }).catch(() => signal.throwIfAborted());
    }
  }

  /** Whether to wait for a new file: not if the output file contains an old one. */
  get #mayWait(): boolean {
    return this.#options.file === undefined || !this.#hasExisted;
  }

  #failureOf(error: unknown): unknown {
    if (!(error instanceof ResourceNotFoundError)) return error;
    return new ResourceGoneError('the file was deleted', { cause: error });
  }

  #opened(): void {
    if (this.#trouble === 'unreachable') this.#report(this.#hasExisted ? ': connected again' : ': connected');
    this.#trouble = this.#isUnlinked ? 'missing' : undefined;
    if (this.#isUnlinked) return;
    if (this.#pendingReport !== undefined) this.#report(this.#pendingReport);
    this.#pendingReport = undefined;
    this.#hasExisted = true;
  }

  #continueAfter(pass: FollowPass): void {
    const { position: from, generation } = pass;
    this.#start = { from, hold: HOLD_SECONDS, ...(generation !== undefined && { generation }) };
    if (pass.bytes === 0) return;
    this.#isInterruptionReported = false;
    const reason = pass.reason ?? 'ended';
    this.#options.log.verbose(`${this.#url}: ${reason} (read ${pass.bytes} bytes); asking again`);
  }

  /** Reported if reconnecting has brought nothing: the server may violate the protocol for ever. */
  #interrupted(error: Error, { bytes }: FollowPass): void {
    if (bytes > 0 || this.#isInterruptionReported) return;
    this.#isInterruptionReported = true;
    this.#report(`: ${messageOf(error)}; asking again`);
  }

  #replaced(pass: FollowPass): void {
    const { from = 0 } = this.#start;
    const { next, gap = false } = pass.ending;
    if (pass.isOpen && next === undefined) {
      // There may be a new file by now: the next request will tell.
      if (!pass.wasLive) this.#unlinked();
      return;
    }
    if (next === undefined)
      this.#report(`: what was written since byte ${from} of the old file is lost, if anything was`);
    else if (gap)
      this.#report(': more may have been written in between, to the old file or to others; that is lost');
    this.#pendingReport ??= ' has been replaced; following the new file';
    this.#startAgain(next);
  }

  #cut(pass: FollowPass): void {
    const { from = 0, generation } = this.#start;
    const { lost } = pass.ending;
    this.#pendingReport = undefined;
    this.#report(': file truncated');
    if (lost !== undefined)
      this.#report(`: at least ${lost} bytes from byte ${from} on were cut off before they were read`);
    else if (!pass.wasLive)
      this.#report(`: what was cut off after byte ${from} before it was read is lost, if anything was`);
    this.#startAgain(generation);
  }

  #startAgain(generation: number | undefined): void {
    this.#start = { from: 0, hold: HOLD_SECONDS, ...(generation !== undefined && { generation }) };
    this.#isUnlinked = false;
  }

  /** Keeps following a file that is no longer at its path, until there is a new one. */
  #unlinked(): void {
    this.#isUnlinked = true;
    this.#reportMissing('file does not exist');
  }

  #missing(error: Error): void {
    // An output file is assumed to contain the beginning of the new file.
    if (this.#options.file === undefined) this.#startAgain(undefined);
    this.#reportMissing(error.message);
  }

  #reportMissing(why: string): void {
    this.#pendingReport = ' has appeared; following the new file';
    if (this.#trouble === 'missing') return;
    this.#trouble = 'missing';
    if (this.#hasExisted) this.#report(` has become inaccessible: ${why}`);
    else this.#report(`: ${why}; waiting for it`);
  }

  #unreachable(error: Error): void {
    if (this.#trouble === 'unreachable') return;
    this.#trouble = 'unreachable';
    this.#report(` cannot be reached: ${messageOf(error)}; trying again`);
  }

  #report(text: string): void {
    this.#options.log.write(`httpfstream-follow: ${this.#url}${text}`);
  }
}

function isCut(error: unknown): boolean {
  return error instanceof StreamTruncatedError || error instanceof RangeNotSatisfiableError;
}

/** Whether the stream was interrupted, or the server violated the protocol: the next attempt may succeed. */
function isBroken(error: unknown): error is Error {
  return error instanceof StreamInterruptedError || error instanceof ProtocolError;
}

/** Whether the server is unavailable for the moment, rather than refusing. */
function isUnreachable(error: unknown): error is Error {
  if (error instanceof UnexpectedStatusError) return error.status >= 500 || RETRIABLE.includes(error.status);
  return error instanceof ConnectionError || error instanceof ConnectionLostError;
}

/** How long to wait before the next request, in milliseconds: longer if the server asks for it. */
function pauseAfter(error: unknown): number {
  const wantedMs = error instanceof UnexpectedStatusError ? error.retryAfterMs : undefined;
  return Math.max(INTERVAL_MS, wantedMs ?? 0);
}
