import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { pipeline } from 'node:stream/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import type { AppendStream } from '../../../src/client/append/append-options.ts';
import { openAppend } from '../../../src/client/append/open-append.ts';
import { follow } from '../../../src/client/follow/follow.ts';
import type { FollowOptions } from '../../../src/client/follow/follow-options.ts';
import { AppendConflictError, ConnectionError, StreamInterruptedError } from '../../../src/wire/errors.ts';
import { PATIENCE_MS } from '../patience.ts';
import type { Random } from '../random.ts';
import { waitFor } from '../wait-for.ts';
import type { KnownBytes } from './known-bytes.ts';
import { CLIENT_HEADER } from './proxy.ts';

/** Never gives up, and does not wait for long. */
const RETRY = { times: 1_000_000, minDelayMs: 1, maxDelayMs: 50 };

const MAX_CHUNK_BYTES = 300 * 1024;

/** Chunks of all sizes, with pauses between some of them. */
export async function* chunksWithPauses(
  known: KnownBytes,
  start: number,
  size: number,
  random: Random,
): AsyncGenerator<Buffer, void, undefined> {
  let position = 0;
  while (position < size) {
    const chunk = known.slice(
      start + position,
      Math.min(size - position, random.logInteger(1, MAX_CHUNK_BYTES)),
    );
    position += chunk.length;
    yield chunk;
    if (random.chance(0.1)) await sleep(random.logInteger(1, 50));
  }
}

/** One client, for messages. */
export interface ChaosClient {
  /** Where it stands. */
  describe(): string;
}

/** Appends known bytes through a bad network, and keeps what it was told. */
export class ChaosAppender implements ChaosClient {
  readonly url: string;
  readonly known: KnownBytes;
  readonly size: number;
  /** How much was given to the stream. */
  sent = 0;
  /** How much is safe. */
  acknowledged = 0;
  reconnects = 0;
  isFinished = false;
  /** Whether the server may have seen an append that is none. */
  hasFailedToBegin = false;
  readonly #name: string;
  readonly #random: Random;
  #lastError: Error | undefined;

  constructor(name: string, url: string, known: KnownBytes, size: number, random: Random) {
    this.#name = name;
    this.url = url;
    this.known = known;
    this.size = size;
    this.#random = random;
  }

  async run(signal: AbortSignal): Promise<void> {
    const stream = await this.#begin(signal);
    const chunks = async function* (this: ChaosAppender) {
      for await (const chunk of chunksWithPauses(this.known, 0, this.size, this.#random)) {
        this.sent += chunk.length;
        yield chunk;
      }
    }.call(this);
    try {
      await pipeline(chunks, stream);
    } catch (cause) {
      throw new Error(`${this.describe()} failed: ${cause}`, { cause });
    }
    if (this.acknowledged !== this.size)
      throw new Error(`${this.describe()} finished and has not acknowledged all`);
    this.isFinished = true;
  }

  /** Only a stream that was open once is retried; what is left of one that was not is in the way for a while. */
  async #begin(signal: AbortSignal): Promise<AppendStream> {
    for (;;) {
      const stream = this.#open(signal);
      try {
        await once(stream, 'open');
        return stream;
      } catch (error) {
        if (!(error instanceof ConnectionError || error instanceof AppendConflictError)) throw error;
        this.hasFailedToBegin = true;
        await sleep(20);
      }
    }
  }

  #open(signal: AbortSignal): AppendStream {
    const stream = openAppend(this.url, {
      signal,
      headers: { [CLIENT_HEADER]: this.#name },
      retry: RETRY,
      bufferBytes: this.#random.pick([5000, 64 * 1024, 1024 * 1024, 8 * 1024 * 1024]),
      onAck: (bytes) => {
        if (bytes < this.acknowledged || bytes > this.sent) {
          stream.destroy(
            new Error(`${bytes} bytes acknowledged after ${this.acknowledged}, of ${this.sent} sent`),
          );
        }
        this.acknowledged = bytes;
      },
      onReconnect: ({ error }) => {
        this.reconnects++;
        this.#lastError = error;
      },
    });
    return stream;
  }

  describe(): string {
    const state = this.isFinished
      ? 'finished'
      : `at ${this.sent} of ${this.size}, ${this.acknowledged} acknowledged`;
    return `${this.#name}: ${state}, ${this.reconnects} reconnects, the last after ${this.#lastError}`;
  }
}

/** Follows what an appender appends, through a bad network, and compares each byte. */
export class ChaosFollower implements ChaosClient {
  readonly appender: ChaosAppender;
  /** Of the next byte. */
  position = 0;
  reconnects = 0;
  isFinished = false;
  /** Of what it got. */
  readonly hash = createHash('sha256');
  /** Position of the first byte. */
  start = 0;
  readonly #name: string;
  readonly #random: Random;
  #lastError: Error | undefined;
  #status = 'not begun';

