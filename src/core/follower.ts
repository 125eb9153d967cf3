import type { BlockLoan } from '../storage/block-pool.ts';
import { cutCharacter } from './characters.ts';
import type { Encoder } from './chunk.ts';
import type { ChunkWindow } from './chunk-window.ts';
import type { Feed } from './feed.ts';
import type { Outcome } from './outcome.ts';

/** Bytes that a follower behind the window reads from the file at a time, at most. */
const MAX_BLOCK_BYTES = 256 * 1024;

const NOTHING: Buffer = Buffer.alloc(0);

/** Where a follower's bytes go. */
export interface FollowerSink {
  /** How the bytes are laid out for this sink. */
  readonly encode: Encoder;
  /** Whether it is given whole characters, as far as the bytes are UTF-8. */
  readonly wholeCharacters: boolean;
  /** Takes encoded bytes; false means that it is full and will call {@link Follower.drained}. */
  write(encoded: readonly Buffer[]): boolean;
  /** Called when the appender was lost and may come back, and when it is back. */
  waiting(isWaiting: boolean): void;
  /** Called once, when everything was written; the follower has left its feed. */
  end(outcome: Outcome): void;
  /** Called once instead of `end` when the file could not be read; the follower has left its feed. */
  fail(error: unknown): void;
}

/**
 * A position in a feed that moves on whenever there are bytes and the sink is
 * not full. It holds no queue: what it has not taken is in the file.
 */
export class Follower {
  readonly feed: Feed;
  readonly sink: FollowerSink;
  readonly #loan: BlockLoan;
  /** For the feed: in which of its commits it was counted off those that are behind. */
  caughtUpWith = 0;
  #position: number;
  #full = true;
  #reading = false;
  #left = false;
  #end: End | undefined;
  #whenLeft: (() => void) | undefined;

  /** Made by {@link Feed.join}. Sleeps until the first `drained`. */
  constructor(feed: Feed, position: number, sink: FollowerSink) {
    this.feed = feed;
    this.#position = position;
    this.sink = sink;
    this.#loan = feed.file.blocks.lend(MAX_BLOCK_BYTES);
  }

  /** Position of the next byte that the sink gets. */
  get position(): number {
    return this.#position;
  }

  /** Set when no more will come than what was committed then. */
  get outcome(): Outcome | undefined {
    return this.#end?.outcome;
  }

  /** Position after the last byte that it will get; undefined as long as nobody knows. */
  get endPosition(): number | undefined {
    return this.#end?.committed;
  }

  /** Whether there is something that it may go on with. */
  get isBehind(): boolean {
    return this.#position < this.#goal;
  }

  /** Ends it as soon as it has everything up to a position; by default what is committed by now. The first end stays. */
  end(outcome: Outcome, position = this.feed.committed): void {
    const { committed, cut } = this.feed;
    this.#end ??= { outcome, committed: position, cut: position === committed ? cut : NOTHING };
    this.pump();
  }

  /** Tells that the sink takes bytes, from now on or again. */
  drained(): void {
    this.#full = false;
    this.pump();
  }

  /** Calls `listener` when it leaves, before the sink is told why if it has ended. */
  whenLeft(listener: () => void): void {
    this.#whenLeft = listener;
  }

  /** Stops following. Idempotent; the sink is not called any more. */
  leave(): void {
    if (this.#left) return;
    this.#left = true;
    this.#loan.release();
    this.#whenLeft?.();
    // The feed may close the file when the last one leaves, so not while it is read.
    if (!this.#reading) this.feed.leave(this);
  }

  /** Moves on as far as it goes. The feed calls it when there may be more. */
  pump(): void {
    while (!this.#full && !this.#reading && !this.#left) {
      if (!this.isBehind) {
        const end = this.#end;
        if (end === undefined) return;
        this.leave();
        this.sink.end(end.outcome);
        return;
      }
      if (this.#isAtCut) {
        const { committed, cut } = this.#limit;
        this.#write(this.sink.encode([cut]), committed);
        continue;
      }
      const chunk = this.#window.at(this.#position);
      if (chunk === undefined) {
        void this.#readBlock();
        return;
      }
      this.#write(chunk.encodedFrom(this.#position, this.sink.encode), chunk.end);
    }
  }

  /** How far it may go now: to the end of the last whole character, and further only when no more will come. */
  get #goal(): number {
    const { committed, cut } = this.#limit;
    if (!this.sink.wholeCharacters) return committed;
    const wholeCharacters = committed - cut.length;
    return this.#end === undefined || this.#position < wholeCharacters ? wholeCharacters : committed;
  }

  /** Whether all that is left is a character that will never be whole. */
  get #isAtCut(): boolean {
    const { committed, cut } = this.#limit;
    return this.sink.wholeCharacters && this.#position === committed - cut.length && this.isBehind;
  }

  /** What it is about: what comes after its end is for others. */
  get #limit(): Limit {
    return this.#end ?? this.feed;
  }

  get #window(): ChunkWindow {
    return this.sink.wholeCharacters ? this.feed.characters : this.feed.window;
  }

  #write(encoded: readonly Buffer[], end: number): void {
    this.#position = end;
    this.#full = !this.sink.write(encoded);
    if (this.isBehind) return;
    this.#loan.release();
    this.feed.caughtUp(this);
  }

  async #readBlock(): Promise<void> {
    const start = this.#position;
    const length = Math.min(this.#loan.next(), this.#goal - start);
    this.#reading = true;
    let block: Buffer | undefined;
    let failure: unknown;
    try {
      block = await this.feed.file.read(start, length);
    } catch (error) {
      failure = error;
    }
    this.#reading = false;

    if (this.#left) {
      this.feed.leave(this);
    } else if (block === undefined) {
      this.leave();
      this.sink.fail(failure);
    } else if (block.length === 0) {
      this.leave();
      this.sink.end({ reason: 'truncated', lost: this.#limit.committed - start });
    } else {
      this.#writeBlock(start, block, block.length < length);
      this.pump();
    }
  }

  /** Writes what was read, up to its last whole character if more is to come; the file has no more when it is short. */
  #writeBlock(start: number, block: Buffer, isShort: boolean): void {
    const end = start + block.length;
    const isAtLimit = end === this.#limit.committed;
    let cut = NOTHING;
    // Where it is known that a character is cut, it was not read.
    if (this.sink.wholeCharacters && !isShort && (end !== this.#goal || isAtLimit)) {
      cut = cutCharacter(NOTHING, [block]);
      if (isAtLimit) this.#endsWithin(cut);
    }
    if (cut.length === block.length) return;
    this.#write(this.sink.encode([block.subarray(0, block.length - cut.length)]), end - cut.length);
  }

  #endsWithin(cut: Buffer): void {
    if (this.#end !== undefined) this.#end = { ...this.#end, cut };
    else this.feed.endsWithin(cut);
  }
}

/** How far there is something to be had. */
interface Limit {
  /** The position below which bytes count. */
  committed: number;
  /** The last of them, where they are the beginning of a character. */
  cut: Buffer;
}

/** No more will come. */
interface End extends Limit {
  outcome: Outcome;
}
