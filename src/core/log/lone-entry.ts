import type { RedoBatch, RedoWriter } from '../../storage/journal/redo-batch.ts';
import type { RedoLog } from '../../storage/journal/redo-log.ts';
import type { Entry } from './entry.ts';

/** One entry without a payload, whose writer waits for it. */
export class LoneEntry implements RedoWriter {
  readonly #journal: RedoLog<Entry>;
  readonly #entry: Entry;
  #batch: RedoBatch | undefined;
  #isSure = true;
  #settle: { resolve: () => void; reject: (error: unknown) => void } | undefined;

  constructor(journal: RedoLog<Entry>, entry: Entry) {
    this.#journal = journal;
    this.#entry = entry;
  }

  /** Resolves when it is safe. */
  write(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#settle = { resolve, reject };
      this.#journal.append(this.#entry, [], this);
    });
  }

  /** Makes it void, if it was written. */
  async annul(): Promise<void> {
    if (!this.#isSure) throw new Error('it was refused, and may be in the log');
    if (this.#batch !== undefined) await this.#journal.annul(this.#batch, this);
  }

  committed(_count: number, batch: RedoBatch): undefined {
    this.#batch = batch;
    this.#settle?.resolve();
  }

  refused(error: unknown, isSure: boolean): void {
    this.#isSure = isSure;
    this.#settle?.reject(error);
  }
}
