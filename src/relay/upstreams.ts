import type { ResourcePath } from '../wire/resource-path.ts';
import type { Copies } from './copies/copies.ts';
import { Upstream } from './upstream/upstream.ts';
import type { UpstreamOption } from './upstream/upstream-option.ts';

/** The servers from which paths come. */
export class Upstreams {
  readonly #copies: Copies;
  /** Those with the longest prefixes first. */
  readonly #upstreams: readonly Upstream[];
  readonly #recalled = new Map<Upstream, Promise<void>>();

  constructor(options: readonly UpstreamOption[], copies: Copies) {
    this.#copies = copies;
    this.#upstreams = options.map((option) => new Upstream(option)).sort((a, b) => b.depth - a.depth);
  }

  /** Whether they are more than one server. */
  get areSeveral(): boolean {
    return new Set(this.#upstreams.map(({ origin }) => origin)).size > 1;
  }

  /** Where a path comes from; undefined when it is local. */
  of(path: ResourcePath): Upstream | undefined {
    return this.#upstreams.find((upstream) => upstream.covers(path));
  }

  /** Has all of them recalled: who asks first need not wait for that then. */
  recallAll(): void {
    for (const upstream of this.#upstreams) void this.recall(upstream).catch(ignore);
  }

  /**
   * Finds out, once, from what is here of it, what a server was before this process began, unless it is known what it is.
   *
   * @throws {StorageError} and the like when that cannot be found out: it is tried again the next time
   */
  async recall(upstream: Upstream): Promise<void> {
    if (upstream.kind !== undefined) return;
    const recalled = this.#recalled.get(upstream) ?? this.#recall(upstream);
    this.#recalled.set(upstream, recalled);
    await recalled;
  }

  async #recall(upstream: Upstream): Promise<void> {
    try {
      const wasHttpfstream = await this.#copies.hasFollowed((url) => upstream.localPathOf(url) !== undefined);
      if (wasHttpfstream) upstream.recallHttpfstream();
    } catch (error) {
      this.#recalled.delete(upstream);
      throw error;
    }
  }
}

function ignore(): void {}
