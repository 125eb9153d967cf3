import type { BlockLoan } from '../../storage/block-pool.ts';
import type { StoredFile } from '../../storage/stored-file.ts';
import type { Outcome } from '../../wire/protocol.ts';
import type { ResourcePath } from '../../wire/resource-path.ts';
import type { ReadNumbers } from '../numbers.ts';
import type { Encoder } from './chunk.ts';
import { type Cutting, pieceOf } from './cutting.ts';
import type { PieceWindow } from './piece-window.ts';

/** Bytes that a reader behind the window reads from the file at a time, at most. */
const MAX_BLOCK_BYTES = 256 * 1024;

const NOTHING: Buffer = Buffer.alloc(0);

/** Where a reader's bytes go. */
export interface Sink {
  /** How the bytes are encoded for this sink. */
  readonly encode: Encoder;
  /** Where its bytes may be cut. What never becomes whole is given to it at the end, unless that is withheld. */
  readonly cutting: Cutting;
  /** Where it is counted. */
  readonly numbers: ReadNumbers;
  /**
   * Takes encoded bytes, up to the reader's position by now; false means that it is full and will call
   * {@link Reader.drained}.
   *
   * @param isWhole whether they end where they may be cut: not within a piece that is too long
   */
  write(encoded: readonly Buffer[], isWhole: boolean): boolean;
  /** Called when the appender was lost and may come back, and when it is back. */
  waiting(isWaiting: boolean): void;
  /** Called when an append has given the file a content type, which it did not have before. */
  typed?(fileType: string): void;
  /** Called once, when everything was written; the reader has left its feed. */
  end(outcome: Outcome): void;
  /** Called once instead of `end` when the file could not be read; the reader has left its feed. */
  fail(error: unknown): void;
}

/**
 * What a follower stays for: the session that appends, or the stream for as long as it is open, whoever appends to
 * it.
 */
export type Stay = 'session' | 'stream';

/** The feed of a reader, as the reader sees it. */
export interface ReaderFeed {
  /** The file that holds every committed byte. */
  readonly file: StoredFile;
  /** The position below which the file's bytes count. */
  readonly committed: number;
  /** How many bytes there are to be had. */
  readonly size: number | undefined;
  /** How many follow. */
  readonly readerCount: number;
  readonly isAtomic: boolean;
  /** Content type of what was made as a stream. */
  readonly streamType: string | undefined;
  /** Content type that it was made as a stream of, or that an append has given it. */
  readonly givenType: string | undefined;
  /** Whether nothing has come yet, and who appends may give a type. */
  readonly isTypeAwaited: boolean;
  /** Resolves when that may be over, at the latest after some time, or when `signal` aborts. Never rejects. */
  untilTyped(timeoutMs: number, signal: AbortSignal): Promise<void>;
  /** Whether the appender was lost and may come back. */
  readonly isWaiting: boolean;
  /** Called when the reader has everything that is to be had. */
  caughtUp(reader: Reader): void;
  /** Called once, when the reader leaves and reads nothing any more. */
  leave(reader: Reader): void;
}

/**
 * A position in a feed that moves on whenever there are bytes and the sink is
 * not full. It holds no queue: what it has not taken is in the file.
 */
export class Reader {
  readonly feed: ReaderFeed;
  readonly sink: Sink;
  /** For the feed: what it takes its bytes from. */
  readonly window: PieceWindow;
  readonly cutting: Cutting;
  readonly #loan: BlockLoan;
  /** For the feed: what it stays for; undefined once no more will come than what was committed. */
  stay: Stay | undefined;
  /** For the feed: the name under which it follows the file. When that leads elsewhere it is over for this reader. */
  path: ResourcePath | undefined;
  /** For the feed: when it was counted off those that are behind. */
  caughtUpWith = 0;
  #position: number;
  #isWithin = false;
  #full = true;
  #reading = false;
  /** Whether it waits until it is known how far it may go. */
  #isSeeking = false;
  #left = false;
  #end: End | undefined;
  #whenLeft: (() => void) | undefined;

  /** Made by {@link Feed.join}. Sleeps until the first `drained`. */
  constructor(feed: ReaderFeed, window: PieceWindow, position: number, sink: Sink) {
    this.feed = feed;
    this.window = window;
    this.cutting = sink.cutting;
    this.#position = position;
    this.sink = sink;
    this.#loan = feed.file.blocks.lend(Math.min(MAX_BLOCK_BYTES, this.cutting.maxBytes));
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
    return this.#end?.position;
  }

  /** Whether there is something that it may go on with. */
  get isBehind(): boolean {
    return this.#position < this.#goal;
  }

