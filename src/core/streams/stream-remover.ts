import { setTimeout as delay } from 'node:timers/promises';
import { CLOCK_TICK_MS, type FileStat } from '../../storage/file-io.ts';
import type { RecordDraft } from '../../storage/records/record-draft.ts';
import type { Records } from '../../storage/records/records.ts';
import type { StreamLink } from '../../storage/records/stream-state.ts';
import type { Root } from '../../storage/root.ts';
import { storageFailure } from '../../storage/storage-failure.ts';
import type { StoredFile } from '../../storage/stored-file.ts';
import { OutcomeUnknownError, StorageFullError } from '../../wire/errors.ts';
import type { ResourcePath } from '../../wire/resource-path.ts';
import type { Syncer } from '../syncer.ts';
import { removeStream } from './fork-links.ts';
import type { ForkTree } from './fork-tree.ts';
import type { Stream } from './stream.ts';
import { isExpired } from './stream-expiry.ts';
import type { StreamRegistry } from './stream-registry.ts';
import type { StreamStore } from './stream-store.ts';

/** What streams are removed with. */
export interface RemoverOptions {
  root: Root;
  records: Records;
  store: StreamStore;
  streams: StreamRegistry;
  syncer: Syncer;
  /** Whether what is removed must be gone after a loss of power, too, when that is told. */
  isDurable: boolean;
  /** Called when a file was deleted, before anybody can make it anew. */
  deleted: (stat: FileStat) => void;
}

/** Which files are removed. */
export interface Removal {
  /** Whether one stays that somebody has used since it was seen to have outlived its time. */
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
  async remove(resource: ResourcePath, file: StoredFile, removal: Removal): Promise<boolean> {
    const { records, streams, deleted } = this.#options;
    const { fingerprint, generation } = file.stat;
    let stream: Stream | undefined;
    try {
      stream = await streams.acquire(file, resource);
      const lost = await this.#forks.lostForks(fingerprint);
      if (!(await this.#takeName(resource, file, stream, removal))) return false;
      await streams.delete(stream);
      deleted(file.stat);
      const unsynced = await this.#syncNames(file);
      if (unsynced === undefined) await streams.forget(stream);
      const link = { path: resource.key, fingerprint };
      // If this fails the next start does it.
      await records.write((draft) => endRemoval(draft, link, lost), NOT_DURABLE).catch(() => undefined);
      if (unsynced !== undefined) {
        const message = 'the stream is deleted, but may be there again after a loss of power';
        throw new OutcomeUnknownError(message, { cause: unsynced });
      }
      // Within a tick a file that is made anew looks as old as this one.
      const ageMs = Date.now() - generation / 1000;
      if (ageMs >= 0 && ageMs < CLOCK_TICK_MS) await delay(CLOCK_TICK_MS);
      return true;
    } finally {
      if (stream !== undefined) streams.release(stream);
      await file.close();
    }
  }

  /**
   * Takes a file's name away, of which a start finds that it was to be.
   *
   * @returns whether it is gone
   */
  async #takeName(
    resource: ResourcePath,
    { stat, location }: StoredFile,
    stream: Stream,
    { onlyExpired }: Removal,
  ): Promise<boolean> {
    const { root, records, isDurable } = this.#options;
    const { fingerprint } = stat;
    try {
      await records.write((draft) => draft.beginRemoval(fingerprint, location), { durable: isDurable });
    } catch (error) {
      if (error instanceof OutcomeUnknownError) throw storageFailure(error.cause);
      // To delete is what makes room.
      if (!(error instanceof StorageFullError)) throw error;
    }
    let isGone = false;
    try {
      // From here to the name nothing waits: who comes now finds it gone, and who came before keeps it.
      isGone = (!onlyExpired || this.#isExpired(stream)) && root.remove(resource, fingerprint);
      return isGone;
    } finally {
      if (!isGone) {
        await records.write((draft) => draft.endRemoval(fingerprint), NOT_DURABLE).catch(() => undefined);
      }
    }
  }

  /** Whether a stream that only the caller should hold has outlived its time, as it is in this moment. */
  #isExpired(stream: Stream): boolean {
    const { streams, store } = this.#options;
    const { fingerprint, state } = stream;
    try {
      const isUsed = streams.isUsed(fingerprint, { own: 1 });
      return isExpired(state, isUsed ? Date.now() : store.accessedMs(fingerprint));
    } catch {
      // What cannot be read is not deleted for that.
      return false;
    }
  }

  /** @returns what kept the name from being safely gone */
  async #syncNames({ location }: StoredFile): Promise<unknown> {
    const { root, syncer, isDurable } = this.#options;
    if (!isDurable) return undefined;
    return syncer.run(() => root.syncNames(location)).then(() => undefined, storageFailure);
  }
}

const NOT_DURABLE = { durable: false };

function endRemoval(draft: RecordDraft, stream: StreamLink, lost: ReadonlySet<string>): void {
  removeStream(draft, stream, lost);
  draft.endRemoval(stream.fingerprint);
}
