import type { Journal } from '../../storage/journal/journal.ts';
import { LoneEntry } from '../../storage/journal/lone-entry.ts';
import type { AppendFile } from '../../storage/stored-file.ts';
import type { FileEntry } from './file-entry.ts';
import { asBusy, Remnant, writeAtEnd } from './write-at-end.ts';

/**
 * An append whose bytes go to the file only: the journal says first where they will
 * be, and when they are there, that they count.
 */
export class LargeAppend {
  readonly #entry: FileEntry;
  readonly #bytes: Buffer;
  readonly #before: LoneEntry<FileEntry>;
  readonly #after: LoneEntry<FileEntry>;
  #remnant: Remnant | undefined;

  constructor(journal: Pick<Journal<FileEntry>, 'append' | 'annul'>, entry: FileEntry, bytes: Buffer) {
    this.#entry = entry;
    this.#bytes = bytes;
    this.#before = new LoneEntry(journal, { ...entry, intent: true });
    this.#after = new LoneEntry(journal, entry);
  }

  /** What it may have left in the file, when it has failed; undefined when that is nothing. */
  get remnant(): Remnant | undefined {
    return this.#remnant;
  }

  /**
   * Makes it. Not while others are under way.
   *
   * @param secure makes what was written to the file as safe as it must be
   * @throws what went wrong; see {@link remnant}
   */
  async make(file: AppendFile, secure: () => Promise<void>): Promise<void> {
    await this.#before.write();
    const { start, length } = this.#entry;
    const failure = await writeAtEnd(file, start, [this.#bytes]);
    if (failure !== undefined) {
      this.#remnant = failure.remnant;
      throw asBusy(failure.cause);
    }
    this.#remnant = new Remnant(file, this.#bytes, start, start + length);
    await secure();
    await this.#after.write();
  }

  /**
   * Makes void what the journal has of it.
   *
   * @throws when that cannot be done
   */
  async annul(): Promise<void> {
    // The intent last: without it the other entry would say that there are bytes that are not there.
    await this.#after.annul();
    await this.#before.annul();
  }
}
