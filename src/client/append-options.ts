import type { Writable } from 'node:stream';
import { assertInteger, type StreamOptions } from './options.ts';

/** Options of `openAppend`. */
export interface AppendOptions extends StreamOptions {
  /** How many unacknowledged bytes are kept, to be sent again; when there are more, `write` asks to wait. Default 8 MiB. */
  bufferBytes?: number;
  /** The size that the file must have when the append begins; it fails with {@link PositionMismatchError} otherwise. */
  expect?: number;
  /**
   * How long a legacy server may take nothing of what it is sent before the
   * append fails, in milliseconds. Others show that they are alive. Default 30,000.
   */
  stallTimeoutMs?: number;
  /**
   * Asked once, when all is written, for the exit status of the command that wrote it: 0 to 255, or undefined for none.
   * The append ends when it has settled, and followers are told. What it throws is the append's error. Legacy servers
   * are not told.
   */
  status?: () => number | undefined | PromiseLike<number | undefined>;
  /** Called as the server acknowledges: so many bytes of this append are safe. */
  onAck?: (acknowledgedBytes: number) => void;
}

/** A writable whose bytes are appended to a resource. */
export interface AppendStream extends Writable {
  /** Position in the file of this append's first byte; undefined before `open`, and for a legacy server. */
  readonly startPosition: number | undefined;
  /** How many bytes of this append are safe. */
  readonly acknowledgedBytes: number;
  /** Ends the append, and resolves when the server has confirmed that all of it is safe. Rejects with what went wrong. */
  close(): Promise<void>;
}

/** @throws {TypeError} for options that make no sense */
export function assertOptions({ bufferBytes, expect, stallTimeoutMs }: AppendOptions): void {
  assertInteger('bufferBytes', bufferBytes, 1);
  assertInteger('expect', expect, 0);
  assertInteger('stallTimeoutMs', stallTimeoutMs, 1);
}
