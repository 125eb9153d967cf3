import { RangeNotSatisfiableError, ResourceGoneError } from '../errors.ts';
import type { ResourcePath } from '../storage/resource-path.ts';
import type { Root } from '../storage/root.ts';
import type { StoredFile } from '../storage/stored-file.ts';
import type { Follower, FollowerSink } from './follower.ts';
import type { OpenFeeds } from './open-feeds.ts';
import { openRenamed } from './renamed-file.ts';
import type { FollowRequest } from './request.ts';
import type { OpenRotated } from './rotated-path.ts';
import { Rotations } from './rotations.ts';
import type { SessionRegistry } from './session-registry.ts';
import { Slots } from './slots.ts';
import { startAt } from './start-position.ts';
import type { StreamLifecycle } from './streams/stream-lifecycle.ts';

/** Time between two looks at a path that is followed by somebody who comes back. */
const LOOK_INTERVAL_MS = 250;

/** How many directories are searched for files that were renamed at a time. */
const MAX_SEARCHES = 1;

/** Followers who come back for the rest of a file that is not any more, at its path, what they have followed. */
export class RotatedFollowers {
  readonly #root: Root;
  readonly #rotations: Rotations;
  readonly #searches = new Slots(MAX_SEARCHES);
  readonly #feeds: OpenFeeds;
  readonly #sessions: SessionRegistry;
  readonly #streams: StreamLifecycle;

  constructor(root: Root, feeds: OpenFeeds, sessions: SessionRegistry, streams: StreamLifecycle) {
    this.#root = root;
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
   * Follows what is left of a file that is held, or was renamed while nobody watched.
   *
   * @param failure why what is at the path cannot be followed
   * @returns undefined when nothing is there that is asked for
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
    const isGone = failure instanceof ResourceGoneError;
    const mayBeHeld = isGone || failure instanceof RangeNotSatisfiableError;
    if (generation === undefined || lines !== undefined || !mayBeHeld) return undefined;
    const rotated =
      (await this.#rotations.open(resource, generation, holdMs)) ??
      (isGone && holdMs > 0 ? await this.#openRenamed(resource, generation, holdMs) : undefined);
    if (rotated === undefined) return undefined;
    let follower: Follower | undefined;
    try {
      follower = await this.#join(rotated, request, sink, isGone);
      return follower;
    } finally {
      if (follower?.feed.file !== rotated.file) await rotated.file.close();
    }
  }

  /** Lets all files go. Idempotent. */
  close(): Promise<void> {
    return this.#rotations.close();
  }

  async #openRenamed(
    resource: ResourcePath,
    generation: number,
    holdMs: number,
  ): Promise<OpenRotated | undefined> {
    // What cannot be searched has nothing.
    const file = await this.#searches
      .run(() => openRenamed(this.#root, resource, generation))
      .catch(() => undefined);
    if (file === undefined) return undefined;
    await this.#rotations.adopt(resource, file, holdMs);
    return this.#rotations.open(resource, generation, holdMs);
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
