import type { Core } from '../../core/core.ts';
import { ResourcePath } from '../../wire/resource-path.ts';
import { CopyLedger } from './copy-ledger.ts';
import { LocalCopy } from './local-copy.ts';

/** The copies that are kept. When they are too many bytes, those go first that were read longest ago. */
export class KeptCopies {
  readonly #core: Core;
  readonly #maxBytes: number;
  readonly #ledger: CopyLedger;
  #evicting: Promise<void> | undefined;
  /** The one that is being deleted. */
  #dropping: { key: string; done: Promise<boolean> } | undefined;

  /** @param maxBytes how many are kept */
  constructor(core: Core, maxBytes: number) {
    this.#core = core;
    this.#maxBytes = maxBytes;
    this.#ledger = new CopyLedger(this.isBounded);
  }

  /** Whether there may be too many at all. */
  get isBounded(): boolean {
    return this.#maxBytes < Number.MAX_SAFE_INTEGER;
  }

  /** The one at a path: whoever makes and drops it does so here, where it is counted. */
  at(path: ResourcePath): LocalCopy {
    return new LocalCopy(this.#core, path, this.#ledger);
  }

  /**
   * Finds those that a server before this one has kept. Those that were changed last count as read last. Never rejects.
   */
  async find(): Promise<void> {
    const found: { path: ResourcePath; size: number; changedNs: bigint }[] = [];
    try {
      for await (const { record } of this.#core.records.files()) {
        if (record.stream?.copyOf === undefined) continue;
        const path = ResourcePath.parse(record.path);
        const stat = await this.#core.root.stat(path).catch(() => undefined);
        if (stat?.kind === 'file') found.push({ path, size: stat.size, changedNs: stat.mtimeNs });
      }
    } catch {
      // Those that are read again are found then.
    }
    found.sort((a, b) => (a.changedNs < b.changedNs ? -1 : 1));
    const known = [...this.#ledger.copies];
    for (const { path, size } of found) this.#ledger.has(path, size);
    for (const { path } of known) this.#ledger.read(path);
  }

  /**
   * Whether there is one of what a server of ours has. Never rejects.
   *
   * @param isThere whether a URL is one of that server's
   */
  async hasFollowed(isThere: (url: string) => boolean): Promise<boolean> {
    try {
      for await (const { record } of this.#core.records.files()) {
        const { stream, answer, copiedFrom } = record;
        if (stream?.copyOf === undefined || answer !== undefined || copiedFrom === undefined) continue;
        if (isThere(copiedFrom)) return true;
      }
    } catch {
      // It is asked what it is.
    }
    return false;
  }

  /** Tells that one is read. */
  read(path: ResourcePath): void {
    this.#ledger.read(path);
  }

  /** Tells how many bytes one has by now. */
  grown(path: ResourcePath, size: number): void {
    this.#ledger.grown(path, size);
  }

  /** Resolves when one that is being deleted is gone; undefined of all others. */
  dropping({ key }: ResourcePath): Promise<unknown> | undefined {
    return this.#dropping?.key === key ? this.#dropping.done : undefined;
  }

  /**
   * Deletes as many as there are too many. Never rejects.
   *
   * @param isLive whether one is being fetched: it stays
   * @param evicted called with each that is gone
   */
  evict(isLive: (path: ResourcePath) => boolean, evicted: (path: ResourcePath) => void): Promise<void> {
    if (this.#ledger.bytes <= this.#maxBytes) return Promise.resolve();
    this.#evicting ??= this.#evict(isLive, evicted).finally(() => {
      this.#evicting = undefined;
    });
    return this.#evicting;
  }

  async #evict(
    isLive: (path: ResourcePath) => boolean,
    evicted: (path: ResourcePath) => void,
  ): Promise<void> {
    for (const { path } of this.#ledger.copies) {
      if (this.#ledger.bytes <= this.#maxBytes) return;
      if (isLive(path)) continue;
      const done = this.#drop(path);
      this.#dropping = { key: path.key, done };
      const isGone = await done;
      this.#dropping = undefined;
      if (isGone) evicted(path);
    }
  }

  /** @returns whether it is gone, or not to be deleted; else it is tried again the next time */
  async #drop(path: ResourcePath): Promise<boolean> {
    try {
      // What is this server's own by now is nobody's to delete.
      await this.at(path).forget();
      this.#ledger.dropped(path);
      return true;
    } catch {
      return false;
    }
  }
}
