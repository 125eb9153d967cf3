import type { AppendFile } from '../../storage/append-file.ts';
import { storageFailure } from '../../storage/storage-failure.ts';
import type { HttpfstreamError } from '../../wire/errors.ts';

/** Makes what was written to the file of one stream survive a loss of power: when it was written, and one time after the other. */
export class FileSync {
  readonly #sync: (file: AppendFile) => Promise<void>;
  #isWritten = false;
  #syncing: Promise<void> = Promise.resolve();
  #lost: HttpfstreamError | undefined;

  /** @param sync does it */
  constructor(sync: (file: AppendFile) => Promise<void>) {
    this.#sync = sync;
  }

  /**
   * Set when the disk has lost what was written. The system tells that once, and the next sync would
   * say that all is well: only the log is sure to have it, and the next start writes it again.
   */
  get lost(): HttpfstreamError | undefined {
    return this.#lost;
  }

  /** Tells that the file was written. */
  written(): void {
    this.#isWritten = true;
  }

  /** Begins with what is in the file by now. */
  begin(file: AppendFile | undefined): void {
    if (file === undefined || !this.#isWritten) return;
    this.#isWritten = false;
    this.#syncing = this.#syncing
      .then(() => this.#sync(file))
      .catch((error) => {
        this.#lost ??= storageFailure(error);
      });
  }

  /**
   * Does it with what is in the file by now.
   *
   * @throws what was {@link lost}
   */
  async sync(file: AppendFile | undefined): Promise<void> {
    this.begin(file);
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
