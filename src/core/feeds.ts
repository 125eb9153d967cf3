import type { StoredFile } from '../storage/stored-file.ts';
import { type HttpfstreamError, ResourceNotFoundError, ServerClosingError } from '../wire/errors.ts';
import type { ResourcePath } from '../wire/resource-path.ts';
import { Feed } from './feed.ts';
import type { FileWatch, Watcher } from './file-watch.ts';
import type { Follower, FollowerSink } from './follower.ts';
import { LiveStream } from './live-stream.ts';
import type { Outcome } from './outcome.ts';
import type { Resources } from './resources.ts';
import type { Stream } from './streams/stream.ts';
import type { StreamRegistry } from './streams/stream-registry.ts';

/** Where a follower joins who is no session's. */
export interface Place {
  /** How much of the file is good. */
  size: number;
  /** Position of the first byte that it gets. */
  position: number;
  /** Position after the last byte that it gets, unless the stream is open. Default: `size`. */
  end?: number;
  /** Whether the file is at the path under which it was opened. */
  isThere: boolean;
}

/** The feeds of the streams that somebody reads live, or appends to through a session, and the files that they have open. */
export class Feeds {
  readonly #streams: StreamRegistry;
  readonly #resources: Resources;
  readonly #watch: FileWatch;
  /** One for each; settled, and gone from here, when its file is closed. */
  readonly #open = new Set<Promise<void>>();
  /** Those that are being opened for somebody who reads live. */
  readonly #opening = new Map<Stream, Promise<void>>();
  /** Those who have to know what becomes of the files of open streams. */
  readonly #watchers = new Map<Feed, Watcher>();

  constructor(streams: StreamRegistry, resources: Resources, watch: FileWatch) {
    this.#streams = streams;
    this.#resources = resources;
    this.#watch = watch;
  }

  /**
   * The feed of a stream that is held, and is then held for as long as anybody has the feed.
   *
   * @param file shared with it, so that the caller closes it all the same
   * @param size how much of the file is good
   */
  open(stream: Stream, file: StoredFile, size: number): Feed {
    const before = stream.feed;
    const feed: Feed = stream.openFeed(file, size, () => {
      closed();
      this.#unwatch(feed);
      // Its time to live begins when nobody reads it any more.
      this.#touch(stream);
      this.#streams.release(stream);
    });
    // What was counted before an append that was made meanwhile is not all.
    if (stream.isWriting) feed.advance(stream.state.size);
    if (feed === before) return feed;
    const closed = this.#opened();
    this.#streams.retain(stream);
    return feed;
  }

  /**
   * The stream at a path, with its feed, which is held until it is released.
   *
   * @throws what {@link Resources.acquire} and {@link Stream.assertWhole} throw
   */
  async openLive(path: ResourcePath): Promise<LiveStream> {
    const stream = await this.#resources.acquire(path);
    try {
      stream.assertWhole();
      this.#touch(stream);
      // Others who have waited for it may have let it go again.
      while (stream.feed === undefined) await this.#openOnce(stream, path);
      const { feed } = stream;
      feed.retain();
      this.watch(stream, feed, path);
      return new LiveStream(stream, feed);
    } finally {
      this.#streams.release(stream);
    }
  }

  /**
   * Makes a follower of an open file to which no session appends.
   *
   * @param path the name under which it was opened
   * @param outcome how it ends when it has everything, unless the file is a stream that is open
   */
  async follow(
    file: StoredFile,
    path: ResourcePath,
    { size, position, end, isThere }: Place,
    sink: FollowerSink,
    outcome: () => Promise<Outcome>,
  ): Promise<Follower> {
    const stream = await this.#streams.acquire(file, path, isThere).catch(ignoreUnreadable);
    // What is remembered of it cannot be read: its bytes are there all the same.
    if (stream === undefined) return this.#openAlone(file, size).join(position, sink, await outcome(), end);
    try {
      const until = isThere && stream.isOpen ? 'stream' : await outcome();
      const feed = this.open(stream, file, size);
      if (until === 'stream') this.watch(stream, feed, path);
      return feed.join(position, sink, until, end);
    } finally {
      this.#streams.release(stream);
    }
  }

  /**
   * Lets those who follow an open stream know what becomes of its file, though nobody appends.
   *
   * @param path the name under which the file was opened
   */
  watch(stream: Stream, feed: Feed, path: ResourcePath): void {
    if (this.#watchers.has(feed)) return;
    const lose = (error: HttpfstreamError) => {
      // Else it is about a file that was cut before, and followers of that.
      if (stream.feed === feed) stream.lose(error);
    };
    const watcher = { feed, lose };
    this.#watchers.set(feed, watcher);
    this.#watch.add(watcher, path);
  }

  /** Tells all who follow, but for those of sessions, that the server closes. */
  endFollowers(): void {
    for (const { isClaimed, feed } of this.#streams.all()) {
      if (!isClaimed) feed?.end({ reason: 'shutdown' }, 'stream');
    }
  }

  /** Resolves when nobody has a feed any more. */
  async closed(): Promise<void> {
    while (this.#open.size > 0) await Promise.all(this.#open);
  }

  /** Opens the feed of a stream that has none; those who want it at the same time share that. */
  #openOnce(stream: Stream, path: ResourcePath): Promise<void> {
    let opening = this.#opening.get(stream);
    if (opening === undefined) {
      opening = this.#openAt(stream, path).finally(() => this.#opening.delete(stream));
      this.#opening.set(stream, opening);
    }
    return opening;
  }

  async #openAt(stream: Stream, path: ResourcePath): Promise<void> {
    const file = await this.#resources.open(path);
    try {
      if (file.stat.fingerprint !== stream.fingerprint) {
        throw new ResourceNotFoundError('the stream was deleted');
      }
      this.open(stream, file, await this.#resources.committed(file));
    } finally {
      await file.close();
    }
  }

  #touch({ fingerprint, state }: Stream): void {
    void this.#resources.touch(fingerprint, state);
  }

  #unwatch(feed: Feed): void {
    const watcher = this.#watchers.get(feed);
    if (watcher === undefined) return;
    this.#watchers.delete(feed);
    this.#watch.delete(watcher);
  }

  #openAlone(file: StoredFile, size: number): Feed {
    const shared = file.share();
    const closed = this.#opened();
    return new Feed(shared, size, {
      committed: () => undefined,
      idle: () => void shared.close().then(closed, closed),
    });
  }

  /** Counts a feed; returns what counts it off. */
  #opened(): () => void {
    let closed = () => {};
    const open = new Promise<void>((resolve) => {
      closed = () => {
        this.#open.delete(open);
        resolve();
      };
    });
    this.#open.add(open);
    return closed;
  }
}

function ignoreUnreadable(error: unknown): undefined {
  if (error instanceof ServerClosingError) throw error;
}
