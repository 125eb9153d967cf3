import { onTestFinished, vi } from 'vitest';
import { Batch, type JournalWriter } from '../../../src/storage/journal/batch.ts';
import { Journal } from '../../../src/storage/journal/journal.ts';
import { storageFailure } from '../../../src/storage/storage-failure.ts';
import { systemError } from './small-disk.ts';

/** Holds back what the journal notifies of after each commit until it is let go, or until the test is over. */
export class HeldCommits {
  count = 0;
  #release: (() => void)[] = [];
  #isReleased = false;

  constructor() {
    const { notify } = Batch.prototype;
    const hold = () => this.#hold();
    const telling = vi.spyOn(Batch.prototype, 'notify').mockImplementation(async function held(this: Batch) {
      await hold();
      await notify.call(this);
    });
    onTestFinished(() => {
      telling.mockRestore();
      this.releaseAll();
    });
  }

  /** Lets those go that are held by now. */
  release(): void {
    for (const release of this.#release.splice(0)) release();
  }

  /** As {@link release}, and holds nothing from now on. */
  releaseAll(): void {
    this.#isReleased = true;
    this.release();
  }

  async #hold(): Promise<void> {
    this.count++;
    if (!this.#isReleased) await new Promise<void>((resolve) => this.#release.push(resolve));
  }
}

/** Lets the disk refuse what is written to the log, until the test is over, or the returned function is called. */
export function breakLog(): () => void {
  const refuse = function refusing(_header: object, _payload: readonly Buffer[], writer: JournalWriter) {
    queueMicrotask(() => writer.refused(storageFailure(systemError('ENOSPC')), true));
  };
  const appending = vi.spyOn(Journal.prototype, 'append').mockImplementation(refuse);
  const mend = () => appending.mockRestore();
  onTestFinished(mend);
  return mend;
}

/**
 * Holds what is written to the log, until the test is over.
 *
 * @returns to be called to have the disk refuse it, and what comes from then on
 */
export function holdLog(): { count: number; refuse: () => void } {
  const held: JournalWriter[] = [];
  const hold = function holding(_header: object, _payload: readonly Buffer[], writer: JournalWriter) {
    held.push(writer);
  };
  const appending = vi.spyOn(Journal.prototype, 'append').mockImplementation(hold);
  onTestFinished(() => appending.mockRestore());
  return {
    get count() {
      return held.length;
    },
    refuse: () => {
      breakLog();
      for (const writer of held.splice(0)) writer.refused(storageFailure(systemError('EIO')), true);
    },
  };
}
