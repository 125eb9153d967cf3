import type { Quarantine } from '../../storage/journal/quarantine.ts';
import { KeyedLock } from '../../storage/keyed-lock.ts';
import type { StoredFile } from '../../storage/stored-file.ts';
import { type HttpfstreamError, ServerClosingError } from '../../wire/errors.ts';
import type { ResourcePath } from '../../wire/resource-path.ts';
import type { EntryHeader } from '../log/entry.ts';
import type { LocalLog } from '../log/local-log.ts';
import { LoneEntry } from '../log/lone-entry.ts';
import { isolationOf, Stream, type StreamOwner } from './stream.ts';
import { canExpire } from './stream-expiry.ts';
import type { StreamStore } from './stream-store.ts';
import { ahead, type LookedAt, type StreamView, viewOf } from './stream-view.ts';

/** How many streams that nobody uses keep their files open. */
const MAX_IDLE = 256;

/** How long a path leads to where it led. */
const SEEN_MS = 1000;

/** Time after which those that nobody has used are let go: once to twice that. */
const IDLE_MS = 2000;

interface Holding {
  stream: Stream;
  users: number;
  /** Paths at which it was seen. */
  keys: Set<string>;
}

/** The streams that somebody uses, or whose records are behind the log. */
export class StreamRegistry implements StreamOwner {
  readonly #log: LocalLog;
  readonly #store: StreamStore;
  readonly #quarantine: Quarantine<EntryHeader>;
  readonly #opening = new KeyedLock();
  readonly #holdings = new Map<string, Holding>();
  /** Those that nobody uses, the ones used last at the end. */
  readonly #idle = new Set<Stream>();
  /** Those that were used since the last look. */
  readonly #recent = new Set<Stream>();
  /** At which paths streams were seen, and when. */
  readonly #seen = new Map<string, { stream: Stream; atMs: number }>();
  #timer: NodeJS.Timeout | undefined;
  #isClosing = false;

  constructor(log: LocalLog, store: StreamStore, quarantine: Quarantine<EntryHeader>) {
    this.#log = log;
    this.#store = store;
    this.#quarantine = quarantine;
  }

  /** The stream of a file, if it is held. */
  held(fingerprint: string): Stream | undefined {
    return this.#holdings.get(fingerprint)?.stream;
  }

