import type { Batch, JournalWriter } from './batch.ts';
import type { Journal } from './journal.ts';

/** One entry without a payload, whose writer waits for it. */
export class LoneEntry<Header extends object> implements JournalWriter {
  readonly #journal: Pick<Journal<Header>, 'append' | 'annul'>;
  readonly #entry: Header;
  #batch: Batch | undefined;
  #isSure = true;
  #settle: { resolve: () => void; reject: (error: unknown) => void } | undefined;

  constructor(journal: Pick<Journal<Header>, 'append' | 'annul'>, entry: Header) {
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
    if (!this.#isSure) throw new Error('it was refused, and may be in the journal');
    if (this.#batch !== undefined) await this.#journal.annul(this.#batch, this);
  }

  committed(_count: number, batch: Batch): undefined {
    this.#batch = batch;
    this.#settle?.resolve();
  }

  refused(error: unknown, isSure: boolean): void {
    this.#isSure = isSure;
    this.#settle?.reject(error);
  }
}
