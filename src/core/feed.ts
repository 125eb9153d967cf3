import type { StoredFile } from '../storage/stored-file.ts';
import { cutCharacter, withoutLast } from './characters.ts';
import { Chunk, chunksOf } from './chunk.ts';
import { ChunkWindow } from './chunk-window.ts';
import { Follower, type FollowerSink } from './follower.ts';
import type { Outcome } from './outcome.ts';

const NOTHING: Buffer = Buffer.alloc(0);

/** What a follower stays for: the session that appends, or the stream for as long as it is open, whoever appends to it. */
export type Stay = 'session' | 'stream';

/** Who made a feed and is told how it goes. */
export interface FeedOwner {
  /** Called when `committed` has grown. */
  committed(position: number): void;
  /** Called once, when nobody holds the feed or follows any more. */
  idle(): void;
}

/**
 * The way out of one file: how many bytes are committed, and who
 * follows. Followers pull; the feed only wakes them.
 */
export class Feed {
  /** The file that holds every committed byte. Open until the feed is idle. */
  readonly file: StoredFile;
  /** The newest committed bytes, as far as a follower still wants them. */
  readonly window = new ChunkWindow();
  /** The same, cut between characters, as far as a follower wants them that way. */
  readonly characters = new ChunkWindow();
  /** Those who wait for more, … */
  readonly #followers = new Map<Follower, Stay>();
  /** … and those who have only to get what was committed when they were ended. */
  readonly #ended = new Set<Follower>();
  readonly #owner: FeedOwner;
  #committed: number;
  #holders = 0;
  /** How many of those who wait for more do not have everything, … */
  #behind = 0;
  /** … and since which commit they are counted. */
  #commits = 1;
  #cut = NOTHING;
  #isWaiting = false;
  #isIdle = false;

  /**
   * @param file the open file, which the owner closes
   * @param size how much of it is good by now
   */
  constructor(file: StoredFile, size: number, owner: FeedOwner) {
    this.file = file;
    this.#committed = size;
    this.#owner = owner;
  }

  /** The position up to which the file's bytes are good; only these are ever sent. */
  get committed(): number {
    return this.#committed;
  }

  /** The last committed bytes, where they are the beginning of a character. */
  get cut(): Buffer {
    return this.#cut;
  }

  /** Whether the appender was lost and may come back. */
  get isWaiting(): boolean {
    return this.#isWaiting;
  }

  /** Keeps it, and its file, until {@link release}. */
  retain(): void {
    this.#holders++;
  }

  /** To be called once for each {@link retain}. */
  release(): void {
    this.#holders--;
    this.#checkIdle();
  }

  /**
   * Raises `committed` by bytes that are in the file at `start`, and wakes the
   * followers. The one place that does. Bytes below `committed` are known
   * already and change nothing.
   */
  commit(start: number, parts: readonly Buffer[]): void {
    // Chunk by chunk, because one that all followers take in a row stays in the processor's cache.
    for (const chunk of chunksOf(start, parts)) {
      if (chunk.end <= this.#committed) continue;
      const characters = this.#wholeCharacters(chunk);
      this.#committed = chunk.end;
      this.#allAreBehind();
      if (this.#behind === 0) continue;
      this.window.push(chunk);
      if (characters !== undefined) this.characters.push(characters);
      this.#wake();
    }
    this.#owner.committed(this.#committed);
  }

  /**
   * Takes in that the file has become longer by what others have written.
   *
   * @returns false when it is shorter than what was committed
   */
  advance(size: number): boolean {
    if (size <= this.#committed) return size === this.#committed;
    this.#committed = size;
    this.#cut = NOTHING;
    this.#allAreBehind();
    this.#wake();
    return true;
  }

  /** Tells what the committed bytes end with, which somebody has read: the feed does not know before its first commit. */
  endsWithin(cut: Buffer): void {
    this.#cut = cut;
  }

  /**
   * Makes a follower at `position`, between 0 and `committed`, or at its `end`. It begins with its first `drained`.
   *
   * @param until what it stays for; or how it ends when it has what is committed by now
   * @param end position after the last byte that it gets then, if that is another one
   */
  join(position: number, sink: FollowerSink, until: Stay | Outcome, end = this.#committed): Follower {
    const follower = new Follower(this, position, sink);
    if (typeof until === 'object') {
      this.#ended.add(follower);
      follower.end(until, end);
      return follower;
    }
    this.#followers.set(follower, until);
    if (follower.isBehind) this.#behind++;
    else follower.caughtUpWith = this.#commits;
    return follower;
  }

  /** Called by a follower that leaves. */
  leave(follower: Follower): void {
    this.#ended.delete(follower);
    if (this.#followers.has(follower)) this.#countOff(follower);
    this.#followers.delete(follower);
    this.#forget();
    this.#checkIdle();
  }

  /** Called by a follower that has just taken the last committed byte. */
  caughtUp(follower: Follower): void {
    if (!this.#followers.has(follower)) return;
    this.#countOff(follower);
    this.#forget();
  }

  /** Tells the followers that the appender was lost and may come back, or that it is back. */
  setWaiting(isWaiting: boolean): void {
    if (isWaiting === this.#isWaiting) return;
    this.#isWaiting = isWaiting;
    for (const follower of this.#followers.keys()) follower.sink.waiting(isWaiting);
  }

  /**
   * Ends followers as soon as they have everything that is committed by now.
   *
   * @param stay whom: those of the session only, or with `stream` all
   */
  end(outcome: Outcome, stay: Stay): void {
    const ended: Follower[] = [];
    for (const [follower, itsStay] of this.#followers) {
      if (stay === 'stream' || itsStay === stay) ended.push(follower);
    }
    for (const follower of ended) {
      this.#countOff(follower);
      this.#followers.delete(follower);
      this.#ended.add(follower);
    }
    this.setWaiting(false);
    for (const follower of ended) follower.end(outcome);
  }

  #allAreBehind(): void {
    this.#behind = this.#followers.size;
    this.#commits++;
  }

  /** Idempotent until the next commit. */
  #countOff(follower: Follower): void {
    if (follower.caughtUpWith === this.#commits) return;
    follower.caughtUpWith = this.#commits;
    this.#behind--;
  }

  /** Lets go of what nobody wants any more. */
  #forget(): void {
    if (this.#behind + this.#ended.size > 0) return;
    this.window.clear();
    this.characters.clear();
  }

  /** What of a chunk is whole characters: with the beginning of the first one, and without that of the last one. */
  #wholeCharacters(chunk: Chunk): Chunk | undefined {
    const before = chunk.start === this.#committed ? this.#cut : NOTHING;
    this.#cut = cutCharacter(before, chunk.parts);
    if (before.length === 0 && this.#cut.length === 0) return chunk;
    const parts = withoutLast([before, ...chunk.parts], this.#cut.length);
    const characters = new Chunk(chunk.start - before.length, parts);
    return characters.end > characters.start ? characters : undefined;
  }

  #wake(): void {
    for (const follower of this.#followers.keys()) follower.pump();
  }

  #checkIdle(): void {
    if (this.#holders + this.#followers.size + this.#ended.size > 0 || this.#isIdle) return;
    this.#isIdle = true;
    this.#owner.idle();
  }
}
