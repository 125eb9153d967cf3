import type { Root } from '../../storage/root/root.ts';
import { StorageBusyError } from '../../wire/errors.ts';
import type { EndFacts, Outcome } from '../../wire/protocol.ts';
import type { ResourcePath } from '../../wire/resource-path.ts';
import { Permit } from '../permit.ts';
import type { Feeds } from '../readers/feeds.ts';
import type { Reader, Sink } from '../readers/reader.ts';
import { startAt } from '../readers/start-position.ts';
import { type FollowRequest, returnPosition } from '../request.ts';
import type { Resources } from '../resources.ts';
import type { KnownState } from '../sessions/append-history.ts';
import type { SessionRegistry } from '../sessions/session-registry.ts';
import { Slots } from '../slots.ts';
import type { PathWatch } from './path-watch.ts';
import { openRenamed } from './renamed-file.ts';
import type { OpenRotated, RotatedFile, Successor } from './rotated-file.ts';
import { Rotations } from './rotations.ts';

/** Time between two looks at a file whose followers come back. */
const LOOK_INTERVAL_MS = 250;

/** How many directories are searched for files that were renamed at a time, and how many requests for that wait. */
const MAX_SEARCHES = 1;
const MAX_WAITING = 100;

/** Followers that come back for the rest of a file that is not, at its path, what they have followed any more. */
export class RotatedFollowers {
  readonly #root: Root;
  readonly #rotations: Rotations;
  readonly #searches = new Slots(MAX_SEARCHES);
  readonly #feeds: Feeds;
  readonly #sessions: SessionRegistry;
  readonly #resources: Resources;

  constructor(root: Root, paths: PathWatch, feeds: Feeds, sessions: SessionRegistry, resources: Resources) {
    this.#root = root;
    this.#rotations = new Rotations(root, paths, LOOK_INTERVAL_MS);
    this.#feeds = feeds;
    this.#sessions = sessions;
    this.#resources = resources;
  }

  /** Keeps a file that is followed, if that was asked for. */
  hold(path: ResourcePath, reader: Reader, request: FollowRequest): void {
    if (request.holdMs === undefined || request.holdMs === 0) return;
    // What was there one after the other is known where it comes from.
    if (reader.feed.file.isCopy) return;
    // While somebody appends, the feed sees what happens, and nobody knows how far it will go.
    const end = reader.endPosition;
    const held = this.#rotations.hold(path, reader.feed.file, request, end);
    if (held !== undefined) reader.whenLeft(() => remember(held, reader, request, end));
  }

