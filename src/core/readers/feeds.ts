import type { StoredFile } from '../../storage/stored-file.ts';
import {
  type HttpfstreamError,
  ResourceGoneError,
  ResourceNotFoundError,
  ServerClosingError,
  StorageBusyError,
  StorageError,
  StorageFullError,
} from '../../wire/errors.ts';
import type { Outcome } from '../../wire/protocol.ts';
import type { ResourcePath } from '../../wire/resource-path.ts';
import type { LiveResources } from '../live-resources.ts';
import type { Permit } from '../permit.ts';
import type { FeedKeeper, Resource } from '../resource.ts';
import type { Resources } from '../resources.ts';
import type { KnownState } from '../sessions/append-history.ts';
import type { FileWatch, Watcher } from '../watch/file-watch.ts';
import { Feed } from './feed.ts';
import { LiveReads } from './live-reads.ts';
import type { Reader, Sink } from './reader.ts';

const DELETED: Outcome = { reason: 'deleted' };

/** Where a follower joins a file to which no session appends. */
export interface Place {
  /** How many bytes of the file count, if what is remembered of it cannot be read. */
  size: number;
  /** Position of the first byte that it gets, by how much is committed when it joins. */
  start: (committed: number) => number;
  /** Position after the last byte that it gets, unless the stream is open. Default: what is committed when it joins. */
  end?: number;
  /** Whether the file is at the path under which it was opened. */
  isThere: boolean;
}

/** Who watches a file under one of its names. */
interface NamedWatcher extends Watcher {
  path: ResourcePath;
}

/**
 * The feeds of the streams that somebody reads live, or appends to through a session, and the files that they have
 * open.
 */
export class Feeds implements FeedKeeper {
  readonly #live: LiveResources;
  readonly #resources: Resources;
  readonly #watch: FileWatch;
  /** How many have their files open, … */
  #openCount = 0;
  /** … and who waits until none has. */
  readonly #closed: (() => void)[] = [];
  /** Those that are being opened for somebody who reads live. */
  readonly #opening = new Map<Resource, Promise<void>>();
  /** Watches over the files of open streams, while they are followed: one for each name under which they are. */
  readonly #watchers = new Map<Feed, Map<string, NamedWatcher>>();

  constructor(live: LiveResources, resources: Resources, watch: FileWatch) {
    this.#live = live;
    this.#resources = resources;
    this.#watch = watch;
  }

  /**
   * The feed of a resource that is in use, and is then in use for as long as anybody has the feed.
   *
   * @param file shared with it, so that the caller closes it all the same
   */
  open(resource: Resource, file: StoredFile): Feed {
    const before = resource.feed;
    const feed = resource.openFeed(file, this);
    if (feed === before) return feed;
    this.#openCount++;
    this.#live.retain(resource);
    return feed;
  }

  feedClosed(resource: Resource, feed: Feed): void {
    this.#unwatch(feed);
    // Its time to live is counted from when nobody reads it any more.
    this.#touch(resource);
    this.#live.release(resource);
    this.#countOff();
  }

  /**
   * The stream at a path, with its feed, which stays until it is released.
   *
   * @throws what {@link Resources.acquire} and {@link Resource.assertWhole} throw
   * @throws {ServerClosingError} when the server closes
   */
  async openLive(permit: Permit<'follow'>): Promise<LiveReads> {
    const { path } = permit;
    const resource = await this.#resources.acquire(permit);
    try {
      resource.assertWhole();
      this.#touch(resource);
      // Others who have waited for it may have released it again.
      while (resource.feed === undefined) await this.#openOnce(resource, permit);
      const { feed } = resource;
      feed.retain();
      if (resource.isClosing) {
        feed.release();
        throw new ServerClosingError('the server is shutting down');
      }
      this.#watchName(resource, feed, path);
      return new LiveReads(resource, feed, path);
    } finally {
      this.#live.release(resource);
    }
  }

  /**
   * Makes a follower of an open file to which no session appends.
   *
   * @param path the name under which it was opened
   * @param outcome how it ends when it has all that is committed by now, unless the file is a stream that is open
   * @throws {ServerClosingError} when the server closes
   */
  async follow(
    file: StoredFile,
    path: ResourcePath,
    { size, start, end, isThere }: Place,
    sink: Sink,
    outcome: (known: KnownState) => Promise<Outcome>,
  ): Promise<Reader> {
    const resource = await this.#acquireToFollow(file, path, isThere);
    // Nothing is known of it but its bytes, which are there all the same.
    if (resource === undefined) {
      const position = start(size);
      const ended = await outcome({ size });
      return this.#openAlone(file, size).join(position, sink, ended, end);
    }
    try {
      const { committed } = resource;
      const position = start(committed);
      const { closed, version } = resource.state;
      const known = { size: committed, closed, version };
      const ended = isThere && resource.isOpen ? undefined : await outcome(known);
      // Who joins after the others were notified would wait for ever.
      if (resource.isClosing) throw new ServerClosingError('the server is shutting down');
      // It may have been deleted since it was opened: then nothing is known of how the last append has ended.
      const until = isThere && !file.stateInLine().isLinked ? DELETED : ended;
      const feed = this.open(resource, file);
      // What is committed while that was looked up is not what it is about.
      if (until !== undefined) return feed.join(position, sink, until, end ?? committed);
      this.#watchName(resource, feed, path);
      return feed.join(position, sink, 'stream');
    } finally {
      this.#live.release(resource);
    }
  }

