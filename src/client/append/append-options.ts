import type { Readable, Writable } from 'node:stream';
import type { AppendRequestOptions, AppendResult } from '../session/append-request.ts';
import type { AnyListener, StreamOptions } from '../stream-options.ts';

/** Options of `openAppend`. */
export interface AppendOptions extends AppendRequestOptions, StreamOptions {
  /**
   * How long a legacy server may accept none of what it is sent before the append fails,
   * in milliseconds. Others show by their pongs that they are alive. Default 30,000.
   */
  stallTimeoutMs?: number;
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
