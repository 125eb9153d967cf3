import type { HttpfstreamError } from '../../wire/errors.ts';

/** Who appends to the journal. */
export interface JournalWriter {
  /**
   * Called when the next `count` entries are safe, in the order in which they came.
   *
   * @param batch that has the entries, should they have to be made void
   * @returns what the next batch waits for; must not reject
   */
  committed(count: number, batch: Batch): Promise<void> | undefined;
  /**
   * Called when none of the entries that wait are in the journal: one could not be written.
   *
   * @param isSure false when some may be in it all the same
   */
  refused(error: HttpfstreamError, isSure: boolean): void;
}

/** An entry that waits for the journal. */
export interface WaitingEntry {
  writer: JournalWriter;
  /** The entry as the journal has it. */
  parts: readonly Buffer[];
}

/** Where a batch is in the journal. */
export interface BatchPlace {
  /** Number of the segment. */
  segment: number;
  /** Position of its first byte there. */
  start: number;
}

/** Entries that are committed together. */
export class Batch {
  /** Where it is in the journal. Set before it is written. */
  place: BatchPlace | undefined;
  /** The entries, one after the other. */
  readonly parts: readonly Buffer[];
  /** How many bytes that are. */
  readonly size: number;
  /** Where the entries of each writer begin in the batch. */
  readonly #starts = new Map<JournalWriter, number[]>();

  constructor(entries: readonly WaitingEntry[]) {
    this.parts = entries.flatMap(({ parts }) => parts);
    let at = 0;
    for (const { writer, parts } of entries) {
      const starts = this.#starts.get(writer);
      if (starts === undefined) this.#starts.set(writer, [at]);
      else starts.push(at);
      for (const { length } of parts) at += length;
    }
    this.size = at;
  }

  /** Notifies the writers that their entries are safe, and resolves when they are done with them. */
  async notify(): Promise<void> {
    const unfinished: Promise<void>[] = [];
    for (const [writer, { length }] of this.#starts) {
      const finished = writer.committed(length, this);
      if (finished !== undefined) unfinished.push(finished);
    }
    await Promise.all(unfinished);
  }

  /** Where the entries of a writer begin in the batch. */
  startsOf(writer: JournalWriter): readonly number[] {
    return this.#starts.get(writer) ?? [];
  }
}
