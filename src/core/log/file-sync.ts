import { storageFailure } from '../../storage/storage-failure.ts';
import type { AppendFile } from '../../storage/stored-file.ts';
import type { HttpfstreamError } from '../../wire/errors.ts';
import type { Syncer } from './syncer.ts';

/**
 * Syncs one file, however often it is open: only when it was written, and one sync after the other, so that whoever
 * closes it waits for the last one. Those who want one while one waits for its turn share that.
 */
export class FileSync {
  readonly #syncer: Syncer;
  /** Through which it was written since the last sync. */
  #written: AppendFile | undefined;
  #syncing: Promise<void> = Promise.resolve();
  /** Whether the last one has not begun. */
  #isWaiting = false;
  #lost: HttpfstreamError | undefined;

  constructor(syncer: Syncer) {
    this.#syncer = syncer;
  }

  /**
   * Set when the disk has lost what was written. The system says that once, and the next sync would
   * say that all is well: only the journal is sure to have it, and the next start writes it again.
   */
  get lost(): HttpfstreamError | undefined {
    return this.#lost;
  }

  /** Notes that the file was written, and is open until that was synced. */
  written(file: AppendFile): void {
    this.#written = file;
  }

  /** Begins a sync of what is in the file by now. */
  begin(): void {
    const file = this.#written;
    if (file === undefined || this.#lost !== undefined) return;
    this.#written = undefined;
    if (this.#isWaiting) return;
    this.#isWaiting = true;
    const sync = () => {
      this.#isWaiting = false;
      return this.#syncer.timed(file);
    };
    this.#syncing = this.#syncing
      .then(() => this.#syncer.run(sync))
      .catch((error) => {
        this.#lost ??= storageFailure(error);
      });
  }

  /**
   * Syncs what is in the file by now.
   *
   * @throws what was {@link lost}
   */
  async sync(): Promise<void> {
    this.begin();
    await this.done();
  }

  /**
   * Resolves when what was begun is done.
   *
   * @throws what was {@link lost}
   */
  async done(): Promise<void> {
    await this.#syncing;
    if (this.#lost !== undefined) throw this.#lost;
  }
}
