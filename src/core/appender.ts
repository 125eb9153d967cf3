import type { HttpfstreamError } from '../errors.ts';
import { storageFailure } from '../storage/storage-failure.ts';
import type { EndReason } from './end-reason.ts';
import type { Feed } from './feed.ts';
import type { Syncer } from './syncer.ts';

/** Bytes waiting for the disk from which on an appender is asked to pause. */
const HIGH_WATER_MARK_BYTES = 2 * 1024 * 1024;

/** Bytes waiting for the disk below which it may go on. */
const LOW_WATER_MARK_BYTES = 1024 * 1024;

/** Who brings the bytes. */
export interface AppenderOwner {
  /** Called when {@link Appender.append} returned false and may be called again. */
  drained(): void;
  /** Called once when the disk refused bytes; the feed ends as `interrupted`. */
  failed(error: HttpfstreamError): void;
}

/**
 * The right to append to one feed. Bytes that arrive while a write is under
 * way are written together by the next one; they are committed, and thereby
 * sent to followers, once they are in the file.
 */
export class Appender {
  /** Where the bytes go. */
  readonly feed: Feed;
  /** Position at which this appender began. */
  readonly startPosition: number;
  readonly #owner: AppenderOwner;
  readonly #syncer: Syncer;
  #pending: Buffer[] = [];
  #unwrittenBytes = 0;
  #pauseAsked = false;
  #accepting = true;
  #flushing: Promise<void> | undefined;
  #synced: Promise<void> = Promise.resolve();
  #failure: HttpfstreamError | undefined;

  constructor(feed: Feed, owner: AppenderOwner, syncer: Syncer) {
    this.feed = feed;
    this.startPosition = feed.committed;
    this.#owner = owner;
    this.#syncer = syncer;
  }

  /** Set when the disk refused bytes. */
  get failure(): HttpfstreamError | undefined {
    return this.#failure;
  }

  /**
   * Takes bytes, which the caller gives away. After the end they are dropped.
   *
   * @returns false when too many bytes wait for the disk: pause until `drained`
   */
  append(bytes: Buffer): boolean {
    if (!this.#accepting || bytes.length === 0) return true;
    this.#pending.push(bytes);
    this.#unwrittenBytes += bytes.length;
    this.#flushing ??= this.#flush();
    this.#pauseAsked ||= this.#unwrittenBytes > HIGH_WATER_MARK_BYTES;
    return !this.#pauseAsked;
  }

  /**
   * Takes no more bytes, writes what it has and ends the feed: for `reason`, or
   * as `interrupted` if the disk refused bytes. Idempotent; the first reason
   * stays. Never rejects: see `failure`.
   */
  async end(reason: EndReason): Promise<void> {
    this.#accepting = false;
    await this.#flushing;
    this.feed.end(this.#failure === undefined ? reason : 'interrupted');
  }

  /** Makes the bytes written so far durable. A refusal ends the feed. Never rejects. */
  sync(): Promise<void> {
    // One after the other, so that when the last one settles the file may be closed.
    this.#synced = this.#synced.then(() => this.feed.file.sync()).catch((error) => this.#fail(error));
    return this.#synced;
  }

  async #flush(): Promise<void> {
    while (this.#pending.length > 0 && this.#failure === undefined) {
      const parts = this.#pending;
      this.#pending = [];
      const start = this.feed.committed;
      try {
        await this.feed.file.write(parts, start);
      } catch (error) {
        await this.#cutTornTail(start);
        this.#fail(error);
        break;
      }
      this.feed.commit(start, parts);
      this.#syncer.touch(this);
      this.#unwrittenBytes -= this.feed.committed - start;
      if (this.#pauseAsked && this.#unwrittenBytes < LOW_WATER_MARK_BYTES) {
        this.#pauseAsked = false;
        this.#owner.drained();
      }
    }
    this.#flushing = undefined;
  }

  /** If even this fails, the next appender begins at the size that the file then has. */
  async #cutTornTail(size: number): Promise<void> {
    await this.feed.file.truncate(size).catch(() => undefined);
  }

  #fail(error: unknown): void {
    if (this.#failure !== undefined) return;
    this.#accepting = false;
    this.#pending = [];
    this.#failure = storageFailure(error);
    this.#owner.failed(this.#failure);
    // Not before a write that is under way: the file may be closed then.
    void this.end('interrupted');
  }
}
