import type { LiveResources } from './live-resources.ts';
import type { ReadTransport } from './numbers.ts';
import type { Resource } from './resource.ts';
import { Session } from './sessions/session.ts';

/** From so many bytes on that a follower does not have it is behind. */
const BEHIND_BYTES = 1024 * 1024;

/** How far followers are behind. */
export interface Lag {
  /** How many of them. */
  behind: number;
  /** How many bytes the one does not have that is behind the most. */
  maxBytes: number;
}

/** What is live, altogether. */
export interface LiveTotals {
  resources: number;
  /** How many appends last, */
  appenders: number;
  /** and how many of these wait for their clients. */
  waiting: number;
  lags: ReadonlyMap<ReadTransport, Lag>;
}

/** What is live, for an operator. Nothing is kept for that: whoever asks has all of it looked at. */
export class LiveOverview {
  readonly #live: LiveResources;

  constructor(live: LiveResources) {
    this.#live = live;
  }

  /** What is live, each with the append that lasts. It may change between two. */
  *resources(): Generator<{ resource: Resource; session: Session | undefined }, void, undefined> {
    for (const resource of this.#live.all()) {
      const { claimant } = resource;
      yield { resource, session: claimant instanceof Session ? claimant : undefined };
    }
  }

  /** Counts all of it, in one turn. */
  totals(): LiveTotals {
    const lags = new Map<ReadTransport, Lag>();
    const totals = { resources: 0, appenders: 0, waiting: 0, lags };
    for (const { resource, session } of this.resources()) {
      totals.resources++;
      if (session !== undefined) totals.appenders++;
      if (session?.feed.isWaiting) totals.waiting++;
      const { feed } = resource;
      if (feed === undefined) continue;
      for (const { sink, position } of feed.readers) {
        const bytes = feed.committed - position;
        const { transport } = sink.numbers;
        const lag = lags.get(transport) ?? { behind: 0, maxBytes: 0 };
        if (bytes > BEHIND_BYTES) lag.behind++;
        if (bytes > lag.maxBytes) lag.maxBytes = bytes;
        lags.set(transport, lag);
      }
    }
    return totals;
  }
}
