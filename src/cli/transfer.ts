import { type Readable, Writable } from 'node:stream';
import { finished } from 'node:stream/promises';
import type { AppendStream } from '../client/append-options.ts';
import { openAppend } from '../client/open-append.ts';
import { type ClientSettings, tellReconnect } from './client-command.ts';
import type { Progress } from './progress.ts';
import { Tee } from './tee.ts';

/** What happens beside the append. */
export interface TransferOptions extends ClientSettings {
  /** The size that the resource must have at the beginning. */
  expect: number | undefined;
  /** How long a server that acknowledges nothing may take nothing, in milliseconds. */
  stallTimeoutMs: number;
  /** Gets a copy, until nobody reads it any more. */
  tee: Writable | undefined;
  progress: Progress | undefined;
  /** Asked at the end for the exit status of what wrote it. */
  status?: () => Promise<number>;
}

/**
 * Appends what a readable yields, which is read no faster than the server and
 * the copy take it. It is read on when the append or the copy has failed, until
 * it is destroyed.
 *
 * @throws {InvalidUrlError}
 */
export class Transfer {
  readonly #readable: Readable;
  readonly #writable: AppendStream;
  readonly #tee: Tee | undefined;

  constructor(readable: Readable, url: string, options: TransferOptions) {
    const { headers, expect, stallTimeoutMs, tee, progress, status, log } = options;
    this.#readable = readable;
    this.#writable = openAppend(url, {
      headers,
      stallTimeoutMs,
      ...(expect !== undefined && { expect }),
      ...(status !== undefined && { status }),
      onAck: (bytes) => progress?.acknowledged(bytes),
      onReconnect: (event) => tellReconnect(event, options),
    });
    readable.once('error', (error) => this.#writable.destroy(error));
    readable.pipe(this.#writable);
    // A readable that lost its last destination would stop.
    readable.pipe(
      new Writable({
        write(chunk: Buffer, _encoding, callback) {
          progress?.sent(chunk.length);
          callback();
        },
      }),
    );
    if (!tee) return;
    this.#tee = new Tee(tee, log);
    readable.pipe(this.#tee);
  }

  /** Whether the copy, which somebody wanted, is not whole. */
  get hasFailedCopy(): boolean {
    return this.#tee?.hasFailed === true;
  }

  /** Resolves when the server has confirmed the end; rejects when the append has failed. */
  async done(): Promise<void> {
    await finished(this.#writable);
    if (this.#tee !== undefined) await finished(this.#tee);
  }

  /** Reads no more, and ends the append cleanly after what was read. */
  end(): void {
    this.#readable.unpipe();
    this.#readable.destroy();
    this.#tee?.end();
    this.#writable.end();
  }

  /** Ends the append as interrupted, and reads no more. */
  destroy(error: Error): void {
    this.#writable.destroy(error);
    this.#readable.destroy();
  }
}
