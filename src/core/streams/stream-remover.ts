import { setTimeout as delay } from 'node:timers/promises';
import type { FileStat } from '../../storage/file-io.ts';
import { NOT_DURABLE, type Records } from '../../storage/records/records.ts';
import type { StreamLink } from '../../storage/records/stream-state.ts';
import type { Root } from '../../storage/root/root.ts';
import { storageFailure } from '../../storage/storage-failure.ts';
import type { StoredFile } from '../../storage/stored-file.ts';
import { OutcomeUnknownError, StorageFullError } from '../../wire/errors.ts';
import type { ResourcePath } from '../../wire/resource-path.ts';
import type { LiveResources } from '../live-resources.ts';
import type { Syncer } from '../log/syncer.ts';
import { CLOCK_TICK_MS } from '../open-file.ts';
import type { Resource } from '../resource.ts';
import { beginRemoval, cancelRemoval, endRemoval, hasTies } from './fork-links.ts';
import type { ForkTree } from './fork-tree.ts';
import { isExpired } from './stream-expiry.ts';
import type { StreamStore } from './stream-store.ts';

/** What streams are removed with. */
export interface RemoverOptions {
  root: Root;
  records: Records;
  store: StreamStore;
  live: LiveResources;
  syncer: Syncer;
  /** Whether what is removed must be gone after a loss of power, too, when that is acknowledged. */
  isDurable: boolean;
  /** Called when a file was deleted, before anybody can make it anew. */
  deleted: (stat: FileStat) => void;
}

/** Which files are removed. */
export interface Removal {
  /** Whether one stays that somebody has used since it was found to have expired. */
  onlyExpired: boolean;
}

/** Removes streams, with all that belongs to that. Whoever calls it takes turns at a path. */
export class StreamRemover {
  readonly #options: RemoverOptions;
  readonly #forks: ForkTree;

  constructor(options: RemoverOptions, forks: ForkTree) {
    this.#options = options;
    this.#forks = forks;
  }

  /**
   * Removes a stream: whoever opens the path next finds nothing.
   *
   * @param file what is at the path, which is closed then
   * @returns false when it stays, or another file has the name by now
   * @throws {OutcomeUnknownError} when it is gone, and may be there again after a loss of power
   * @throws what {@link Root.remove} throws, and what the disk does; then it stays
   */
  async remove(path: ResourcePath, file: StoredFile, removal: Removal): Promise<boolean> {
    const { records, live, deleted } = this.#options;
    const { fingerprint, generation } = file.stat;
    // It can be removed at its path only.
    const link = { path: file.location, fingerprint };
    let resource: Resource | undefined;
    try {
      resource = await live.acquire(file, path, { isToGo: true });
      const lost = await this.#forks.lostForks(fingerprint);
      await this.#begin(link, lost);
      if (!(await this.#takeName(path, link, resource, removal))) return false;
      await live.delete(resource);
      deleted(file.stat);
      // Within a tick a file that is made anew, and gets its number, looks as old as this one.
      const ageMs = Date.now() - generation / 1000;
      if (ageMs >= 0 && ageMs < CLOCK_TICK_MS) await delay(CLOCK_TICK_MS);
      // Its room is free then: on a full disk there may be no other for what follows.
      await file.close();
      await this.#syncNames(link);
      await live.forget(resource);
      // If this fails the next start does it.
      await records.write((draft) => endRemoval(draft, link, lost), NOT_DURABLE).catch(() => undefined);
      return true;
    } finally {
      if (resource !== undefined) live.release(resource);
      await file.close();
    }
  }

  /** Notes that a stream is to be removed, so that a start finds it, and its name is kept for its forks. */
  async #begin(link: StreamLink, lost: ReadonlySet<string>): Promise<void> {
    const { records, isDurable } = this.#options;
    try {
      await records.write((draft) => beginRemoval(draft, link, lost), { durable: isDurable });
    } catch (error) {
      // It may be there all the same: then a start would take the stream for one that was to go.
      await this.#cancel(link);
      const failure = error instanceof OutcomeUnknownError ? storageFailure(error.cause) : error;
      // To delete is what makes room; but then a name that is to be kept for forks might be free, or kept for ever.
      const mayGo =
        failure instanceof StorageFullError &&
        !hasTies(records.get(link.fingerprint), records.forks(link), lost);
      if (!mayGo) throw failure;
    }
  }

  /** Notes that a stream stays. */
  async #cancel(link: StreamLink): Promise<void> {
    const { records } = this.#options;
    await records.write((draft) => cancelRemoval(draft, link), NOT_DURABLE).catch(() => undefined);
  }

  /** @returns whether the file is gone; else it stays */
  async #takeName(
    path: ResourcePath,
    link: StreamLink,
    resource: Resource,
    { onlyExpired }: Removal,
  ): Promise<boolean> {
    let isGone = false;
    try {
      // From here to the removal of the name nothing waits: a request that comes now finds it gone, and one that came
      // before keeps it.
      isGone =
        (!onlyExpired || this.#isExpired(resource)) && this.#options.root.remove(path, link.fingerprint);
      return isGone;
    } finally {
      if (!isGone) await this.#cancel(link);
    }
  }

  /** Whether a stream that only the caller should use has expired, as it is in this moment. */
  #isExpired(resource: Resource): boolean {
    const { live, store } = this.#options;
    const { fingerprint, state } = resource;
    try {
      const isUsed = live.isUsed(fingerprint, { own: 1 });
      return isExpired(state, isUsed ? Date.now() : store.accessedMs(fingerprint));
    } catch {
      // What cannot be read is not deleted for that.
      return false;
    }
  }

  /**
   * @throws {OutcomeUnknownError} when the name is not safely gone; a start looks what has become of it, and needs
   *   all that is remembered
   */
  async #syncNames({ path }: StreamLink): Promise<void> {
    const { root, syncer, isDurable } = this.#options;
    if (!isDurable) return;
    try {
      await syncer.run(() => root.syncNames(path, { isRemoved: true }));
    } catch (error) {
      const message = 'the stream is deleted, but may be there again after a loss of power';
      throw new OutcomeUnknownError(message, { cause: error });
    }
  }
}
