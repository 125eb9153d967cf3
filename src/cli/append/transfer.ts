import { type Readable, Writable } from 'node:stream';
import { finished } from 'node:stream/promises';
import type { AppendStream } from '../../client/append/append-options.ts';
import { openAppend } from '../../client/append/open-append.ts';
import {
  AppendConflictError,
  PositionMismatchError,
  StreamClosedError,
  UnsupportedError,
} from '../../wire/errors.ts';
import type { ClientSettings } from '../client-command.ts';
import { type ClientLog, RETRY, ReconnectLog } from '../client-log.ts';
import { type AppendProgress, formatBytes } from '../progress.ts';
import { Tee } from './tee.ts';

/** How long to wait for a disconnected server once the append is to end. */
const LAST_WAIT_MS = 10_000;

export interface TransferOptions extends ClientSettings {
  /** The size that the resource must have at the beginning. */
  expect: number | undefined;
  /** Content type of what is appended, if that is known by now. */
  contentType: () => string | undefined;
  /** The one that was asked for, if it was. */
  wantedType: string | undefined;
  /** Whether the readable is read only once the server has accepted, and kept all others out. */
  claimsFirst?: boolean;
  /** How long a legacy server may accept none of what it is sent, in milliseconds. */
  stallTimeoutMs: number;
  /** Gets a copy, until its reader closes it. */
  tee: Writable | undefined;
  progress: AppendProgress | undefined;
  /** Name of the source, for a hint at `--resume` if the resource has bytes already; undefined for no hint. */
  hintAtResumeFor: string | undefined;
  /** Called at the end for the exit status of the command that wrote it. */
  status?: () => Promise<number>;
  /** How long to wait for a disconnected server once the append is to end, in milliseconds. Default 10,000. */
  lastWaitMs?: number;
}

/** Somebody was there before an append that was to be the first one. */
export class NotTheFirstError extends Error {}

/**
 * Appends a readable to a resource, no faster than the server and the copy accept
 * it. If the append or the copy fails, the readable is still read to its end,
 * unless it is destroyed.
 *
 * @throws {InvalidUrlError}
 */
export class Transfer {
  readonly #readable: Readable;
  readonly #writable: AppendStream;
  readonly #tee: Tee | undefined;
  readonly #destinations: Writable[];
  readonly #log: ClientLog;
  readonly #lastWaitMs: number;
  #readBytes = 0;
  readonly #claimsFirst: boolean;
  #hasOpened = false;
  #isDisconnected = false;
  /** Whether the wait for a disconnected server is limited. */
  #isEnding = false;
  #lastWait: NodeJS.Timeout | undefined;