  /**
   * Ends it as soon as it has everything up to a position; by default what is committed by now. The first end stays.
   */
  end(outcome: Outcome, position = this.feed.committed): void {
    if (this.#end === undefined) {
      const { end, rest } = this.window;
      const isWithheld = this.cutting.withholdsRest === true && outcome.reason !== 'finished';
      const isRest = !isWithheld && end !== undefined && end + rest.length === position;
      this.#end = {
        outcome,
        position,
        isToBeCut: isWithheld && end !== position,
        rest: isRest ? rest : NOTHING,
      };
    }
    if (!this.#end.isToBeCut) this.#stopSeeking();
    this.pump();
  }

  /** To be called when the sink takes bytes, from now on or again. */
  drained(): void {
    this.#full = false;
    this.pump();
  }

  /** Calls `listener` when it leaves, before the sink is notified of why if it has ended. */
  whenLeft(listener: () => void): void {
    this.#whenLeft = listener;
  }

  /** Stops following. Idempotent; the sink is not called any more. */
  leave(): void {
    if (this.#left) return;
    this.#left = true;
    this.#loan.release();
    this.#whenLeft?.();
    this.#stopSeeking();
    // The feed may close the file when the last one leaves, so not while it is read.
    if (!this.#reading) this.feed.leave(this);
  }

  /** Moves on as far as it goes. The feed calls it when there may be more. */
  pump(): void {
    while (!this.#full && !this.#reading && !this.#left) {
      const end = this.#end;
      if (end?.isToBeCut === true) {
        void this.#read();
        return;
      }
      if (!this.isBehind) {
        if (end === undefined) {
          this.feed.caughtUp(this);
          return;
        }
        this.leave();
        this.sink.end(end.outcome);
        return;
      }
      if (end !== undefined && end.rest.length > 0 && this.#position === end.position - end.rest.length) {
        this.#write(this.sink.encode([end.rest]), end.position, true);
        continue;
      }
      const piece = this.window.at(this.#position);
      if (piece === undefined || piece.end > this.#goal) {
        void this.#read();
        return;
      }
      this.#write(piece.encodedFrom(this.#position, this.sink.encode), piece.end, piece.isWhole);
    }
  }

  /** How far it may go now: to the last place where its bytes may be cut, and further only when no more will come. */
  get #goal(): number {
    return this.#end?.position ?? this.window.end ?? this.feed.committed;
  }

  #stopSeeking(): void {
    if (!this.#isSeeking) return;
    this.#isSeeking = false;
    this.window.abandon();
  }

  #write(encoded: readonly Buffer[], end: number, isWhole: boolean): void {
    this.sink.numbers.bytes += end - this.#position;
    this.#position = end;
    this.#isWithin = !isWhole;
    this.#full = !this.sink.write(encoded, isWhole);
    if (this.isBehind) return;
    this.#loan.release();
    this.feed.caughtUp(this);
  }

  /** Goes on with the file, when it is known how far. */
  async #read(): Promise<void> {
    const { file } = this.feed;
    const end = this.#end;
    this.#reading = true;
    let take: () => void;
    try {
      if (this.window.end === undefined && (end === undefined || end.isToBeCut)) {
        this.#isSeeking = true;
        await this.window.find(file, () => this.feed.committed);
        this.#stopSeeking();
        take = () => undefined;
      } else if (end?.isToBeCut === true) {
        const cut = await this.window.lastCut(file, end.position, () => this.#left);
        take = () => {
          end.position = cut;
          end.isToBeCut = false;
        };
      } else {
        const goal = this.#goal;
        const length = Math.min(this.#loan.next(), this.cutting.maxBytes, goal - this.#position);
        const block = await file.read(this.#position, length);
        const isWhole = block.length === length && this.#position + length === goal;
        take = () => this.#take(block, isWhole);
      }
    } catch (error) {
      take = () => {
        this.leave();
        this.sink.fail(error);
      };
    }
    this.#reading = false;
    if (this.#left) {
      this.feed.leave(this);
      return;
    }
    take();
    this.pump();
  }

  #take(block: Buffer, isWhole: boolean): void {
    if (block.length === 0) {
      this.leave();
      this.sink.end({
        reason: 'truncated',
        lost: (this.#end?.position ?? this.feed.committed) - this.#position,
      });
      return;
    }
    const piece = pieceOf(block, this.cutting, { isWhole, isWithin: this.#isWithin });
    this.#write(this.sink.encode([piece.bytes]), this.#position + piece.bytes.length, piece.isWhole);
  }
}

/** No more will come. */
interface End {
  outcome: Outcome;
  /** Position after the last byte. */
  position: number;
  /** Whether it is still to be moved back to the last place to cut. */
  isToBeCut: boolean;
  /** The last bytes, which were never whole, where they are known: the file may have lost them. */
  rest: Buffer;
}
