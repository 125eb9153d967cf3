import { isContentType } from '../../wire/content-type.ts';
import { isStatus } from '../../wire/protocol.ts';
import { assertInteger } from './session-options.ts';

/** What an appender asks for, and is asked. */
export interface AppendRequestOptions {
  /**
   * How many unacknowledged bytes are kept, to be sent again; at this limit `write` signals back-pressure. Default 8
   * MiB.
   */
  bufferBytes?: number;
  /** The size that the file must have when the append begins; it fails with {@link PositionMismatchError} otherwise. */
  expect?: number;
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

/** @throws {TypeError} for invalid options */
export function assertAppendRequest({ contentType, bufferBytes, expect }: AppendRequestOptions): void {
  if (typeof contentType !== 'function') assertContentType(contentType);
  assertInteger('bufferBytes', bufferBytes, 1);
  assertInteger('expect', expect, 0);
}

/** The content type by now, if it is known. @throws {TypeError} when it is none; what the caller's function throws */
export function currentContentType({ contentType }: AppendRequestOptions): string | undefined {
  const type = typeof contentType === 'function' ? contentType() : contentType;
  assertContentType(type);
  return type;
}

function assertContentType(contentType: unknown): void {
  if (contentType !== undefined && !isContentType(contentType)) {
    throw new TypeError('the content type is malformed, or longer than 1,024 characters');
  }
}

/**
 * The exit status for the end of the stream.
 *
 * @throws {TypeError} when the caller's function returns none; what that function throws
 */
export async function currentStatus({ status: ask }: AppendRequestOptions): Promise<number | undefined> {
  const status = await ask?.();
  if (status !== undefined && !isStatus(status)) {
    throw new TypeError('the status must be an integer from 0 to 255');
  }
  return status;
}
