import type { StreamState } from '../storage/records/stream-state.ts';
import type { StoredFile } from '../storage/stored-file.ts';
import {
  AppendBusyError,
  ContentTypeMismatchError,
  type HttpfstreamError,
  ResourceGoneError,
  ServerClosingError,
  StorageError,
  StreamClosedError,
} from '../wire/errors.ts';
import { isolationOf } from './isolation.ts';
import type { ResourceRoom } from './limits/room.ts';
import type { Appended, StreamAppend } from './log/append-rules.ts';
import { FileSync } from './log/file-sync.ts';
import type { LocalLog, LogTarget } from './log/local-log.ts';
import { SingleAppends } from './log/single-appends.ts';
import { Feed, type FeedOwner } from './readers/feed.ts';
import { namesOf, type OffsetNames } from './streams/stream-offset.ts';
import { givenType, isJsonType } from './streams/stream-type.ts';

/** What is known of a file when its resource is made. */
export interface ResourceOptions {
  /** Fingerprint of the file. */
  fingerprint: string;
  /** Path of the file below the root. */
  location: string;
  /** Generation of the file. */
  generation: number;
  state: StreamState;
  /** How much may be appended. */
  room: ResourceRoom;
  /** Why it takes no appends and cannot be read: what the journal has of it could not be replayed. */
  isolation: HttpfstreamError | undefined;
  /** Whether what was remembered is damaged, so that the state is a guess. */
  isDamaged: boolean;
}

/** Who keeps count of feeds. */
export interface FeedKeeper {
  /** Called when nobody has a feed any more, and its file is closed. */
  feedClosed(resource: Resource, feed: Feed): void;
}

/** Who keeps resources. */
export interface ResourceOwner {
  /** How many may follow a resource. */
  readonly maxFollowers: number;
  /** Called when the record of a resource is up to date with the journal. */
  upToDate(resource: Resource): void;
  /** Called when a resource is closed that no session has: its followers are to be notified. */
  closed(resource: Resource): void;
}

/** The session that has claimed a resource. */
export interface Claimant {
  /** Whether it has brought nothing yet, and may say of which content type that will be. */
  readonly mayGiveType: boolean;
  /** Takes no more bytes: the stream cannot be brought up to date. Resolves when none is on its way to the journal. */
  isolate(cause: HttpfstreamError): Promise<void>;
}

/**
 * The live state of one file: what counts, who appends, and the way out to readers. Appends change it, readers wait
 * on it.
 */
export class Resource implements LogTarget, FeedOwner {
  readonly fingerprint: string;
  readonly generation: number;
  /** What it was made as, if it was made as a stream of some content type. */
  readonly streamType: string | undefined;
  readonly room: ResourceRoom;
  #names: OffsetNames;
  #generationOfNames: number | undefined;
  readonly #appends: SingleAppends;
  readonly #owner: ResourceOwner;
  readonly #isDamaged: boolean;
  #isolation: HttpfstreamError | undefined;
  /** Why its file may be behind the journal, and has been from the start. */
  readonly #behind: HttpfstreamError | undefined;
  /** Whether what was written to its file is safe there. */
  readonly sync: FileSync;
  #isClaimed = false;
  #isGone = false;
  #location: string;
  #isMisplaced = false;
  #isClosing = false;
  /** The session for which it was claimed, from when that has begun to when it is over. */
  claimant: Claimant | undefined;
  #feed: Feed | undefined;
  #keeper: FeedKeeper | undefined;

  constructor(log: LocalLog, owner: ResourceOwner, options: ResourceOptions) {
    const { fingerprint, location, generation, state, room, isolation, isDamaged } = options;
    this.#owner = owner;
    this.#isDamaged = isDamaged;
    this.#isolation = isolation;
    this.#behind = isolation;
    this.fingerprint = fingerprint;
    this.#location = location;
    this.generation = generation;
    this.streamType = state.contentType;
    this.room = room;
    this.sync = new FileSync(log.syncer);
    this.#names = namesOf(generation, state);
    this.#generationOfNames = state.generation;
    this.#appends = new SingleAppends(log, this, state, state.contentType);
  }

  get maxFollowers(): number {
    return this.#owner.maxFollowers;
  }

  /** How its positions are named. */
  get names(): OffsetNames {
    return this.#names;
  }

  /** Where its file was seen last, as a path below the root. */
  get location(): string {
    return this.#location;
  }

  /** Whether its file is not there any more; who looks for it may find it elsewhere. */
  get isMisplaced(): boolean {
    return this.#isMisplaced;
  }

  /** Notes where its file is: another program may have moved it, and its first name may lead elsewhere by now. */
  seenAt(location: string): void {
    this.#location = location;
    this.#isMisplaced = false;
  }

  misplaced(): void {
    this.#isMisplaced = true;
  }

