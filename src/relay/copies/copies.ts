import type { Core } from '../../core/core.ts';
import { ResourcePath } from '../../wire/resource-path.ts';
import { CopyFile } from './copy-file.ts';
import { CopyLedger } from './copy-ledger.ts';

/**
 * For so long after somebody has asked for one it stays: he may be about to open it, which nothing tells. In
 * milliseconds.
 */
const RECENT_MS = 1000;

/** The copies that are kept. When they are too many bytes, those go first that were read longest ago. */
export class Copies {
  readonly #core: Core;
  readonly #maxBytes: number;
  readonly #ledger: CopyLedger;
  readonly #depthOf: (path: ResourcePath) => number;
  #evicting: Promise<void> | undefined;
  /** Those that are being deleted, by path. */
  readonly #dropping = new Map<string, Promise<void>>();

  /**
   * @param maxBytes how many are kept
   * @param depthOf how many of the names of a path are not of what is copied: directories with these names stay.
   *   Default: none
   */
  constructor(core: Core, maxBytes: number, depthOf: (path: ResourcePath) => number = () => 0) {
    this.#core = core;
    this.#depthOf = depthOf;
    this.#maxBytes = maxBytes;
    this.#ledger = new CopyLedger(this.isBounded);
  }

  /** Whether there may be too many at all. */
  get isBounded(): boolean {
    return this.#maxBytes < Number.MAX_SAFE_INTEGER;
  }

  /** Whether there are too many bytes. */
  get isOverfull(): boolean {
    return this.#ledger.bytes > this.#maxBytes;
  }

  /** The one at a path: whoever makes and drops it does so here, where it is counted. */
  at(path: ResourcePath): CopyFile {
    return new CopyFile(this.#core, path, this.#ledger, this.#depthOf(path));
  }

  /**
   * Finds those that a server before this one has kept. Those that were changed last count as read last.
   *
   * @throws what {@link Records.files} throws: what was not found by then is found when it is read again
   */
  async find(): Promise<void> {
    const found: { path: ResourcePath; size: number; changedNs: bigint }[] = [];
    try {
      for await (const { record } of this.#core.records.files()) {
        if (record.stream?.copy === undefined) continue;
        const path = ResourcePath.parse(record.path);
        const stat = await this.#core.root.stat(path).catch(() => undefined);
        if (stat?.kind === 'file') found.push({ path, size: stat.size, changedNs: stat.mtimeNs });
      }
    } finally {
      found.sort((a, b) => (a.changedNs < b.changedNs ? -1 : 1));
      const known = [...this.#ledger.copies];
      for (const { path, size } of found) {
        // Of what has been fetched meanwhile more is known.
        if (!this.#ledger.knows(path)) this.#ledger.has(path, size, 0);
      }
      for (const { path } of known) this.#ledger.read(path);
    }
  }

  /** Tells that one is read. */
  read(path: ResourcePath): void {
    this.#ledger.read(path);
  }

  /**
   * Resolves when one that is being deleted is gone, or stays after all; undefined of all others. Nothing is to be
   * fetched until then: it would be deleted in the place of what was there. Never rejects.
   */
  dropping({ key }: ResourcePath): Promise<void> | undefined {
    return this.#dropping.get(key)?.catch(ignore);
  }

  /**
   * Deletes one, if it is a copy. It must not be being fetched.
   *
   * @throws what {@link CopyFile.forget} throws
   */
  forget(path: ResourcePath): Promise<void> {
    const { key } = path;
    const running = this.#dropping.get(key);
    if (running !== undefined) return running;
    const done = this.at(path)
      .forget()
      .finally(() => this.#dropping.delete(key));
    this.#dropping.set(key, done);
    return done;
  }

  /**
   * Deletes as many as there are too many, but for those that were read a moment ago. Never rejects.
   *
   * @param isLive whether one is being fetched: it stays
   * @param evicting called with each before it goes
   */
  evict(isLive: (path: ResourcePath) => boolean, evicting: (path: ResourcePath) => void): Promise<void> {
    if (!this.isOverfull) return Promise.resolve();
    this.#evicting ??= this.#evict(isLive, evicting).finally(() => {
      this.#evicting = undefined;
    });
    return this.#evicting;
  }

  async #evict(
    isLive: (path: ResourcePath) => boolean,
    evicting: (path: ResourcePath) => void,
  ): Promise<void> {
    for (const { path, readAtMs } of this.#ledger.copies) {
      if (!this.isOverfull || performance.now() - readAtMs < RECENT_MS) return;
      if (isLive(path)) continue;
      evicting(path);
      // What stays after all is tried again the next time.
      await this.forget(path).catch(ignore);
    }
  }
}

function ignore(): void {}
