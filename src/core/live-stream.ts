import type { Feed } from './feed.ts';
import type { Follower, FollowerSink } from './follower.ts';
import type { Outcome } from './outcome.ts';
import type { Stream } from './streams/stream.ts';

/**
 * A stream, or any other file, for those who read it live whoever appends to it: until it is closed, its file is not
 * what it was, or the server closes.
 */
export class LiveStream {
  readonly stream: Stream;
  /** Held until {@link release}. */
  readonly feed: Feed;

  /** @param feed of the stream, which the caller has held */
  constructor(stream: Stream, feed: Feed) {
    this.stream = stream;
    this.feed = feed;
  }

  /** Makes a follower, which holds the feed, too. As {@link Feed.join}. */
  join(position: number, sink: FollowerSink): Follower {
    return this.feed.join(position, sink, this.#outcome ?? 'stream');
  }

  /** To be called once. */
  release(): void {
    this.feed.release();
  }

  /** Why nothing more comes, if that is so: what has ended the feed does not end who joins it afterwards. */
  get #outcome(): Outcome | undefined {
    const { isGone, isClosing, state, feed } = this.stream;
    if (isGone) return { reason: 'deleted' };
    if (feed !== this.feed) return { reason: 'truncated' };
    if (state.closed === true) return { reason: 'finished' };
    return isClosing ? { reason: 'shutdown' } : undefined;
  }
}