  /** The content type that it was made as a stream of, or that an append has given it. */
  get givenType(): string | undefined {
    return givenType(this.state);
  }

  get isTypeAwaited(): boolean {
    return this.givenType === undefined && this.committed === 0 && this.claimant?.mayGiveType === true;
  }

  get committed(): number {
    return this.#feed?.committed ?? this.state.size;
  }

  applied(start: number, parts: readonly Buffer[], merged?: ReadonlySet<Buffer>): void {
    this.#feed?.commit(start, parts, merged);
  }

  upToDate(): void {
    this.#owner.upToDate(this);
  }

  /** The way out, while anybody follows, or appends through a session. */
  get feed(): Feed | undefined {
    return this.#feed;
  }

  /** Whether it was made as a stream, and more may come. */
  get isOpen(): boolean {
    return this.streamType !== undefined && this.state.closed !== true && !this.#isGone;
  }

  /** What is in the file, and counts; without the producers. */
  get state(): StreamState {
    return this.#appends.settled;
  }

  /** Whether it was deleted. */
  get isGone(): boolean {
    return this.#isGone;
  }

  /** Whether the server closes. */
  get isClosing(): boolean {
    return this.#isClosing;
  }

  /** Whether the disk has lost what was written, and only the journal is sure to have it. */
  get isLost(): boolean {
    return this.sync.lost !== undefined;
  }

  /** Whether a session appends to it. */
  get isClaimed(): boolean {
    return this.#isClaimed;
  }