  /** All that are held. */
  *all(): Generator<Stream, void, undefined> {
    for (const { stream } of this.#holdings.values()) yield stream;
  }

  /** Holds a stream that is held once more, until {@link release}. */
  retain(stream: Stream): void {
    (this.#holdings.get(stream.fingerprint) as Holding).users++;
  }

  /**
   * Holds the stream of an open file until {@link release}.
   *
   * @param path the name under which it was opened
   * @param isThere false when it is not at that path any more
   */
  async acquire(file: StoredFile, path: ResourcePath, isThere = true): Promise<Stream> {
    if (this.#isClosing) throw new ServerClosingError('the server is shutting down');
    const { fingerprint } = file.stat;
    const holding =
      this.#holdings.get(fingerprint) ??
      (await this.#opening.run(fingerprint, async () => {
        const held = this.#holdings.get(fingerprint);
        if (held !== undefined) return held;
        const made = { stream: await this.#make(file, path), users: 0, keys: new Set<string>() };
        this.#holdings.set(fingerprint, made);
        if (this.#isClosing) made.stream.shutDown();
        return made;
      }));
    holding.users++;
    this.#idle.delete(holding.stream);
    this.#recent.add(holding.stream);
    if (isThere) {
      holding.keys.add(path.key);
      this.#seen.set(path.key, { stream: holding.stream, atMs: performance.now() });
    }
    // Another program may have appended since.
    try {
      const { state } = holding.stream.isWriting ? holding.stream : await this.#look(file);
      if (!holding.stream.isWriting) holding.stream.advance(state.size);
    } catch (error) {
      this.release(holding.stream);
      throw error;
    }
    return holding.stream;
  }

  upToDate(stream: Stream): void {
    this.#letGo(stream);
  }

  /** To be called once for each {@link acquire}. */
  release(stream: Stream): void {
    const holding = this.#holdings.get(stream.fingerprint) as Holding;
    holding.users--;
    this.#letGo(stream);
  }

  /**
   * Holds the stream at a path that is in use, without a look at the disk: that it is still
   * there was seen a moment ago, and each append looks again.
   */
  acquireUsed({ key }: ResourcePath): Stream | undefined {
    const seen = this.#seen.get(key);
    if (seen === undefined) return undefined;
    const { stream, atMs } = seen;
    const holding = this.#holdings.get(stream.fingerprint);
    const isSure =
      holding?.stream === stream &&
      (stream.isWriting || holding.users > 0) &&
      !stream.isGone &&
      !canExpire(stream.state) &&
      !this.#isClosing &&
      performance.now() - atMs < SEEN_MS;
    if (!isSure) {
      this.#seen.delete(key);
      return undefined;
    }
    holding.users++;
    this.#idle.delete(stream);
    this.#recent.add(stream);
    return stream;
  }

  /**
   * Whether anybody uses the stream of a file at the moment.
   *
   * @param options.own how many of its holds are the caller's. Default: none
   */
  isUsed(fingerprint: string, { own = 0 }: { own?: number } = {}): boolean {
    return (this.#holdings.get(fingerprint)?.users ?? 0) > own;
  }

  /**
   * What is to be seen of the stream of an open file, now.
   *
   * @throws what {@link assertWhole} throws
   */
  async view(file: LookedAt): Promise<StreamView> {
    this.assertWhole(file.stat.fingerprint);
    return this.#look(file);
  }

  /**
   * To be called before anybody is told what is in a file, or how much.
   *
   * @throws what appends are told, when only the log is sure to have what was acknowledged
   */
  assertWhole(fingerprint: string): void {
    const held = this.held(fingerprint);
    held?.assertWhole();
    const isolation = held === undefined ? this.#isolation(fingerprint) : undefined;
    if (isolation !== undefined) throw isolation;
  }

  /** Tells that a file was deleted, so that no start misses it. */
  async delete(stream: Stream): Promise<void> {
    const { journal } = this.#log;
    const { fingerprint: file, location } = stream;
    this.#log.checkpoints.forget(stream);
    await stream.gone();
    const { version, size: start } = stream.state;
    if (version > 0 && journal.heldSize > 0) {
      const entry = { file, path: location, version, start, length: 0, deleted: true } as const;
      // Without it a start takes the file for lost, and tells of it: nothing worse.
      await new LoneEntry(journal, entry).write().catch(() => undefined);
      // So that the log is shortened after it.
      this.#log.checkpoints.add(stream);
    }
  }

  /**
   * Forgets what is logged of a deleted file that is in quarantine. To be called when it cannot be there again after a
   * loss of power: it would lack that. Never rejects.
   */
  async forget({ fingerprint }: Stream): Promise<void> {
    const quarantine = this.#quarantine;
    const isHeld = quarantine.causeOf(fingerprint) !== undefined;
    // Else the next start tells of bytes that nobody misses: nothing worse.
    await quarantine.remove(fingerprint).catch(() => undefined);
    if (isHeld)
      await this.#log.journal.annulReplayed(({ file }) => file === fingerprint).catch(() => undefined);
  }

  /** Takes no more appends, makes all that is in the log safe beside the files, and lets them go. */
  async close(): Promise<void> {
    this.#isClosing = true;
    clearTimeout(this.#timer);
    const streams = Array.from(this.#holdings.values(), ({ stream }) => stream);
    for (const stream of streams) stream.shutDown();
    // So that the log has nothing more of them afterwards.
    await Promise.all(streams.map((stream) => stream.settled()));
    await this.#log.checkpoints.close();
    // What fails is in the log, and made good by the next start.
    await Promise.allSettled(Array.from(this.#holdings.values(), ({ stream }) => stream.closeFile()));
  }

  async #look(file: LookedAt): Promise<StreamView> {
    const { fingerprint } = file.stat;
    const held = this.held(fingerprint);
    if (held?.isWriting) return { state: held.state, names: held.names };
    const { state } = await this.#store.readOf(file);
    const known = held === undefined ? state : await ahead(held.state, state, file);
    // What a session has committed may not be in the look at the file yet.
    const feed = held?.isClaimed ? held.feed : undefined;
    const size = feed?.committed ?? known.size;
    return viewOf(file, { ...known, size });
  }

  /** Why the file of a stream that is not held may be behind the log. What comes into quarantine later is held until it leaves it. */
  #isolation(fingerprint: string): HttpfstreamError | undefined {
    const quarantine = this.#quarantine;
    return quarantine.has(fingerprint) ? isolationOf(quarantine.causeOf(fingerprint)) : undefined;
  }

  async #make(file: StoredFile, path: ResourcePath): Promise<Stream> {
    const { location, stat } = file;
    const { fingerprint, generation } = stat;
    const { state, isDamaged } = await this.#store.readOf(file);
    return new Stream(this.#log, this, {
      path: path,
      fingerprint,
      location,
      generation,
      state,
      isolation: this.#isolation(fingerprint),
      isDamaged,
    });
  }

  /** Lets a stream go when it is not needed any more, or keeps it for a while. */
  #letGo(stream: Stream): void {
    const holding = this.#holdings.get(stream.fingerprint);
    if (
      this.#isClosing ||
      holding?.stream !== stream ||
      holding.users > 0 ||
      this.#log.checkpoints.has(stream)
    )
      return;
    if (stream.isGone) {
      this.#drop(stream);
      return;
    }
    this.#idle.add(stream);
    if (this.#idle.size > MAX_IDLE) this.#drop(this.#idle.values().next().value as Stream);
    this.#timer ??= setTimeout(() => this.#dropIdle(), IDLE_MS).unref();
  }

  #drop(stream: Stream): void {
    this.#idle.delete(stream);
    this.#recent.delete(stream);
    const holding = this.#holdings.get(stream.fingerprint);
    for (const key of holding?.keys ?? []) this.#seen.delete(key);
    this.#holdings.delete(stream.fingerprint);
    // What it has brought is remembered, so that it does not matter whether this works.
    void stream.closeFile().catch(() => undefined);
  }

  /** Drops those that were idle the last time, too. */
  #dropIdle(): void {
    this.#timer = undefined;
    for (const stream of this.#idle) if (!this.#recent.has(stream)) this.#drop(stream);
    this.#recent.clear();
    if (this.#idle.size > 0) this.#timer = setTimeout(() => this.#dropIdle(), IDLE_MS).unref();
  }
}