  constructor(name: string, appender: ChaosAppender, random: Random) {
    this.#name = name;
    this.appender = appender;
    this.#random = random;
  }

  async run(signal: AbortSignal): Promise<void> {
    const { appender } = this;
    const joinsAt = this.#random.pick([0, this.#random.fraction() * appender.size, appender.size]);
    await waitFor(
      () => appender.isFinished || (joinsAt < appender.size && appender.sent >= joinsAt),
      `${this.#name} to begin: ${appender.describe()}`,
    );
    try {
      while (!(await this.#follow(signal))) await sleep(20);
    } catch (cause) {
      throw new Error(`${this.describe()} failed: ${cause}`, { cause });
    }
    this.isFinished = true;
  }

  describe(): string {
    const state = this.isFinished ? 'finished' : this.#status;
    return `${this.#name}: ${state} at ${this.position}, began at ${this.start}, ${this.reconnects} reconnects, the last after ${this.#lastError}`;
  }

  /** @returns whether it could begin; then it also came to the end */
  async #follow(signal: AbortSignal): Promise<boolean> {
    const options = this.#startOptions();
    const stream = follow(this.appender.url, {
      ...options,
      signal,
      wait: 60,
      headers: { [CLIENT_HEADER]: this.#name },
      retry: RETRY,
      onReconnect: ({ error }) => {
        this.reconnects++;
        this.#lastError = error;
      },
    });
    let opens = 0;
    stream.on('waiting', () => {
      this.#status = 'waiting';
    });
    stream.on('live', () => {
      this.#status = 'live';
    });
    stream.on('open', ({ position }: { position: number }) => {
      opens++;
      this.#status = 'open';
      this.position = position;
      this.start = position;
      const { from = 0, lines } = options;
      if (lines === undefined && from >= 0 && position !== from) {
        stream.destroy(new Error(`began at ${position}, not at ${from}`));
      }
      const isLineStart = position === 0 || this.appender.known.slice(position - 1, 1)[0] === 0x0a;
      if (lines !== undefined && !isLineStart) {
        stream.destroy(new Error(`${lines} lines begin at ${position}, within a line`));
      }
    });
    try {
      for await (const chunk of stream) {
        const difference = this.appender.known.difference(this.position, chunk);
        if (difference !== undefined) throw new Error(difference);
        this.hash.update(chunk);
        this.position += chunk.length;
        if (this.position > this.appender.sent)
          throw new Error(`more than the ${this.appender.sent} sent bytes`);
        if (this.#random.chance(0.02)) await sleep(this.#random.logInteger(1, 100));
      }
    } catch (error) {
      // Only a stream that was open once is retried.
      if (opens === 0 && error instanceof ConnectionError) return false;
      const isOfNone = this.appender.hasFailedToBegin && this.position === this.start;
      if (isOfNone && error instanceof StreamInterruptedError) return false;
      throw error;
    }
    if (opens !== 1) throw new Error(`${opens} times open`);
    if (stream.reason !== 'finished') throw new Error(`ended with the reason ${stream.reason}`);
    if (stream.position !== this.position) throw new Error(`says that it is at ${stream.position}`);
    if (this.position !== this.appender.size) throw new Error(`ended before ${this.appender.size}`);
    return true;
  }

  #startOptions(): FollowOptions {
    const { acknowledged } = this.appender;
    switch (this.#random.pick(['beginning', 'from', 'before', 'lines'] as const)) {
      case 'from':
        return { from: this.#random.integer(0, acknowledged) };
      case 'before':
        return { from: -this.#random.logInteger(1, 1_000_000) };
      case 'lines':
        return { lines: this.#random.logInteger(1, 10_000) };
      default:
        return {};
    }
  }
}

/** Rejects when it hangs or `over` aborts, which it makes it do in the end, and tells where everybody stood. */
export async function withoutHanging(
  promise: Promise<unknown>,
  clients: readonly ChaosClient[],
  over: AbortController,
): Promise<void> {
  const timer = setTimeout(() => over.abort(new Error(`not done after ${PATIENCE_MS} ms`)), PATIENCE_MS);
  const aborted = once(over.signal, 'abort').then(() => {
    throw over.signal.reason;
  });
  promise.catch(() => undefined);
  aborted.catch(() => undefined);
  try {
    await Promise.race([aborted, promise]);
  } catch (cause) {
    const message = cause instanceof Error ? cause.message : String(cause);
    throw new Error([message, ...clients.map((client) => client.describe())].join('\n'), { cause });
  } finally {
    clearTimeout(timer);
    over.abort();
  }
}
