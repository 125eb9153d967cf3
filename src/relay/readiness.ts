import type { Asker } from './pull/asker.ts';
import type { Part } from './pull/copying.ts';
import type { Overflow } from './pull/overflow.ts';
import { isAboutTheWay, isMissing, isValidated, stored, type Verdict } from './pull/verdict.ts';
import { OpenAnswer } from './upstream/open-answer.ts';

/** What is no answer for everybody. */
export type Wanted = Pick<Asker, 'waitMs' | 'revalidates'>;

/** What is here of a path. */
export interface Served extends Part {
  /** Whether everything is here that was there when it was asked for. */
  isCaughtUp: boolean;
  /** How it has come to be here (RFC 9211); empty if it is this server's own. */
  cacheStatus: string;
  /** What comes of it beyond what may be kept, for who has asked first. */
  overflow?: Overflow | undefined;
}

/** What becomes of a request for a path. */
export type Readiness =
  /** It can be read from here. */
  | Served
  /** It is not there, and is waited for. */
  | 'missing'
  /** It is not kept, and this is the answer. */
  | OpenAnswer
  /** It is to be passed on. */
  | undefined;

/** What is here is served though nobody can be asked. */
export const STALE = stored('fwd=stale');

/** Everything is here. */
const ALL: Omit<Served, 'cacheStatus'> = {
  generation: undefined,
  type: undefined,
  committed: Number.POSITIVE_INFINITY,
  size: undefined,
  isPart: false,
  isFinal: false,
  isCaughtUp: true,
};

/** @throws why it has failed */
export function readinessOf(
  verdict: Verdict,
  cacheStatus: string = verdict.kind === 'stored' ? verdict.use : '',
): Served | undefined {
  if (verdict.kind === 'failed') throw verdict.error;
  if (verdict.kind !== 'stored') return undefined;
  return { ...ALL, cacheStatus: verdict.isOwn === true ? '' : cacheStatus };
}

/** What is here of what is being fetched. */
export function servedPart(part: Part, isFirst: boolean): Served {
  return {
    ...part,
    isCaughtUp: part.size !== undefined && part.committed >= part.size,
    cacheStatus: `fwd=uri-miss; stored${isFirst ? '' : '; collapsed'}`,
  };
}

/** How it has come to be here for somebody who has joined. */
export function collapsed(verdict: Verdict): string {
  if (verdict.kind !== 'stored') return '';
  return verdict.use === 'hit' ? verdict.use : `${verdict.use}; collapsed`;
}

/** Whether what was found out for one who has asked by way of these servers is an answer for another one. */
export function holdsFor(verdict: Verdict, via: string, asker: Wanted, asksVia: string): boolean {
  if (verdict.kind === 'unknown') return false;
  if (asker.waitMs > 0 && isMissing(verdict)) return false;
  if (isAboutTheWay(verdict) && via !== asksVia) return false;
  return asker.revalidates !== true || isValidated(verdict);
}

export function isServed(readiness: Readiness): readiness is Served {
  return typeof readiness === 'object' && !(readiness instanceof OpenAnswer);
}

/** @throws {UpstreamRefusalError} when that is the answer to one who follows */
export function assertNotRefused(verdict: Verdict, { asksTo }: Asker): void {
  const isFollow = asksTo === 'follow' || asksTo === 'connect';
  if (isFollow && verdict.kind === 'bypass' && verdict.refusal !== undefined) throw verdict.refusal;
}
