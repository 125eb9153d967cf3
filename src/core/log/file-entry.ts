import type { RecordsEntry } from '../../storage/records/records.ts';
import type { ProducerEntry, StreamState } from '../../storage/records/stream-state.ts';
import type { StreamAppend } from './append-rules.ts';

/** More bytes than this go straight to the file; the journal has only where they are. */
export const MAX_JOURNALED_BYTES = 256 * 1024;

/**
 * One append, bytes of a session, or the end of a stream, as the journal has it. Everything is absolute, so that to
 * replay it twice is as good as once.
 */
export interface FileEntry {
  /** Fingerprint of the file. */
  file: string;
  /** Path of the file below the root. */
  path: string;
  /** Version of the stream that it makes. */
  version: number;
  /** Position of the first byte. */
  start: number;
  /** How many bytes are appended. */
  length: number;
  /**
   * Whether the bytes are not in the journal but written to the file next: until the
   * same entry comes without this, they do not count.
   */
  intent?: true;
  seq?: string;
  producer?: ProducerEntry;
  closed?: true;
  /** Number of the session that has brought these bytes, which are in the file by now: no version is made. */
  run?: number;
  /**
   * Number of the session up to which such bytes are not to be made any more: they are safe in the file, or that was
   * cut. The next session may have begun before this is written, and its bytes are none of them.
   */
  moot?: number;
  /** Whether nothing is appended, but the server has deleted the file, and nobody is to miss it. */
  deleted?: true;
}

/** What is in the journal: what has become of files, and of what is remembered of them. */
export type JournalHeader = FileEntry | RecordsEntry;

/** The entry of an append that makes `after` of `before`. */
export function entryOf(
  { file, path }: Pick<FileEntry, 'file' | 'path'>,
  { bytes, producer, seq, close }: StreamAppend,
  before: StreamState,
  after: StreamState,
): FileEntry {
  return {
    file,
    path,
    version: after.version,
    start: before.size,
    length: bytes.length,
    ...(seq !== undefined && { seq }),
    ...(producer && { producer: [producer.id, producer.epoch, producer.seq] }),
    ...(close && { closed: true }),
  };
}
