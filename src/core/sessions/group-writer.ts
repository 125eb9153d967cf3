import type { AppendFile } from '../../storage/append-file.ts';
import { storageFailure } from '../../storage/storage-failure.ts';
import type { HttpfstreamError } from '../../wire/errors.ts';
import { MERGED_BYTES } from '../../wire/protocol.ts';
import type { Feed } from '../feed.ts';
import type { Syncer } from '../syncer.ts';
import { writeAtEnd } from '../write-at-end.ts';
import { ByteQueue } from './byte-queue.ts';

/** Bytes waiting for the disk from which on an appender is asked to pause. */
const HIGH_WATER_MARK_BYTES = 2 * 1024 * 1024;

/** Bytes waiting for the disk below which it may go on. */
const LOW_WATER_MARK_BYTES = 1024 * 1024;

/**
 * When bytes count as safe: once the system has them (`os`: they survive a
 * crash of this process), or once the disk has (`disk`: and a loss of power).
 */
export type Durability = 'os' | 'disk';

/** Who is told how the writing goes. */
export interface WriterOwner {
  /** Called when {@link GroupWriter.append} returned false and may be called again. */
  drained(): void;
  /** Called when the bytes below `position` are safe; it only grows. */
  safe(position: number): void;
  /** Called once when bytes were refused; nothing is written any more. */
  failed(error: HttpfstreamError): void;
}

/**
 * Writes the bytes of one feed: those that arrive while a write is under way
 * are written together by the next one. They are committed, and thereby sent to
 * followers, once they are in the file.
 */
export class GroupWriter {
  readonly #feed: Feed;
  readonly #file: AppendFile;
  readonly #durability: Durability;
  readonly #syncer: Syncer;
  readonly #owner: WriterOwner;
  readonly #pending = new ByteQueue(MERGED_BYTES);
  #received: number;
  #safe: number;
  #pauseAsked = false;
  #accepting = true;
  #flushing: Promise<void> | undefined;
  #securing: Promise<void> | undefined;
  #synced: Promise<void> = Promise.resolve();
  #failure: HttpfstreamError | undefined;

  constructor(feed: Feed, file: AppendFile, durability: Durability, syncer: Syncer, owner: WriterOwner) {
    this.#feed = feed;
    this.#file = file;
    this.#durability = durability;
    this.#syncer = syncer;
    this.#owner = owner;
    this.#received = feed.committed;
    this.#safe = feed.committed;
  }

  /** Position after the last byte that was taken. */
  get received(): number {
    return this.#received;
  }

  /** The bytes below this position are safe. */
  get safePosition(): number {
    return this.#safe;
  }

  /**
   * Takes bytes, which the caller gives away. After `stop` they are dropped.
   *
   * @returns false when too many bytes wait for the disk: pause until `drained`
   */
  append(bytes: Buffer): boolean {
    if (!this.#accepting || bytes.length === 0) return true;
    this.#pending.push(bytes);
    this.#received += bytes.length;
    this.#flushing ??= this.#flush();
    this.#pauseAsked ||= this.#received - this.#feed.committed > HIGH_WATER_MARK_BYTES;
    return !this.#pauseAsked;
  }

  /** Takes no more bytes. */
  stop(): void {
    this.#accepting = false;
  }

  /** Resolves when everything that was taken is in the file, or refused. Never rejects: see `failed`. */
  async flushed(): Promise<void> {
    await this.#flushing;
  }

  /** Resolves when everything that was taken is safe, or refused. Never rejects: see `failed`. */
  async secured(): Promise<void> {
    await this.#flushing;
    await this.#securing;
  }

  /** Makes the bytes written so far survive a loss of power. Never rejects: see `failed`. */
  sync(): Promise<void> {
    // One after the other, so that when the last one settles the file may be closed.
    this.#synced = this.#synced.then(() => this.#syncer.sync(this.#file)).catch((error) => this.#fail(error));
    return this.#synced;
  }

  async #flush(): Promise<void> {
    while (this.#pending.length > 0 && this.#failure === undefined) {
      const start = this.#feed.committed;
      try {
        const parts = this.#pending.take();
        await writeAtEnd(this.#file, start, parts);
        this.#feed.commit(start, parts);
      } catch (error) {
        this.#fail(error);
        break;
      }
      if (this.#durability === 'disk') this.#securing ??= this.#secure();
      else this.#committedIsSafe();
      if (this.#pauseAsked && this.#received - this.#feed.committed < LOW_WATER_MARK_BYTES) {
        this.#pauseAsked = false;
        this.#owner.drained();
      }
    }
    this.#flushing = undefined;
  }

  #committedIsSafe(): void {
    this.#safe = this.#feed.committed;
    this.#syncer.touch(this);
    this.#owner.safe(this.#safe);
  }

  /** Syncs as long as there is something new: what is committed meanwhile goes with the next sync. */
  async #secure(): Promise<void> {
    while (this.#safe < this.#feed.committed && this.#failure === undefined) {
      const position = this.#feed.committed;
      await this.sync();
      if (this.#failure !== undefined) break;
      this.#safe = position;
      this.#owner.safe(position);
    }
    this.#securing = undefined;
  }

  #fail(error: unknown): void {
    if (this.#failure !== undefined) return;
    this.#accepting = false;
    this.#pending.take();
    this.#failure = storageFailure(error);
    this.#owner.failed(this.#failure);
  }
}
