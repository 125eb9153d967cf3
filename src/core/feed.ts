import type { StoredFile } from '../storage/stored-file.ts';
import type { EndReason } from '../wire/protocol.ts';
import { cutCharacter, withoutLast } from './characters.ts';
import { Chunk, chunksOf } from './chunk.ts';
import { ChunkWindow } from './chunk-window.ts';
import { Follower, type FollowerSink } from './follower.ts';
import type { Outcome } from './outcome.ts';

const NOTHING: Buffer = Buffer.alloc(0);

/** Who made a feed and is told how it goes. */
export interface FeedOwner {
  /** Called when `committed` has grown. */
  committed(position: number): void;
  /** Called once, when no more bytes will come; followers may still be behind. */
  ended(): void;
  /** Called once, when the feed has ended and the last follower has left. */
  idle(): void;
}

/**
 * The live state of one resource: how many bytes are committed, and who
 * follows. Followers pull; the feed only wakes them.
 */
export class Feed {
  /** The file that holds every committed byte. Open until the feed has ended and the last follower left. */
  readonly file: StoredFile;
  /** The newest committed bytes, as far as a follower still wants them. */
  readonly window = new ChunkWindow();
  /** The same, cut between characters, as far as a follower wants them that way. */
  readonly characters = new ChunkWindow();
  readonly #followers = new Set<Follower>();
  readonly #owner: FeedOwner;
  #committed: number;
  #behind = 0;
  #cut = NOTHING;
  #outcome: Outcome | undefined;
  #isWaiting = false;
  #idle = false;

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

  /** The position up to which the committed bytes are whole characters, where they are UTF-8. */
  get committedCharacters(): number {
    return this.#committed - this.#cut.length;
  }

  /** Whether the appender was lost and may come back. */
  get isWaiting(): boolean {
    return this.#isWaiting;
  }

  /** Set when no more bytes will come. */
  get endReason(): EndReason | undefined {
    return this.#outcome?.reason;
  }

  /** The same with what belongs to it. */
  get outcome(): Outcome | undefined {
    return this.#outcome;
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
      this.#behind = this.#followers.size;
      if (this.#behind === 0) continue;
      this.window.push(chunk);
      if (characters !== undefined) this.characters.push(characters);
      this.#wake();
    }
    this.#owner.committed(this.#committed);
  }

  /** Tells what the committed bytes end with, which somebody has read: the feed does not know before its first commit. */
  endsWithin(cut: Buffer): void {
    this.#cut = cut;
  }

  /** Makes a follower at `position`, between 0 and `committed`. It begins with its first `drained`. */
  join(position: number, sink: FollowerSink): Follower {
    const follower = new Follower(this, position, sink);
    this.#followers.add(follower);
    if (follower.isBehind) this.#behind++;
    return follower;
  }

  /** Called by a follower that leaves. */
  leave(follower: Follower): void {
    this.#followers.delete(follower);
    if (follower.isBehind) this.caughtUp();
    this.#checkIdle();
  }

  /** Called by a follower that has just taken the last committed byte. */
  caughtUp(): void {
    this.#behind--;
    if (this.#behind > 0) return;
    this.window.clear();
    this.characters.clear();
  }

  /** Tells the followers that the appender was lost and may come back, or that it is back. */
  setWaiting(isWaiting: boolean): void {
    if (isWaiting === this.#isWaiting) return;
    this.#isWaiting = isWaiting;
    for (const follower of this.#followers) follower.sink.waiting(isWaiting);
  }

  /** Ends the feed: every follower is ended as soon as it has everything. The first end stays. */
  end(outcome: Outcome): void {
    if (this.#outcome !== undefined) return;
    this.#outcome = outcome;
    this.#owner.ended();
    this.#wake();
    this.#checkIdle();
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
    for (const follower of this.#followers) follower.pump();
  }

  #checkIdle(): void {
    if (this.#outcome === undefined || this.#followers.size > 0 || this.#idle) return;
    this.#idle = true;
    this.#owner.idle();
  }
}
