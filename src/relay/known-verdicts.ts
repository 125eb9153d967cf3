import type { ResourcePath } from '../wire/resource-path.ts';
import type { Verdict } from './pull/verdict.ts';
import { holdsFor, type Wanted } from './readiness.ts';

/** About how many paths something is known. */
const MAX_KNOWN = 4096;

/** What was found out of a path, and holds for a while. */
interface Known {
  untilMs: number;
  verdict: Verdict;
  /** The servers through which the request had come. */
  via: string;
}

/** What was found out a moment ago, for those who ask next. */
export class KnownVerdicts {
  /** By path, the newest ones last. */
  readonly #known = new Map<string, Known>();

  /** Remembers what was found out for one who has asked by way of these servers. */
  add({ key }: ResourcePath, verdict: Verdict, via: string): void {
    this.#known.delete(key);
    this.#known.set(key, { untilMs: performance.now() + verdict.forMs, verdict, via });
    if (this.#known.size > MAX_KNOWN) this.#known.delete(this.#known.keys().next().value as string);
  }

  /** What holds for somebody who asks by way of these servers. */
  get({ key }: ResourcePath, asker: Wanted, via: string): Verdict | undefined {
    const known = this.#known.get(key);
    if (known === undefined) return undefined;
    if (known.untilMs <= performance.now()) this.#known.delete(key);
    else if (holdsFor(known.verdict, known.via, asker, via)) return known.verdict;
    return undefined;
  }

  /** Forgets what is old. */
  delete({ key }: ResourcePath): void {
    this.#known.delete(key);
  }
}
