import { RangeNotSatisfiableError, ResourceGoneError } from '../errors.ts';
import type { ResourcePath } from '../storage/resource-path.ts';
import type { Root } from '../storage/root.ts';
import type { StoredFile } from '../storage/stored-file.ts';
import type { Follower, FollowerSink } from './follower.ts';
import type { OpenFeeds } from './open-feeds.ts';
import type { FollowRequest } from './request.ts';
import type { OpenRotated } from './rotated-path.ts';
import { Rotations } from './rotations.ts';
import type { SessionRegistry } from './session-registry.ts';
import { startAt } from './start-position.ts';
import type { StreamLifecycle } from './streams/stream-lifecycle.ts';

/** Time between two looks at a path that is followed by somebody who comes back. */
const LOOK_INTERVAL_MS = 250;

/** Followers who come back for the rest of a file that is not any more, at its path, what they have followed. */
export class RotatedFollowers {
  readonly #rotations: Rotations;
  readonly #feeds: OpenFeeds;
  readonly #sessions: SessionRegistry;
  readonly #streams: StreamLifecycle;

  constructor(root: Root, feeds: OpenFeeds, sessions: SessionRegistry, streams: StreamLifecycle) {
    this.#rotations = new Rotations(root, LOOK_INTERVAL_MS);
    this.#feeds = feeds;
    this.#sessions = sessions;
    this.#streams = streams;
  }

  /** Holds a file that is followed, if that was asked for. */
  hold(resource: ResourcePath, file: StoredFile, { holdMs = 0 }: FollowRequest): void {
    if (holdMs > 0) this.#rotations.hold(resource, file, holdMs);
  }

  /**
   * Follows what is left of a file that is held.
   *
   * @param failure why what is at the path cannot be followed
   * @returns undefined when nothing is held that is asked for
   * @throws {RangeNotSatisfiableError} when it is to begin beyond the end
   * @throws what {@link StreamLifecycle.assertWhole} throws
   */
  async follow(
    resource: ResourcePath,
    request: FollowRequest,
    sink: FollowerSink,
    failure: unknown,
  ): Promise<Follower | undefined> {
    const { generation, lines, holdMs = 0 } = request;
    const mayBeHeld = failure instanceof ResourceGoneError || failure instanceof RangeNotSatisfiableError;
    if (generation === undefined || lines !== undefined || !mayBeHeld) return undefined;
    const rotated = await this.#rotations.open(resource, generation, holdMs);
    if (rotated === undefined) return undefined;
    let follower: Follower | undefined;
    try {
      follower = await this.#join(rotated, request, sink, failure instanceof ResourceGoneError);
      return follower;
    } finally {
      if (follower?.feed.file !== rotated.file) await rotated.file.close();
    }
  }

  /** Lets all files go. Idempotent. */
  close(): Promise<void> {
    return this.#rotations.close();
  }

  async #join(
    rotated: OpenRotated,
    { from, holdMs = 0 }: FollowRequest,
    sink: FollowerSink,
    isGone: boolean,
  ): Promise<Follower> {
    const { file, size, largest, isReplaced, successor } = rotated;
    const { fingerprint, identity } = file.stat;
    this.#streams.assertWhole(fingerprint);
    // Who appends has not been told yet.
    const live = this.#sessions.live(identity);
    if (live !== undefined) return live.join(startAt(from, live.committed), sink);
    const isCut = from !== undefined && from > size;
    const committed = isCut ? largest : size;
    const position = startAt(from, committed);
    const isDraining = isReplaced && successor === undefined && holdMs > 0;
    const isOver = isGone && !isDraining;
    const reason = isOver ? 'deleted' : await this.#sessions.history.endReason(file, size);
    const feed = this.#feeds.open(file, committed, {});
    const follower = feed.join(position, sink);
    feed.end(isCut ? 'truncated' : reason, isOver ? successor : undefined);
    return follower;
  }
}