  constructor(readable: Readable, url: string, options: TransferOptions) {
    const {
      headers,
      expect,
      contentType,
      stallTimeoutMs,
      tee,
      progress,
      status,
      log,
      claimsFirst = false,
      lastWaitMs = LAST_WAIT_MS,
    } = options;
    this.#readable = readable;
    this.#log = log;
    this.#claimsFirst = claimsFirst;
    this.#lastWaitMs = lastWaitMs;
    const reconnectLog = new ReconnectLog(log);
    this.#writable = openAppend(url, {
      headers,
      contentType,
      stallTimeoutMs,
      ...(expect !== undefined && { expect }),
      ...(status !== undefined && { status }),
      onAck: (bytes) => progress?.acknowledged(bytes),
      retry: RETRY,
      onReconnect: (event) => {
        reconnectLog.lost(event);
        this.#disconnected();
      },
      onReconnected: () => {
        reconnectLog.reconnected();
        this.#connected();
      },
    });
    this.#writable.once('open', () => this.#opened(options));
    this.#writable.once('close', () => clearTimeout(this.#lastWait));
    readable.once('error', (error) => this.#writable.destroy(error));
    // A readable without a destination would stop.
    const counter = new Writable({
      write: (chunk: Buffer, _encoding, callback) => {
        this.#readBytes += chunk.length;
        progress?.sent(chunk.length);
        callback();
      },
    });
    this.#destinations = [this.#writable, counter];
    if (tee) {
      this.#tee = new Tee(tee, log);
      this.#destinations.push(this.#tee);
    }
    if (!claimsFirst) this.#pipe();
  }

  #pipe(): void {
    for (const destination of this.#destinations) this.#readable.pipe(destination);
  }

  #opened({ progress, log, hintAtResumeFor, wantedType }: TransferOptions): void {
    const { startPosition, contentType } = this.#writable;
    this.#hasOpened = true;
    if (this.#claimsFirst && startPosition === undefined) {
      this.destroy(new UnsupportedError("a server of the original's kind cannot say who was first"));
      return;
    }
    if (this.#claimsFirst) this.#pipe();
    // A legacy server tells neither the position nor what it has received.
    if (startPosition === undefined) progress?.withoutAcknowledgements();
    if (wantedType !== undefined && wantedType !== contentType) {
      log.write(`--content-type has no effect: ${whyNotOf(contentType)}`);
    }
    if (!startPosition || hintAtResumeFor === undefined) return;
    const size = formatBytes(startPosition);
    log.write(`${hintAtResumeFor} goes behind ${size} that are there already (--resume goes on with a part)`);
  }

  /** Whether the copy is incomplete, other than because its reader has closed it. */
  get hasFailedCopy(): boolean {
    return this.#tee?.hasFailed === true;
  }

  /**
   * Resolves when the server has confirmed the end; rejects when the append has failed.
   *
   * @throws {NotTheFirstError} if it was to claim the resource first
   */
  async done(): Promise<void> {
    await finished(this.#writable).catch((error) => {
      throw this.#claimsFirst && !this.#hasOpened ? failureOfClaim(error) : error;
    });
    if (this.#tee !== undefined) await finished(this.#tee);
  }

  /** Limits the wait for a stalled reader of the copy: the command is to end soon. */
  hurry(): void {
    this.#tee?.hurry();
  }

  /** Limits the wait for a disconnected server: the append is to end. */
  limitWait(): void {
    if (this.#isEnding || this.#writable.destroyed) return;
    this.#isEnding = true;
    if (!this.#isDisconnected) return;
    const seconds = this.#lastWaitMs / 1000;
    this.#log.write(
      `not connected: the server has ${seconds} s to be there again; a second signal does not wait`,
    );
    this.#disconnected();
  }

  #connected(): void {
    this.#isDisconnected = false;
    clearTimeout(this.#lastWait);
    this.#lastWait = undefined;
  }

  #disconnected(): void {
    this.#isDisconnected = true;
    if (this.#isEnding) this.#lastWait ??= setTimeout(() => this.#giveUp(), this.#lastWaitMs);
  }

  #giveUp(): void {
    const bytes = this.#readBytes - this.#writable.acknowledgedBytes;
    const what = bytes === 0 ? 'the end is' : `${bytes} bytes are`;
    this.destroy(new Error(`the server is away, and ${what} not acknowledged`));
  }

  /** Stops reading, and ends the append cleanly after what was read; the wait for a disconnected server is limited. */
  end(): void {
    this.limitWait();
    this.#readable.unpipe();
    for (let chunk = this.#readable.read(); chunk !== null; chunk = this.#readable.read()) {
      for (const destination of this.#destinations) destination.write(chunk);
    }
    this.#readable.destroy();
    for (const destination of this.#destinations) destination.end();
  }

  /** Stops reading, and ends the append as interrupted. */
  destroy(error: Error): void {
    this.#writable.destroy(error);
    this.#readable.destroy();
  }
}

/** Why the file is not of the type that was asked for, but of this one. */
function whyNotOf(contentType: string | null | undefined): string {
  if (contentType === undefined) return 'the server keeps no content types';
  if (contentType === null) return 'something is there already, and was given none';
  return `what is there already is of the type ${contentType}`;
}

function failureOfClaim(cause: unknown): unknown {
  const isTaken =
    cause instanceof PositionMismatchError ||
    cause instanceof AppendConflictError ||
    cause instanceof StreamClosedError;
  return isTaken ? new NotTheFirstError(cause.message, { cause }) : cause;
}
