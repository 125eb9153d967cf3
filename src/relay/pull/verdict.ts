import {
  RelayLoopError,
  ResourceNotFoundError,
  StreamGoneError,
  type UpstreamRefusalError,
} from '../../wire/errors.ts';
import { CHECKED_MS } from '../copies/stored-answer.ts';

/** A pull that has failed is not repeated sooner than so long after it. */
export const FAILED_MS = 1000;

/** For so long it is believed that something is not there. */
const MISSING_MS = 5000;

/** For so long what is not to be stored is passed on without a look. */
const UNSTORED_MS = 10_000;

/** And for so long what is longer than may be kept: to find that out costs as much as may be kept. */
const TOO_LONG_MS = 3_600_000;

/** Why something is not kept, as the log tells it. */
export const TOO_LONG = 'longer than may be kept';

/** How the copy here came to be what it is, in the words of RFC 9211. */
export type CacheUse =
  /** Nobody had to be asked. */
  | 'hit'
  /** It was not here. */
  | 'fwd=uri-miss; fwd-status=200; stored'
  /** It was here, and something else is there. */
  | 'fwd=stale; fwd-status=200; stored'
  /** A part of it was here. */
  | 'fwd=partial; fwd-status=206; stored'
  | 'fwd=partial; fwd-status=200; stored'
  /** It was here, and still holds. */
  | 'fwd=stale; fwd-status=304'
  /** It was here, and nobody could be asked. */
  | 'fwd=stale';

/** What a pull has found out, for those who wait for it, and for those who ask within `forMs` after its end. */
export type Verdict = (
  | {
      /** It can be read from here. */
      kind: 'stored';
      use: CacheUse;
      /** Whether it is a local file, which does not come from anywhere. */
      isLocal?: boolean;
    }
  /**
   * It is not kept here: requests are passed on. Who has asked first to follow it is told the refusal, if there is one.
   */
  | { kind: 'bypass'; why: string; refusal?: UpstreamRefusalError | undefined }
  /** It cannot be had. */
  | { kind: 'failed'; error: unknown }
  /** Nothing: who asks is the first to ask. */
  | { kind: 'unknown' }
) & {
  forMs: number;
};

export const UNKNOWN: Verdict = { kind: 'unknown', forMs: 0 };

/** It can be read from here, as it was found, for a moment. */
export function stored(use: CacheUse, forMs = CHECKED_MS): Verdict {
  return { kind: 'stored', use, forMs };
}

/** It is a local file. */
export const LOCAL: Verdict = { kind: 'stored', use: 'hit', isLocal: true, forMs: CHECKED_MS };

/** It is not to be stored. */
export function unstored(why: string): Verdict {
  return { kind: 'bypass', why, forMs: why === TOO_LONG ? TOO_LONG_MS : UNSTORED_MS };
}

/**
 * The server answers with an error, which is for those who ask.
 *
 * @param forMs how long it is not asked again what it is. Default: it may be over
 * @param refusal what it has said to a request to follow
 */
export function refused(why: string, forMs = 0, refusal?: UpstreamRefusalError): Verdict {
  return { kind: 'bypass', why, forMs, refusal };
}

export function failed(error: unknown): Verdict {
  const isAbsent = error instanceof ResourceNotFoundError || error instanceof StreamGoneError;
  return { kind: 'failed', error, forMs: isAbsent ? MISSING_MS : FAILED_MS };
}

/** Whether it has been found out by asking the server there. */
export function isValidated(verdict: Verdict): boolean {
  return verdict.kind !== 'stored' || !['hit', 'fwd=stale'].includes(verdict.use);
}

/** Whether there is nothing, which some wait for. */
export function isMissing(verdict: Verdict): boolean {
  return verdict.kind === 'failed' && verdict.error instanceof ResourceNotFoundError;
}

/** Whether it is about the way by which the request has come, and says nothing to others. */
export function isAboutTheWay(verdict: Verdict): boolean {
  return verdict.kind === 'failed' && verdict.error instanceof RelayLoopError;
}
