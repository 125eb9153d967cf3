import { type Readable, Writable } from 'node:stream';
import { finished } from 'node:stream/promises';
import type { AppendStream } from '../../client/append/append-options.ts';
import { openAppend } from '../../client/append/open-append.ts';
import { formatBytes } from '../byte-size.ts';
import { type ClientSettings, ConnectionNews, RETRY } from '../client-command.ts';
import type { AppendProgress } from '../progress.ts';
import { Tee } from './tee.ts';

/** How long a server that is away is waited for when the append is to end, in milliseconds. */
const LAST_WAIT_MS = 10_000;

/** What happens beside the append. */
export interface TransferOptions extends ClientSettings {
  /** The size that the resource must have at the beginning. */
  expect: number | undefined;
  /** How long a server that acknowledges nothing may take nothing, in milliseconds. */
  stallTimeoutMs: number;
  /** Gets a copy, until nobody reads it any more. */
  tee: Writable | undefined;
  progress: AppendProgress | undefined;
  /** What is added to what is there already, where somebody may have wanted to go on with it. */
  mayHaveMeantToResume: string | undefined;
  /** Asked at the end for the exit status of what wrote it. */
  status?: () => Promise<number>;
  /** How long a server that is away is waited for when the append is to end, in milliseconds. Default 10,000. */
  lastWaitMs?: number;
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
  readonly #destinations: Writable[];
  readonly #log: ClientSettings['log'];
  readonly #lastWaitMs: number;
  #readBytes = 0;
  /** Whether its connection has broken, and there is no new one. */
  #isAway = false;
  #isToEnd = false;
  #lastWait: NodeJS.Timeout | undefined;

  constructor(readable: Readable, url: string, options: TransferOptions) {
    const {
      headers,
      expect,
      stallTimeoutMs,
      tee,
      progress,
      status,
      log,
      lastWaitMs = LAST_WAIT_MS,
    } = options;
    this.#readable = readable;
    this.#log = log;
    this.#lastWaitMs = lastWaitMs;
    const news = new ConnectionNews(options);
    this.#writable = openAppend(url, {
      headers,
      stallTimeoutMs,
      ...(expect !== undefined && { expect }),
      ...(status !== undefined && { status }),
      onAck: (bytes) => progress?.acknowledged(bytes),
      retry: RETRY,
      onReconnect: (event) => {
        news.lost(event);
        this.#disconnected();
      },
      onReconnected: () => {
        news.again();
        this.#connected();
      },
    });
    this.#writable.once('open', () => this.#opened(options));
    this.#writable.once('close', () => clearTimeout(this.#lastWait));
    readable.once('error', (error) => this.#writable.destroy(error));
    // A readable that lost its last destination would stop.
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
    for (const destination of this.#destinations) readable.pipe(destination);
  }

  #opened({ progress, log, mayHaveMeantToResume }: TransferOptions): void {
    const { startPosition } = this.#writable;
    // A legacy server tells neither where it begins nor what it has.
    if (startPosition === undefined) progress?.isNotAcknowledged();
    if (!startPosition || mayHaveMeantToResume === undefined) return;
    const size = formatBytes(startPosition);
    log(`${mayHaveMeantToResume} goes behind ${size} that are there already (--resume goes on with a part)`);
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

  /** Waits no longer for somebody who does not read the copy: it is to end soon. */
  hurry(): void {
    this.#tee?.hurry();
  }

  /** From now on a server that is away is waited for some seconds only: the append is to end. */
  limitWait(): void {
    if (this.#isToEnd || this.#writable.destroyed) return;
    this.#isToEnd = true;
    if (!this.#isAway) return;
    const seconds = this.#lastWaitMs / 1000;
    this.#log(`not connected: the server has ${seconds} s to be there again; a second signal does not wait`);
    this.#disconnected();
  }

  #connected(): void {
    this.#isAway = false;
    clearTimeout(this.#lastWait);
    this.#lastWait = undefined;
  }

  #disconnected(): void {
    this.#isAway = true;
    if (this.#isToEnd) this.#lastWait ??= setTimeout(() => this.#giveUp(), this.#lastWaitMs);
  }

  #giveUp(): void {
    const bytes = this.#readBytes - this.#writable.acknowledgedBytes;
    const what = bytes === 0 ? 'the end is' : `${bytes} bytes are`;
    this.destroy(new Error(`the server is away, and ${what} not acknowledged`));
  }

  /** Reads no more, and ends the append cleanly after what was read; a server that is away is not waited for long. */
  end(): void {
    this.limitWait();
    this.#readable.unpipe();
    for (let chunk = this.#readable.read(); chunk !== null; chunk = this.#readable.read()) {
      for (const destination of this.#destinations) destination.write(chunk);
    }
    this.#readable.destroy();
    for (const destination of this.#destinations) destination.end();
  }

  /** Ends the append as interrupted, and reads no more. */
  destroy(error: Error): void {
    this.#writable.destroy(error);
    this.#readable.destroy();
  }
}
