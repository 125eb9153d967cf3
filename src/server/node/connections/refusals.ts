import type { Server } from 'node:http';

/** All reasons: the names of limits, and what else is wrong. docs/metrics.md has what they mean. */
export const REFUSAL_REASONS = [
  'credential',
  'right',
  'origin',
  'host',
  'path',
  'malformed',
  'head_size',
  'head_time',
  'body_size',
  'body_idle',
  'resource_size',
  'quota',
  'disk_full',
  'busy',
  'closing',
  'descriptors',
  'rate',
  'credentials',
  'waiting',
  'live',
  'followers',
  'searches',
  'connections',
  'connections_per_address',
] as const;

export type RefusalReason = (typeof REFUSAL_REASONS)[number];

const ofServer = new WeakMap<Server, Refusals>();

/** How often a server has refused something, by reason: one for each server, whoever refuses. */
export class Refusals {
  /** From 0 on, so that the first one of a kind is seen to be more than there were. */
  readonly #counts = new Map<RefusalReason, number>(REFUSAL_REASONS.map((reason) => [reason, 0]));

  private constructor() {}

  /** The one for `server`, made by the first call. */
  static of(server: Server): Refusals {
    let refusals = ofServer.get(server);
    if (refusals === undefined) {
      refusals = new Refusals();
      ofServer.set(server, refusals);
    }
    return refusals;
  }

  count(reason: RefusalReason): void {
    this.#counts.set(reason, this.countOf(reason) + 1);
  }

  /** How often for a reason. */
  countOf(reason: RefusalReason): number {
    return this.#counts.get(reason) ?? 0;
  }

  /** By reason. */
  get all(): ReadonlyMap<RefusalReason, number> {
    return this.#counts;
  }
}