  /**
   * To be called before anybody learns what is in the file, or how much.
   *
   * @throws what appends get, when only the journal is sure to have what was acknowledged
   */
  assertWhole(): void {
    if (this.#behind !== undefined) throw this.#behind;
    this.#assertNothingLost();
  }

  /** Whether its file is open to be appended to: nobody but {@link append} does. */
  get isWriting(): boolean {
    return this.#appends.file !== undefined;
  }

  /**
   * Appends all of it or nothing. Resolves when that is safe and readers can have it.
   *
   * @throws {AppendBusyError} while a session holds the file
   * @throws {ResourceGoneError} when the stream was deleted
   * @throws what {@link SingleAppends.append} throws
   */
  async append(append: StreamAppend): Promise<Appended> {
    const after = await this.#appends
      .append(append, () => this.#assertFree())
      .catch((error) => {
        // Its readers are notified, too. That another file has a name which was this one's says nothing of this one.
        if (this.#isMisplaced && !this.#isGone && this.#isUnlinked()) void this.gone();
        throw error;
      });
    const { producer } = append;
    return {
      isRepeated: after === undefined,
      producer: after === undefined ? producer && this.#appends.producer(producer.id) : producer,
      state: after ?? this.state,
    };
  }

  /**
   * Keeps single appends out, for a session, until {@link endClaim}.
   *
   * @param isCopying whether a copy stays one: else it has what is not there
   * @throws {StreamClosedError} when nothing may be appended any more
   * @throws {ContentTypeMismatchError} when not every byte may be
   */
  claim(isCopying = false): Promise<void> {
    return this.#appends.whileIdle(async () => {
      if (this.#isolation !== undefined) throw this.#isolation;
      this.#assertNothingLost();
      if (this.state.closed === true) throw new StreamClosedError('the stream is closed', this.state.size);
      // A copy gets the lines as they are where it is copied from.
      if (isJsonType(this.streamType) && !isCopying) {
        throw new ContentTypeMismatchError('a stream of JSON values takes them by POST only');
      }
      if (!isCopying) this.#appends.diverge();
      // From now on the file has bytes of which the journal does not know.
      await this.#appends.remember();
      await this.#appends.closeFile();
      this.#isClaimed = true;
    });
  }

  /** Lets single appends in again. */
  endClaim(): void {
    this.#isClaimed = false;
    this.claimant = undefined;
    // Nobody has notified the others, if no session has begun.
    if (this.#isClosing) this.shutDown();
  }

  /**
   * Gives a file a content type, unless it has one. It makes no stream of it. While it is claimed. Resolves when that is
   * remembered, and told.
   */
  async giveType(fileType: string): Promise<void> {
    if (this.givenType !== undefined) return;
    await this.#appends.setType(fileType);
    this.#feed?.tellType(fileType);
  }

  /** Forgets the type of a file that is empty: who begins it gives it another one. While it is claimed. */
  async forgetTypeIfEmpty(): Promise<void> {
    if (this.committed === 0) await this.#appends.forgetType();
  }

  /** Notes where a copy comes from by now. Resolves when that is remembered. */
  noteSource(source: object): Promise<void> {
    return this.#appends.noteSource(source);
  }

  /** Counts bytes that a session, or another program, has brought. */
  advance(size: number): void {
    if (size > this.state.size) this.#appends.amend({ size });
  }

  /**
   * Applies a look at the file, while nothing is being appended.
   *
   * @param known what was committed before it: what was since, it may not have seen
   * @param size how much of the file is good
   */
  looked(known: number, size: number): void {
    if (size >= known) {
      this.advance(size);
      return;
    }
    this.#appends.cut(size);
    this.cutFeed();
  }

  /**
   * The way out, which is made if there is none.
   *
   * @param file shared with it, so that the caller closes it all the same
   * @param keeper notified when nobody has it any more, and its file is closed
   */
  openFeed(file: StoredFile, keeper: FeedKeeper): Feed {
    if (this.#feed === undefined) {
      this.#keeper = keeper;
      this.#feed = new Feed(file.share(), this.state.size, this);
    }
    return this.#feed;
  }

  feedGrew(committed: number): void {
    this.advance(committed);
  }

  feedIsIdle(feed: Feed): void {
    if (this.#feed === feed) this.#feed = undefined;
    void this.#closeFeed(feed);
  }

  /** Closes it for a session, whose bytes are in the file. Nobody is notified before that is safe. */
  close(): Promise<void> {
    return this.#appends.close();
  }

  /** Makes what is in the file safe, and remembers it beside the file, so that the journal is not needed for it. */
  async checkpoint(): Promise<void> {
    if (this.#isGone) return;
    // What is remembered of a stream to which a session appends is brought up to date at its end.
    if (this.#isClaimed) await this.sync.sync();
    else await this.#appends.checkpoint();
  }

  /** Takes no appends until {@link release}: it cannot be brought up to date. Resolves when none is under way. */
  async isolate(cause: HttpfstreamError): Promise<void> {
    this.#isolation = isolationOf(cause);
    await this.claimant?.isolate(cause);
    await this.#appends.isolate();
  }

  /** Takes appends again. */
  release(): void {
    this.#appends.release();
    this.#isolation = undefined;
  }

  /** Resolves when nothing is under way. */
  async settled(): Promise<void> {
    await this.#appends.whileIdle(() => {});
  }

  /** Closes the file when nothing is under way; the next append opens it again. */
  closeFile(): Promise<void> {
    return this.#appends.whileIdle(() => this.#appends.closeFile());
  }

  /** As {@link closeFile}; the file stays open as long as something in it has to be taken back, and cannot be. */
  quiesce(): Promise<void> {
    return this.#appends.whileIdle(() => this.#appends.quiesce());
  }

  /** Notes that another program has cut the file: what its followers have is not what is there. */
  cutFeed(): void {
    this.#feed?.end({ reason: 'truncated' }, 'stream');
    this.#feed = undefined;
  }

  /** Notes that the file was deleted. */
  async gone(): Promise<void> {
    this.#isGone = true;
    this.room.count(0);
    this.#feed?.end({ reason: 'deleted' }, 'stream');
    // Nobody needs its bytes any more.
    await this.closeFile().catch(() => undefined);
  }

  /** Takes no more appends: the server closes. */
  shutDown(): void {
    this.#isClosing = true;
    // A session's followers are notified when it is over.
    if (!this.#isClaimed) this.#feed?.end({ reason: 'shutdown' }, 'stream');
  }

  /** Whether no name leads to its file any more, as far as that is known. */
  #isUnlinked(): boolean {
    try {
      return this.#feed?.file.stateInLine().isLinked === false;
    } catch {
      return false;
    }
  }

  async #closeFeed(feed: Feed): Promise<void> {
    // A close that fails has lost nothing: what was written was synced, or reported, before.
    await feed.file.close().catch(() => undefined);
    this.#keeper?.feedClosed(this, feed);
  }

  #assertFree(): void {
    if (this.#isGone) throw new ResourceGoneError('the stream was deleted');
    if (this.#isDamaged) {
      throw new StorageError('what is remembered of the stream is damaged: the server must be checked');
    }
    if (this.#isClosing) throw new ServerClosingError('the server is shutting down');
    if (this.#isolation !== undefined) throw this.#isolation;
    this.#assertNothingLost();
    if (this.#isClaimed) throw new AppendBusyError('an appender holds the resource');
  }

  #assertNothingLost(): void {
    if (this.sync.lost !== undefined) throw isolationOf(this.sync.lost);
  }

  changed(): void {
    if (!this.#isGone) this.room.count(this.state.size);
    if (this.state.generation !== this.#generationOfNames) {
      this.#generationOfNames = this.state.generation;
      this.#names = namesOf(this.generation, this.state);
      this.cutFeed();
    }
    this.#feed?.advance(this.state.size);
    // A session that closes it notifies them of how it has ended.
    if (this.state.closed === true && !this.#isClaimed) this.#owner.closed(this);
  }
}