  /**
   * Lets those who follow an open stream know what becomes of its file, though nobody appends. To be called when a
   * session has ended, which has watched until then.
   */
  watch(resource: Resource, feed: Feed): void {
    const watched = [...(this.#watchers.get(feed)?.values() ?? [])].map(({ path }) => path);
    this.#unwatch(feed);
    for (const path of [...watched, ...feed.paths()]) this.#watchName(resource, feed, path);
  }

  /** Resolves when nobody has a feed any more. */
  async closed(): Promise<void> {
    if (this.#openCount > 0) await new Promise<void>((resolve) => this.#closed.push(resolve));
  }

  /** Opens the feed of a stream that has none; those who want it at the same time share that. */
  #openOnce(resource: Resource, permit: Permit<'follow'>): Promise<void> {
    let opening = this.#opening.get(resource);
    if (opening === undefined) {
      opening = this.#openAt(resource, permit).finally(() => this.#opening.delete(resource));
      this.#opening.set(resource, opening);
    }
    return opening;
  }

  async #openAt(resource: Resource, permit: Permit<'follow'>): Promise<void> {
    const file = await this.#resources.open(permit);
    try {
      if (file.stat.fingerprint !== resource.fingerprint) {
        throw new ResourceNotFoundError('the stream was deleted');
      }
      this.open(resource, file);
    } finally {
      await file.close();
    }
  }

  /** Holds what is followed; undefined when what is remembered of it cannot be read, and nobody else holds it. */
  async #acquireToFollow(
    file: StoredFile,
    path: ResourcePath,
    isThere: boolean,
  ): Promise<Resource | undefined> {
    try {
      return await this.#live.acquire(file, path, { isThere });
    } catch (error) {
      if (!isUnreadable(error)) throw error;
      // All is known of what is held: who follows it alone would not see what is appended.
      const resource = this.#live.get(file.stat.fingerprint);
      if (resource !== undefined) this.#live.retain(resource);
      return resource;
    }
  }

  /**
   * Watches the file under one of its names: when that leads elsewhere it is there still for those who follow it
   * under another.
   */
  #watchName(resource: Resource, feed: Feed, path: ResourcePath): void {
    const watchers = this.#watchers.get(feed) ?? new Map<string, NamedWatcher>();
    if (watchers.has(path.key)) return;
    // Else it is about a file that was cut before, and followers of that; while a session has it, that finds out.
    const isItsOwn = () => resource.feed === feed && !resource.isClaimed;
    const watcher = {
      feed,
      path,
      lose: (error: HttpfstreamError) => {
        if (!isItsOwn()) return;
        if (!(error instanceof ResourceGoneError)) {
          resource.cutFeed();
          return;
        }
        // Whoever comes next looks where it is.
        resource.misplaced();
        this.#loseName(feed, path);
      },
      grew: () => {
        if (!isItsOwn() || resource.state.closed === true) return;
        // What cannot be read is looked at again.
        this.#live.refresh(resource, feed.file).catch(() => undefined);
      },
    };
    this.#watchers.set(feed, watchers.set(path.key, watcher));
    this.#watch.add(watcher, path);
  }

  /** Who comes later by that name has found the file there again. */
  #loseName(feed: Feed, path: ResourcePath): void {
    const watchers = this.#watchers.get(feed);
    const watcher = watchers?.get(path.key);
    if (watcher !== undefined) this.#watch.delete(watcher);
    watchers?.delete(path.key);
    feed.end(DELETED, 'stream', path);
  }

  #touch({ fingerprint, state }: Resource): void {
    void this.#resources.touch(fingerprint, state);
  }

  #unwatch(feed: Feed): void {
    for (const watcher of this.#watchers.get(feed)?.values() ?? []) this.#watch.delete(watcher);
    this.#watchers.delete(feed);
  }

  #openAlone(file: StoredFile, size: number): Feed {
    const countOff = () => this.#countOff();
    this.#openCount++;
    return new Feed(file.share(), size, {
      maxFollowers: Number.POSITIVE_INFINITY,
      feedGrew: () => undefined,
      feedIsIdle: (feed) => void feed.file.close().then(countOff, countOff),
    });
  }

  #countOff(): void {
    this.#openCount--;
    if (this.#openCount === 0) for (const resolve of this.#closed.splice(0)) resolve();
  }
}

/** Whether it says that what is remembered of a file cannot be read. */
function isUnreadable(error: unknown): boolean {
  return (
    error instanceof StorageError || error instanceof StorageBusyError || error instanceof StorageFullError
  );
}
