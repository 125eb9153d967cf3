import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import {
  ConnectionError,
  type FollowStream,
  follow,
  HttpfstreamError,
  UnexpectedStatusError,
} from '../../../src/client/index.ts';
import { pattern } from '../pattern.ts';

/** How it reads: as it comes, with pauses, or nothing until it is told to. */
export type Pace = 'quick' | 'slow' | 'stalled';

const RETRY = { times: 1_000_000, minDelayMs: 1, maxDelayMs: 50 };

const PAUSE_MS = 5;

const BAD_GATEWAY = 502;

/** How a follower has ended: `finished`, the status, or the code of an error. */
export type Ending = readonly [reason: string | undefined, status: number | undefined];

/** Follows what is a {@link pattern}, over everything that happens on the way, and looks at each byte. */
export class ChainFollower {
  /** Resolves with how it ended; rejects when a byte is wrong, and when it cannot be followed. */
  readonly ended: Promise<Ending>;
  /** Of the next byte. */
  position: number;
  /** Whether it was let in. */
  isFollowing = false;
  hasEnded = false;
  readonly #url: string;
  readonly #pace: Pace;
  readonly #from: number;
  readonly #left = new AbortController();
  #release: () => void = () => undefined;
  readonly #released = new Promise<void>((resolve) => {
    this.#release = resolve;
  });

  constructor(url: string, { from, pace }: { from: number; pace: Pace }) {
    this.#url = url;
    this.#from = from;
    this.position = from;
    this.#pace = pace;
    this.ended = this.#run().finally(() => {
      this.hasEnded = true;
    });
    this.ended.catch(() => undefined);
  }

  /** Reads as it comes from now on. */
  release(): void {
    this.#release();
  }

  /** Goes, and is of no matter any more. */
  leave(): void {
    this.#left.abort();
  }

  /** For messages. */
  describe(): string {
    return `${this.#url} from ${this.#from}, ${this.#pace}, at ${this.position}${this.hasEnded ? ', ended' : ''}`;
  }

  async #run(): Promise<Ending> {
    for (;;) {
      const stream = follow(this.#url, { from: this.#from, retry: RETRY, signal: this.#left.signal });
      if (await isOpened(stream)) {
        this.isFollowing = true;
        return this.#read(stream);
      }
      // What is wrong from the start is not tried again by the stream itself.
      await delay(PAUSE_MS);
    }
  }

  async #read(stream: FollowStream): Promise<Ending> {
    // What goes wrong meanwhile is told when it is read.
    stream.on('error', () => undefined);
    if (this.#pace === 'stalled') await this.#released;
    try {
      for await (const chunk of stream) {
        if (!chunk.equals(pattern(this.position, chunk.length))) {
          throw new Error(`wrong bytes between ${this.position} and ${this.position + chunk.length}`);
        }
        this.position += chunk.length;
        if (this.#pace === 'slow') await Promise.race([this.#released, delay(PAUSE_MS)]);
      }
      return [stream.reason, stream.status];
    } catch (error) {
      if (error instanceof HttpfstreamError) return [error.code, undefined];
      throw error;
    }
  }
}

/** @throws why it cannot be followed, unless what is on the way is away */
async function isOpened(stream: FollowStream): Promise<boolean> {
  try {
    await once(stream, 'open');
    return true;
  } catch (error) {
    const isAway =
      error instanceof UnexpectedStatusError ? error.status >= BAD_GATEWAY : error instanceof ConnectionError;
    if (isAway) return false;
    throw error;
  }
}
