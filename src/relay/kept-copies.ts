import type { Core } from '../core/core.ts';
import { ResourcePath } from '../wire/resource-path.ts';
import { LocalCopy } from './local-copy.ts';

/** One of them. */
interface KeptCopy {
  path: ResourcePath;
  size: number;
}

/** The copies that are kept, and how many bytes these are. When they are too many, those go first that were read longest ago. */
export class KeptCopies {
  readonly #core: Core;
  readonly #maxBytes: number;
  /** By path, those that were read last at the end. */
  readonly #copies = new Map<string, KeptCopy>();
  #bytes = 0;
  #evicting: Promise<void> | undefined;
  /** The one that is being deleted. */
  #dropping: { key: string; done: Promise<boolean> } | undefined;

  /** @param maxBytes how many are kept */
  constructor(core: Core, maxBytes: number) {
    this.#core = core;
    this.#maxBytes = maxBytes;
  }

  /** Whether there may be too many at all. */
  get isBounded(): boolean {
    return this.#maxBytes < Number.MAX_SAFE_INTEGER;
  }

  /** Finds those that a server before this one has kept. Those that were changed last count as read last. Never rejects. */
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
    const known = [...this.#copies.values()];
    this.#copies.clear();
    this.#bytes = 0;
    for (const { path, size } of [...found, ...known]) this.used(path, size);
  }

  /**
   * Tells that one is read.
   *
   * @param size how many bytes it has by now. Default: as many as before
   */
  used(path: ResourcePath, size?: number): void {
    const before = this.#copies.get(path.key);
    if (!this.isBounded || (before === undefined && size === undefined)) return;
    const copy = { path, size: size ?? (before as KeptCopy).size };
    this.#bytes += copy.size - (before?.size ?? 0);
    this.#copies.delete(path.key);
    this.#copies.set(path.key, copy);
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
    if (this.#bytes <= this.#maxBytes) return Promise.resolve();
    this.#evicting ??= this.#evict(isLive, evicted).finally(() => {
      this.#evicting = undefined;
    });
    return this.#evicting;
  }

  async #evict(
    isLive: (path: ResourcePath) => boolean,
    evicted: (path: ResourcePath) => void,
  ): Promise<void> {
    for (const { path, size } of [...this.#copies.values()]) {
      if (this.#bytes <= this.#maxBytes) return;
      if (isLive(path)) continue;
      const done = this.#drop(path);
      this.#dropping = { key: path.key, done };
      const isGone = await done;
      this.#dropping = undefined;
      if (!isGone) continue;
      this.#copies.delete(path.key);
      this.#bytes -= size;
      evicted(path);
    }
  }

  /** @returns whether it is gone, or not to be deleted; else it is tried again the next time */
  async #drop(path: ResourcePath): Promise<boolean> {
    const copy = new LocalCopy(this.#core, path);
    try {
      // What is this server's own by now is nobody's to delete.
      await copy.forget();
      return true;
    } catch {
      return false;
    }
  }
}
