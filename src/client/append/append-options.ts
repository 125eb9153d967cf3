import type { Readable, Writable } from 'node:stream';
import { isContentType } from '../../wire/content-type.ts';
import { assertInteger } from '../session/session-options.ts';
import type { AnyListener, StreamOptions } from '../stream-options.ts';

/** Options of `openAppend`. */
export interface AppendOptions extends StreamOptions {
  /**
   * How many unacknowledged bytes are kept, to be sent again; at this limit `write` signals back-pressure. Default 8
   * MiB.
   */
  bufferBytes?: number;
  /** The size that the file must have when the append begins; it fails with {@link PositionMismatchError} otherwise. */
  expect?: number;
  /**
   * How long a legacy server may accept none of what it is sent before the append fails,
   * in milliseconds. Others show by their pongs that they are alive. Default 30,000.
   */
  stallTimeoutMs?: number;
  /**
   * Called once everything is written, for the exit status of the command that wrote it: 0 to 255, or undefined for
   * none. The append ends when it has resolved, and followers receive it; legacy servers do not. What it throws is the
   * append's error.
   */
  status?: () => number | undefined | PromiseLike<number | undefined>;
  /**
   * Content type of what is appended: `text/event-stream`, say. A file that begins with this append is served with it;
   * one that had bytes before, or a type, keeps what it has, and no file becomes a stream by it. A function is asked
   * whenever it connects, and before the first byte is sent, for a type that is not known before; undefined gives none,
   * and that of the file is what its name says, or else its first bytes. Legacy servers, and those of version 0.3, do
   * not keep it. What is not a content type of at most 1,024 characters is a `TypeError`.
   */
  contentType?: string | (() => string | undefined);
  /** Called with each acknowledgement of the server: how many bytes of this append are safe. */
  onAck?: (acknowledgedBytes: number) => void;
}

/** The outcome of an append. */
export interface AppendResult {
  /** Position in the file after the last byte of the append; undefined from a legacy server. */
  position: number | undefined;
  /** How many bytes were appended. */
  bytes: number;
  /** Distinguishes the file from a later one at the same path; undefined from a legacy server. */
  generation: number | undefined;
}

/** Adds or removes a listener of an {@link AppendStream}, which emits `open` when the server has accepted. */
interface AppendListening<Self> {
  (event: 'open' | 'drain' | 'finish' | 'close', listener: () => void): Self;
  (event: 'error', listener: (error: Error) => void): Self;
  (event: 'pipe' | 'unpipe', listener: (source: Readable) => void): Self;
  (event: string | symbol, listener: AnyListener): Self;
}

type WriteCallback = (error: Error | null | undefined) => void;

/** A writable whose bytes are appended to a resource. */
export interface AppendStream extends Writable {
  on: AppendListening<this>;
  once: AppendListening<this>;
  off: AppendListening<this>;
  write(chunk: Uint8Array | string, callback?: WriteCallback): boolean;
  write(chunk: Uint8Array | string, encoding: BufferEncoding, callback?: WriteCallback): boolean;
  end(callback?: () => void): this;
  end(chunk: Uint8Array | string, callback?: () => void): this;
  end(chunk: Uint8Array | string, encoding: BufferEncoding, callback?: () => void): this;
  /** Position in the file of this append's first byte; undefined before `open`, and for a legacy server. */
  readonly startPosition: number | undefined;
  /** How many bytes of this append are safe. */
  readonly acknowledgedBytes: number;
  /**
   * Content type that the file was given, by this append or before; null when it was given none, so that its name says
   * it, or its first bytes. Undefined before `open`, and for servers that keep none.
   */
  readonly contentType: string | null | undefined;
  /**
   * Ends the append, and resolves when the server has confirmed that all of it is safe. Rejects with the stream's
   * error.
   */
  close(): Promise<AppendResult>;
}

/** @throws {TypeError} for invalid options */
export function assertAppendOptions({ contentType, ...numbers }: AppendOptions): void {
  const { bufferBytes, expect, stallTimeoutMs } = numbers;
  if (typeof contentType !== 'function') assertContentType(contentType);
  assertInteger('bufferBytes', bufferBytes, 1);
  assertInteger('expect', expect, 0);
  assertInteger('stallTimeoutMs', stallTimeoutMs, 1);
}

/** The content type by now, if it is known. @throws {TypeError} when it is none; what the caller's function throws */
export function currentContentType({ contentType }: AppendOptions): string | undefined {
  const type = typeof contentType === 'function' ? contentType() : contentType;
  assertContentType(type);
  return type;
}

function assertContentType(contentType: unknown): void {
  if (contentType !== undefined && !isContentType(contentType)) {
    throw new TypeError('the content type is malformed, or longer than 1,024 characters');
  }
}
