import type { Outcome } from '../../wire/protocol.ts';
import type { ResourcePath } from '../../wire/resource-path.ts';
import type { Resource } from '../resource.ts';
import type { Feed } from './feed.ts';
import type { Reader, Sink } from './reader.ts';

/**
 * A stream, or any other file, for live readers, which stay whoever appends to it: until it is closed, its file is
 * deleted, replaced or cut, or the server closes.
 */
export class LiveReads {
  readonly resource: Resource;
  /** Retained until {@link release}. */
  readonly feed: Feed;

  readonly #path: ResourcePath;

  /**
   * @param feed of the stream, which the caller has retained
   * @param path the name under which it is read
   */
  constructor(resource: Resource, feed: Feed, path: ResourcePath) {
    this.resource = resource;
    this.feed = feed;
    this.#path = path;
  }

  /** Makes a reader, which keeps the feed, too. As {@link Feed.join}. */
  join(position: number, sink: Sink): Reader {
    const reader = this.feed.join(position, sink, this.#outcome ?? 'stream');
    reader.path = this.#path;
    return reader;
  }

  /** To be called once. */
  release(): void {
    this.feed.release();
  }

  /** Why nothing more comes, if that is so: what has ended the feed does not end readers that join it afterwards. */
  get #outcome(): Outcome | undefined {
    const { isGone, isClosing, state, feed } = this.resource;
    if (isGone) return { reason: 'deleted' };
    if (feed !== this.feed) return { reason: 'truncated' };
    if (state.closed === true) return { reason: 'finished', closed: true };
    return isClosing ? { reason: 'shutdown' } : undefined;
  }
}
