import type { AppendFile } from '../../storage/append-file.ts';
import type { RedoLog } from '../../storage/journal/redo-log.ts';
import type { StreamState } from '../../storage/records/stream-state.ts';
import type { WriteTurns } from '../../storage/write-turns.ts';
import type { FileSync } from '../file-sync.ts';
import type { StreamRecord } from './stream-record.ts';

/** What the appends of one stream need. */
export interface PipelineOptions {
  /** Fingerprint of the file. */
  fingerprint: string;
  /** Path of the file below the root. */
  location: string;
  state: StreamState;
  /** Type of the bytes that it takes; undefined takes all. */
  type: string | undefined;
  log: RedoLog<StreamRecord>;
  turns: WriteTurns;
  /** Opens the file to be appended to, of which `size` bytes belong to the stream. */
  openFile: (state: StreamState) => Promise<{ file: AppendFile; size: number }>;
  /**
   * Resolves when one more file may be opened.
   *
   * @throws what keeps others from being closed
   */
  room: () => Promise<void>;
  /** @throws what keeps the log from being shortened, when it has become too long */
  assertRoom: () => void;
  /** Makes what was written to the file survive a loss of power. */
  sync: FileSync;
  /** Whether an append is safe only when it survives a loss of power. */
  isDurable: boolean;
  /** Replaces what is remembered of the stream. */
  save: (state: StreamState) => Promise<void>;
  /** Called when the log has, or may have, something that is not remembered beside the file. */
  logged: () => void;
  /** Called when bytes that were written at `start` count. */
  committed: (start: number, parts: readonly Buffer[]) => void;
  /** Called when there is more to be seen by readers. */
  settled: () => void;
}
