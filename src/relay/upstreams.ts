import type { Core } from '../core/core.ts';
import type { ResourcePath } from '../wire/resource-path.ts';
import { Upstream } from './upstream/upstream.ts';
import type { UpstreamOption } from './upstream/upstream-option.ts';

/** That it is one is noted again no sooner than so long after the last time. */
const NOTED_MS = 3_600_000;

/** The servers from which paths come, and which of them are known to be httpfstream servers, over restarts, too. */
export class Upstreams {
  readonly #core: Core;
  /** Those with the longest prefixes first. */
  readonly #upstreams: readonly Upstream[];
  /** When it was noted last, in milliseconds since 1970, of those of which that was recalled. */
  readonly #notedMs = new Map<Upstream, number>();

  constructor(options: readonly UpstreamOption[], core: Core) {
    this.#core = core;
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

  /**
   * Recalls, once, whether a server was an httpfstream server before this process began.
   *
   * @throws what {@link Records.upstreamKnownMs} throws: it is tried again the next time
   */
  async recall(upstream: Upstream): Promise<void> {
    if (this.#notedMs.has(upstream)) return;
    const { records } = this.#core;
    await records.readable();
    const notedMs = records.upstreamKnownMs(upstream.href) ?? 0;
    upstream.recallHttpfstream(notedMs);
    this.#notedMs.set(upstream, notedMs);
  }

  /** Notes, for a process after this one, that a server is an httpfstream server, if it is. Never rejects. */
  async note(upstream: Upstream): Promise<void> {
    const { records, store } = this.#core;
    const nowMs = Date.now();
    const beforeMs = this.#notedMs.get(upstream) ?? 0;
    if (upstream.kind !== 'httpfstream' || Math.abs(nowMs - beforeMs) < NOTED_MS) return;
    this.#notedMs.set(upstream, nowMs);
    try {
      const note = { durable: store.isDurable };
      await records.write((draft) => draft.setUpstreamKnown(upstream.href, nowMs), note);
    } catch {
      // The next one who asks has it tried again.
      this.#notedMs.set(upstream, beforeMs);
    }
  }
}
