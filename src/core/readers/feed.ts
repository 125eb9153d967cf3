import type { StoredFile } from '../../storage/stored-file.ts';
import { ServerBusyError } from '../../wire/errors.ts';
import type { Outcome } from '../../wire/protocol.ts';
import type { ResourcePath } from '../../wire/resource-path.ts';
import { chunksOf } from './chunk.ts';
import type { Cutting } from './cutting.ts';
import { PieceWindow } from './piece-window.ts';
import { Reader, type ReaderFeed, type Sink, type Stay } from './reader.ts';
import { TypeWait } from './type-wait.ts';

/** Who made a feed, and is notified by it. */
export interface FeedOwner {
  /** Content type of what was made as a stream. */
  readonly streamType?: string | undefined;
  /** The same, or the one that an append has given. */
  readonly givenType?: string | undefined;
  /** Whether nothing has come yet, and who appends may give a type. */
  readonly isTypeAwaited?: boolean;
  /** How many may follow. */
  readonly maxFollowers: number;
  /** Called when `committed` has grown. */
  feedGrew(committed: number): void;
  /** Called once, when nobody retains the feed or follows any more. */
  feedIsIdle(feed: Feed): void;
}

/**
 * The way out of one file: how many bytes are committed, and who
 * follows. Followers pull; the feed only wakes them.
 */
export class Feed implements ReaderFeed {
  /** The file that holds every committed byte. Open until the feed is idle. */
  readonly file: StoredFile;
  /** The newest committed bytes, as far as a reader still needs them: cut for each kind of sink that there is. */
  #windows: readonly PieceWindow[] = [];
  /** Those who follow, also those that were ended and do not have everything. */
  readonly #readers = new Set<Reader>();
  readonly #owner: FeedOwner;
  #committed: number;
  #expectedSize: number | undefined = 0;
  #isAtomic = false;
  #holders = 0;
  /** How many of them do not have everything, … */
  #behind = 0;
  /** … and since which time that they were woken they are counted. */
  #wakes = 1;
  #isWaiting = false;
  /** Undefined while nobody has waited. */
  #typeWait: TypeWait | undefined;
  #isIdle = false;

  /**
   * @param file the open file, which the owner closes
   * @param size how many of its bytes count by now
   */
  constructor(file: StoredFile, size: number, owner: FeedOwner) {
    this.file = file;
    this.#committed = size;
    this.#owner = owner;
  }

  /** The position below which the file's bytes count; only these are ever sent. */
  get committed(): number {
    return this.#committed;
  }

  /** Whether the appender was lost and may come back. */
  get isWaiting(): boolean {
    return this.#isWaiting;
  }

  /**
   * How many bytes there are to be had: of a copy that is still coming, those that are not here yet, too; undefined
   * when nobody knows.
   */
  get size(): number | undefined {
    return this.#expectedSize === undefined ? undefined : Math.max(this.#committed, this.#expectedSize);
  }

  /** Whether it is whole or worth nothing: as long as it has not finished it must not be taken for what is there. */
  get isAtomic(): boolean {
    return this.#isAtomic;
  }

  /** Tells how many bytes there will be, as far as that is known elsewhere, and whether fewer are worth nothing. */
  expect(size: number | undefined, isAtomic: boolean): void {
    this.#expectedSize = size;
    this.#isAtomic = isAtomic;
  }

  /** Content type of what was made as a stream; undefined of any other file. */
  get streamType(): string | undefined {
    return this.#owner.streamType;
  }

  /** Content type that it was made as a stream of, or that an append has given it. */
  get givenType(): string | undefined {
    return this.#owner.givenType;
  }

  /** Whether nothing has come yet, and who appends may give a type. */
  get isTypeAwaited(): boolean {
    return this.#owner.isTypeAwaited === true;
  }

  untilTyped(timeoutMs: number, signal: AbortSignal): Promise<void> {
    this.#typeWait ??= new TypeWait();
    return this.#typeWait.wait(timeoutMs, signal);
  }

  /** How many follow, those included that were ended and do not have everything. */
  get readerCount(): number {
    return this.#readers.size;
  }

