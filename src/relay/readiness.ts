import type { Asker } from './pull/asker.ts';
import type { Fetched } from './pull/copying.ts';
import type { Overflow } from './pull/overflow.ts';
import { isAboutTheWay, isMissing, isValidated, stored, type Verdict } from './pull/verdict.ts';
import type { OpenAnswer } from './upstream/open-answer.ts';

/** What is no answer for everybody. */
export type Wanted = Pick<Asker, 'waitMs' | 'revalidates'>;

/** Everything is here that is there, as far as that is known. */
export interface Stored {
  way: 'stored';
  /** How it has come to be here (RFC 9211); empty if it is a local file. */
  cacheStatus: string;
}

/** It is being fetched, and what has come of it can be read. */
export interface Coming {
  way: 'coming';
  cacheStatus: string;
  fetched: Fetched;
  /** What comes of it beyond what may be kept, for who has asked first. */
  overflow?: Overflow | undefined;
}

/** It is read from here. */
export type Served = Stored | Coming;

/** What becomes of a request for a path. */
export type Readiness =
  | Served
  /** It is not there, and is waited for. */
  | { way: 'missing' }
  /** It is not kept, and this is the answer. */
  | { way: 'answer'; answer: OpenAnswer }
  /** It is to be passed on. */
  | { way: 'pass' };

/** It is for the upstream, which knows more. */
export const PASS: Readiness = { way: 'pass' };

/** What is here is served though nobody can be asked. */
export const STALE = stored('fwd=stale');

/** @throws why it has failed */
export function readinessOf(
  verdict: Verdict,
  cacheStatus: string = verdict.kind === 'stored' ? verdict.use : '',
): Readiness {
  if (verdict.kind === 'failed') throw verdict.error;
  if (verdict.kind !== 'stored') return PASS;
  return { way: 'stored', cacheStatus: verdict.isLocal === true ? '' : cacheStatus };
}

/** What is here of what is being fetched. */
export function comingOf(fetched: Fetched, isFirst: boolean): Coming {
  const joined = isFirst ? '' : '; collapsed';
  return { way: 'coming', cacheStatus: `fwd=${fetched.forwarded}; stored${joined}`, fetched };
}

/** Whether it is read from here. */
export function isServed(readiness: Readiness): readiness is Served {
  return readiness.way === 'stored' || readiness.way === 'coming';
}

/** Whether everything is here that was there when it was asked for. */
export function isCaughtUp(here: Served): boolean {
  if (here.way === 'stored') return true;
  const { size, committed } = here.fetched;
  return size !== undefined && committed >= size;
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

/** @throws {UpstreamRefusalError} when that is the answer to one who follows */
export function assertNotRefused(verdict: Verdict, { asksTo }: Asker): void {
  const isFollow = asksTo === 'follow' || asksTo === 'connect';
  if (isFollow && verdict.kind === 'bypass' && verdict.refusal !== undefined) throw verdict.refusal;
}
