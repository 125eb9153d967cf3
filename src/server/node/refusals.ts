import type { Server } from 'node:http';

const ofServer = new WeakMap<Server, Refusals>();

/** How often a server has refused something, by reason: one for each server, whoever refuses. */
export class Refusals {
  readonly #counts = new Map<string, number>();

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

  /** @param reason one of few: the name of a limit, or a code */
  count(reason: string): void {
    this.#counts.set(reason, this.countOf(reason) + 1);
  }

  /** How often for a reason. */
  countOf(reason: string): number {
    return this.#counts.get(reason) ?? 0;
  }

  /** All reasons so far. */
  get all(): ReadonlyMap<string, number> {
    return this.#counts;
  }
}