  /**
   * Tells a follower that a file was cut since it was there, be it as long again as it was.
   *
   * @returns undefined when it was not, as far as is known
   * @throws what {@link Resources.assertWhole} throws
   */
  async followCut(permit: Permit<'follow'>, request: FollowRequest, sink: Sink): Promise<Reader | undefined> {
    const { path } = permit;
    const { generation, from } = request;
    if (generation === undefined || from === undefined) return undefined;
    const rotated = await this.#rotations.open(path, request);
    return this.#serve(rotated, permit, request, async (open) =>
      open.isCut ? this.#joinCut(open, path, from, sink) : undefined,
    );
  }

  /**
   * Follows what is left of a file that is not at its path any more: of one that is kept, or was renamed while
   * nobody watched.
   *
   * @returns undefined when nothing is there that is asked for
   * @throws {RangeNotSatisfiableError} when it is to begin beyond the end
   * @throws {StorageBusyError} when very many look for files that were renamed
   * @throws what {@link Resources.assertWhole} throws
   */
  async followRest(
    permit: Permit<'follow'>,
    request: FollowRequest,
    sink: Sink,
  ): Promise<Reader | undefined> {
    const { path } = permit;
    if (request.generation === undefined || request.lines !== undefined) return undefined;
    const rotated =
      (await this.#rotations.open(path, request)) ??
      (await this.#openRenamed(permit, request.generation, request));
    return this.#serve(rotated, permit, request, (open) => this.#join(open, path, request, sink));
  }

  /** Forgets a file that was deleted here: it is gone for followers, too, that would come back. */
  forget(identity: string): void {
    this.#rotations.forget(identity);
  }

  /** Closes all files. Idempotent. */
  close(): Promise<void> {
    return this.#rotations.close();
  }

  async #openRenamed(
    permit: Permit<'follow'>,
    generation: number,
    request: FollowRequest,
  ): Promise<OpenRotated | undefined> {
    const { holdMs = 0, from = 0 } = request;
    if (holdMs === 0) return undefined;
    if (this.#searches.waiting >= MAX_WAITING) {
      throw new StorageBusyError('the server looks for many renamed files');
    }
    // What cannot be searched has nothing.
    const renamed = await this.#searches
      .run(() => openRenamed(this.#root, permit, { generation, from }))
      .catch(() => undefined);
    if (renamed === undefined) return undefined;
    await this.#rotations.adopt(permit.path, renamed, holdMs);
    return this.#rotations.open(permit.path, request);
  }

  /** Closes what is open, unless somebody follows it, who may do that by the name by which it was found, too. */
  async #serve(
    rotated: OpenRotated | undefined,
    { subject }: Permit<'follow'>,
    { holdMs = 0 }: FollowRequest,
    join: (open: OpenRotated) => Promise<Reader | undefined>,
  ): Promise<Reader | undefined> {
    if (rotated === undefined) return undefined;
    try {
      const { foundAt } = rotated;
      // Who would not have it looked for does not get what others have.
      const mayHave = holdMs > 0 && foundAt && Permit.of(subject, 'follow', foundAt) !== undefined;
      if (foundAt !== undefined && !mayHave) return undefined;
      this.#resources.assertWhole(rotated.file.stat.fingerprint);
      return await join(rotated);
    } finally {
      await rotated.file.close();
    }
  }

  async #join(rotated: OpenRotated, path: ResourcePath, request: FollowRequest, sink: Sink): Promise<Reader> {
    const { from, holdMs = 0 } = request;
    const { file, isCut, isReplaced, successor } = rotated;
    if (isCut && from !== undefined) return this.#joinCut(rotated, path, from, sink);
    // The session has not noticed yet.
    const session = this.#sessions.live(file.stat.fingerprint);
    if (session !== undefined) return session.join(startAt(from, session.feed.committed), sink);
    const size = await this.#resources.committed(file);
    const isDraining = isReplaced && successor === undefined && holdMs > 0;
    const outcome = async (known: KnownState): Promise<Outcome> =>
      isDraining
        ? { ...(await this.#sessions.history.outcome(file, known)), moved: true }
        : { reason: 'deleted', ...factsOf(successor) };
    const start = (committed: number) => startAt(from, committed);
    return this.#feeds.follow(file, path, { size, start, isThere: false }, sink, outcome);
  }

  async #joinCut(
    { file, sizeBeforeCut }: OpenRotated,
    path: ResourcePath,
    from: number,
    sink: Sink,
  ): Promise<Reader> {
    // Nothing is read of it: what is there now is something else.
    const outcome: Outcome = {
      reason: 'truncated',
      ...(sizeBeforeCut > from && { lost: sizeBeforeCut - from }),
    };
    const size = await this.#resources.committed(file);
    const place = { size, start: () => from, end: from, isThere: false };
    return this.#feeds.follow(file, path, place, sink, async () => outcome);
  }
}

/**
 * Remembers where a follower will be that has left and comes back.
 *
 * @param end where it was expected to be, if that was known
 */
function remember(held: RotatedFile, reader: Reader, request: FollowRequest, end: number | undefined): void {
  const { outcome, position } = reader;
  const hasAll = outcome !== undefined && !reader.isBehind;
  // It is there, or begins anew.
  if ((hasAll && end !== undefined) || outcome?.reason === 'truncated') return;
  held.readTo(position, end ?? returnPosition(request));
  const { from } = request;
  // How much has arrived of what was sent nobody knows: perhaps nothing.
  if (!hasAll && from !== undefined && from < position) held.readTo(from, undefined);
}

function factsOf(successor: Successor | undefined): EndFacts {
  if (successor === undefined) return {};
  return { next: successor.generation, ...(successor.isUnsure && { gap: true }) };
}