  /** Those who follow, those included that were ended and do not have everything. */
  get readers(): Iterable<Reader> {
    return this.#readers;
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
   * followers. The one place that does with bytes at hand. Those below `committed` are known
   * already and change nothing.
   *
   * @param merged those of the parts that are several short messages. Default: none
   */
  commit(start: number, parts: readonly Buffer[], merged?: ReadonlySet<Buffer>): void {
    // Chunk by chunk, because one that all followers take in a row stays in the processor's cache.
    for (const chunk of chunksOf(start, parts, merged)) {
      if (chunk.end <= this.#committed) continue;
      this.#committed = chunk.end;
      for (const window of this.#windows) for (const _ of window.push(chunk)) this.#wake();
    }
    this.#owner.feedGrew(this.#committed);
  }

  /**
   * Raises `committed` by what is in the file already and does not come through here, as what other programs append:
   * the windows have a gap there, and readers take it from the file.
   */
  advance(size: number): void {
    if (size <= this.#committed) return;
    this.#committed = size;
    for (const window of this.#windows) window.advance(size);
    this.#wake();
  }

  /** The newest committed bytes, cut for a kind of sink: kept while there are followers of that kind. */
  window(cutting: Cutting): PieceWindow {
    const found = this.#windows.find((window) => window.cutting === cutting);
    if (found !== undefined) return found;
    const window = new PieceWindow(cutting, this.#committed);
    // Without space for more, which a literal has: there are many feeds.
    this.#windows = this.#windows.concat([window]);
    return window;
  }

  /**
   * Makes a follower at `position`, between 0 and `committed`, or at its `end`. It begins with its first `drained`.
   *
   * @param until what it stays for; or how it ends when it has what is committed by now
   * @param end position after the last byte that it gets then, if that is another one
   * @throws {ServerBusyError} when as many follow as may
   */
  join(position: number, sink: Sink, until: Stay | Outcome, end = this.#committed): Reader {
    // Its file is closed, or about to be.
    if (this.#isIdle) throw new Error('nobody has the feed any more');
    if (this.#readers.size >= this.#owner.maxFollowers) {
      throw new ServerBusyError('the resource has as many followers as the server lets it have', 'followers');
    }
    const window = this.window(sink.cutting);
    window.followers++;
    const reader = new Reader(this, window, position, sink);
    this.#readers.add(reader);
    sink.numbers.followers++;
    this.#behind++;
    if (typeof until === 'object') reader.end(until, end);
    else reader.stay = until;
    if (!reader.isBehind) this.#countOff(reader);
    return reader;
  }

  /** Called by a follower that leaves. */
  leave(reader: Reader): void {
    this.#countOff(reader);
    if (this.#readers.delete(reader)) reader.sink.numbers.followers--;
    const { window } = reader;
    window.followers--;
    if (window.followers === 0) this.#windows = this.#windows.filter((other) => other !== window);
    this.#forget();
    this.#checkIdle();
  }

  /** Called by a follower that has everything that is to be had. */
  caughtUp(reader: Reader): void {
    if (reader.caughtUpWith === this.#wakes || !this.#readers.has(reader)) return;
    this.#countOff(reader);
    this.#forget();
  }

  /** Notifies the followers that the appender was lost and may come back, or that it is back. */
  setWaiting(isWaiting: boolean): void {
    if (isWaiting === this.#isWaiting) return;
    this.#isWaiting = isWaiting;
    for (const reader of this.#readers) if (reader.stay !== undefined) reader.sink.waiting(isWaiting);
  }

  /** Notifies the followers that an append has given the file a content type. */
  tellType(fileType: string): void {
    for (const { sink } of this.#readers) sink.typed?.(fileType);
    this.#typeWait?.over();
  }

  /**
   * Ends followers as soon as they have everything that is committed by now.
   *
   * @param stay whom: those of the session only, or with `stream` all
   * @param path ends only those who follow the file under this name, or under none. Default: under whichever
   */
  end(outcome: Outcome, stay: Stay, path?: ResourcePath): void {
    const ended: Reader[] = [];
    for (const reader of this.#readers) {
      const isNamed = path === undefined || (reader.path?.key ?? path.key) === path.key;
      const isStaying = reader.stay !== undefined && (stay === 'stream' || reader.stay === stay);
      if (isNamed && isStaying) ended.push(reader);
    }
    for (const reader of ended) reader.stay = undefined;
    this.setWaiting(false);
    for (const reader of ended) reader.end(outcome);
    this.#typeWait?.over();
  }

  /** The names under which those follow the file who stay for the stream. */
  *paths(): Generator<ResourcePath, void, undefined> {
    for (const { path, stay } of this.#readers) if (stay === 'stream' && path !== undefined) yield path;
  }

  /** Idempotent until they are woken again. */
  #countOff(reader: Reader): void {
    if (reader.caughtUpWith === this.#wakes) return;
    reader.caughtUpWith = this.#wakes;
    this.#behind--;
  }

  /** Empties the windows when everybody has everything. */
  #forget(): void {
    if (this.#behind > 0) return;
    for (const window of this.#windows) window.clear();
  }

  /** There is something new for them, or may be. */
  #wake(): void {
    this.#behind = this.#readers.size;
    this.#wakes++;
    for (const reader of this.#readers) reader.pump();
    this.#typeWait?.over();
  }

  #checkIdle(): void {
    if (this.#holders + this.#readers.size > 0 || this.#isIdle) return;
    this.#isIdle = true;
    this.#owner.feedIsIdle(this);
  }
}

/** How something has ended that may be closed. */
export function withClosed(outcome: Outcome, closed: true | undefined): Outcome {
  return closed === true && outcome.reason === 'finished' ? { ...outcome, closed } : outcome;
}
