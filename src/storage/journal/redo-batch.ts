import type { HttpfstreamError } from '../../wire/errors.ts';
import type { AppendFile } from '../append-file.ts';
import type { FileWrite, WriteOutcome } from './commit-thread.ts';

/** Who appends to the log, and to a file of its own. */
export interface RedoWriter {
  /** The file to which the payloads go, too; undefined if they go nowhere. */
  readonly file: AppendFile | undefined;
  /**
   * Called when the next `count` records are safe, in the order in which they came.
   *
   * @param outcome what became of the file; undefined if nothing was to be written to it
   * @param batch that has the records, should they have to be made void
   */
  committed(count: number, outcome: WriteOutcome | undefined, batch: RedoBatch): void;
  /**
   * Called when none of the records that wait are in the log: one could not be written.
   *
   * @param isSure false when some may be in it all the same
   */
  refused(error: HttpfstreamError, isSure: boolean): void;
}

/** A record that waits for the log. */
export interface WaitingRecord {
  writer: RedoWriter;
  /** The record as the log has it; the last part is the payload, if it has one. */
  parts: readonly Buffer[];
  hasPayload: boolean;
}

/** Where a batch is in the log. */
export interface BatchPlace {
  /** Number of the segment. */
  segment: number;
  /** Position of its first byte there. */
  start: number;
}

interface Share {
  /** Where its records begin in the batch. */
  starts: number[];
  /** Index of its file among those that are written. */
  write: number | undefined;
}

/** Records that are committed together. */
export class RedoBatch {
  /** Where it is in the log. Set before it is written. */
  place: BatchPlace | undefined;
  /** The records, one after the other. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** What of that goes to files. */
  readonly writes: FileWrite[] = [];
  readonly #shares = new Map<RedoWriter, Share>();

  constructor(records: readonly WaitingRecord[]) {
    let size = 0;
    for (const { parts } of records) for (const { length } of parts) size += length;
    // With memory of its own, which can be given to another thread.
    this.bytes = new Uint8Array(size);
    let at = 0;
    for (const { writer, parts, hasPayload } of records) {
      const start = at;
      for (const part of parts) {
        this.bytes.set(part, at);
        at += part.length;
      }
      const payloadBytes = hasPayload ? (parts.at(-1) as Buffer).length : 0;
      this.#add(writer, start, at - payloadBytes, at);
    }
  }

  /** Tells the writers what became of their records. */
  tell(outcomes: readonly WriteOutcome[]): void {
    for (const [writer, { starts, write }] of this.#shares) {
      writer.committed(starts.length, write === undefined ? undefined : outcomes[write], this);
    }
  }

  /** Where the records of a writer begin in the batch. */
  startsOf(writer: RedoWriter): readonly number[] {
    return this.#shares.get(writer)?.starts ?? [];
  }

  #add(writer: RedoWriter, start: number, payloadStart: number, end: number): void {
    const share = this.#shares.get(writer) ?? { starts: [], write: undefined };
    share.starts.push(start);
    this.#shares.set(writer, share);
    if (writer.file === undefined || payloadStart === end) return;
    share.write ??= this.writes.push({ fd: writer.file.descriptor, parts: [] }) - 1;
    (this.writes[share.write] as FileWrite).parts.push([payloadStart, end]);
  }
}
