import type { RedoBatch, RedoWriter } from '../../storage/journal/redo-batch.ts';
import type { RedoLog } from '../../storage/journal/redo-log.ts';
import type { StreamRecord } from './stream-record.ts';

/** One record without a payload, whose writer waits for it. */
export class LoneRecord implements RedoWriter {
  readonly #log: RedoLog<StreamRecord>;
  readonly #record: StreamRecord;
  #batch: RedoBatch | undefined;
  #isSure = true;
  #settle: { resolve: () => void; reject: (error: unknown) => void } | undefined;

  constructor(log: RedoLog<StreamRecord>, record: StreamRecord) {
    this.#log = log;
    this.#record = record;
  }

  /** Resolves when it is safe. */
  write(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#settle = { resolve, reject };
      this.#log.append(this.#record, [], this);
    });
  }

  /** Makes it void, if it was written. */
  async annul(): Promise<void> {
    if (!this.#isSure) throw new Error('it was refused, and may be in the log');
    if (this.#batch !== undefined) await this.#log.annul(this.#batch, this);
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
