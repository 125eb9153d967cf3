import { KeyedLock } from '../../storage/keyed-lock.ts';
import type { NewFile } from '../../storage/new-file.ts';
import type { ForkOrigin, Inheritance, StreamLink, StreamState } from '../../storage/records/stream-state.ts';
import type { Tombstone, Tombstones } from '../../storage/records/tombstones.ts';
import type { Root } from '../../storage/root.ts';
import {
  ContentTypeMismatchError,
  ResourceNotFoundError,
  StreamConflictError,
  StreamGoneError,
} from '../../wire/errors.ts';
import { ResourcePath } from '../../wire/resource-path.ts';
import { FileFinder } from '../recovery/file-finder.ts';
import type { ForkRequest } from './create-request.ts';
import { forkPosition } from './fork-position.ts';
import type { Stream } from './stream.ts';
import type { StreamStore } from './stream-store.ts';
import { isSameType } from './stream-type.ts';

/** How many tombstones are looked at at a start. */
const MAX_SETTLED = 10_000;

/** How many names a request may look at to find forks that are not where they were: what is not among them is gone. */
const MAX_LOOKS = 1000;

/** How many forks a stream may have, which it remembers in its sidecar. */
const MAX_FORKS = 1000;

/** How many streams may have named the positions of a fork: what it is forked from, what that is forked from, and so on. */
const MAX_INHERITANCES = 100;

/** What a fork takes over from its source. */
export interface Inherited {
  /** To be released. */
  source: Stream;
  origin: ForkOrigin;
  type: string | undefined;
  expiry: Pick<StreamState, 'ttlSeconds' | 'expiresAt'>;
}

/** What became of a tombstone: none was there, or it is needed, or its stream lives after all, or no fork does. */
type Settled =
  | { outcome: 'missing'; tombstone?: undefined }
  | { outcome: 'needed' | 'undone' | 'forgotten'; tombstone: Tombstone };

/** How streams are held, see {@link StreamLifecycle}. */
export interface StreamHolder {
  acquire(resource: ResourcePath): Promise<Stream>;
  release(stream: Stream): void;
}

/** Which streams were forked from which: a stream that is deleted leaves a tombstone for as long as forks of it live. */
export class ForkTree {
  readonly #root: Root;
  readonly #tombstones: Tombstones;
  readonly #store: StreamStore;
  readonly #isDurable: boolean;
  readonly #holder: StreamHolder;
  /** Who changes what is known of the forks of the same source takes turns. Nobody waits for a path's turn in it. */
  readonly #sources = new KeyedLock();
  /** Fingerprints of forks that their sources know, and that have no name yet. */
  readonly #unnamed = new Set<string>();

  constructor(
    root: Root,
    tombstones: Tombstones,
    store: StreamStore,
    isDurable: boolean,
    holder: StreamHolder,
  ) {
    this.#root = root;
    this.#tombstones = tombstones;
    this.#store = store;
    this.#isDurable = isDurable;
    this.#holder = holder;
  }

  /**
   * Copies what a fork begins with.
   *
   * @param contentType what the fork is to hold
   * @throws {ResourceNotFoundError} when the source is not there
   * @throws {StreamConflictError} when it was deleted, or has or is too many forks
   * @throws {ContentTypeMismatchError} when it holds something else
   * @throws what {@link Stream.assertWhole} and {@link forkPosition} throw
   */
  async copy(request: ForkRequest, contentType: string | undefined, fork: NewFile): Promise<Inherited> {
    const { source: resource, offset, subOffset } = request;
    const source = await this.#holder.acquire(resource).catch(asConflict);
    try {
      source.assertWhole();
      if (contentType !== undefined && source.type !== undefined && !isSameType(source.type, contentType)) {
        throw new ContentTypeMismatchError(`the source is of the type ${source.type}`);
      }
      if ((source.state.forks ?? []).length >= MAX_FORKS) {
        throw new StreamConflictError(`the source has ${MAX_FORKS} forks, which is as many as it may have`);
      }
      const position = await this.#copyPrefix(source, request, fork);
      const { ttlSeconds, expiresAt } = source.state;
      return {
        source,
        origin: {
          path: resource.key,
          fingerprint: source.fingerprint,
          ...(offset !== undefined && { offset }),
          ...(subOffset > 0 && { subOffset }),
          inherited: inheritedOf(source, position),
        },
        type: source.type,
        expiry: {
          ...(ttlSeconds !== undefined && { ttlSeconds }),
          ...(expiresAt !== undefined && { expiresAt }),
        },
      };
    } catch (error) {
      this.#holder.release(source);
      throw error;
    }
  }

  /**
   * Remembers a fork, of which everything else is remembered by now, with its source. To be {@link release}d once it has
   * its name, or will have none.
   *
   * @throws {StreamConflictError} when the source was deleted meanwhile
   */
  async link(source: Stream, { path }: ForkOrigin, fork: StreamLink): Promise<void> {
    await this.#sources.run(path, async () => {
      if (source.isGone) throw new StreamConflictError('the source was deleted');
      this.#unnamed.add(fork.fingerprint);
      await source.amend(({ forks = [] }) => ({ forks: [...forks, fork] }));
    });
  }

  /** To be called once for what {@link copy} has returned for a fork. */
  release({ source }: Inherited, fork: string): void {
    this.#unnamed.delete(fork);
    this.#holder.release(source);
  }

  /**
   * Deletes a stream, and leaves a tombstone if forks of it live.
   *
   * @param remove takes the file away, after which the stream is gone
   * @returns whether there is a tombstone
   */
  bury(resource: ResourcePath, stream: Stream, remove: () => Promise<void>): Promise<boolean> {
    return this.#sources.run(resource.key, async () => {
      const { fingerprint } = stream;
      const { forks = [], origin } = stream.state;
      const living: StreamLink[] = [];
      // A server that was killed while it made one may have left its name here.
      const finder = new FileFinder(this.#root, MAX_LOOKS);
      for (const fork of forks) if (await this.#isLiving(fork, finder)) living.push(fork);
      const isBuried = living.length > 0;
      if (isBuried) {
        const tombstone = { path: resource.key, fingerprint, forks: living, ...(origin && { origin }) };
        await this.#tombstones.write(tombstone, { durable: this.#isDurable });
      }
      try {
        await remove();
      } catch (error) {
        // If it stays it is settled by whoever comes next.
        if (isBuried) await this.#tombstones.remove(resource.key).catch(() => undefined);
        throw error;
      }
      // One of a server that was killed before it had deleted the stream; see there.
      if (!isBuried) await this.#tombstones.remove(resource.key).catch(() => undefined);
      return isBuried;
    });
  }

  /**
   * Finishes what a server that was killed has left half done: a tombstone goes if its stream lives, or no
   * fork of it does. Then those of the streams go that it was the last fork of.
   *
   * @returns whether there is a tombstone at the path
   */
  async settle(resourcePath: string, finder = new FileFinder(this.#root, MAX_LOOKS)): Promise<boolean> {
    const { tombstone, outcome } = await this.#sources.run(resourcePath, () =>
      this.#settle(resourcePath, finder),
    );
    if (outcome === 'forgotten') await this.leave(tombstone.fingerprint, tombstone.origin);
    return outcome === 'needed';
  }

  /** {@link settle}s tombstones at a start: so many that it takes no longer. The others are when something is made in their place. */
  async settleAll(): Promise<void> {
    const finder = new FileFinder(this.#root);
    let looks = 0;
    for await (const { tombstone } of this.#tombstones.all()) {
      if (looks++ === MAX_SETTLED) return;
      // One that cannot be looked at is in nobody else's way.
      if (tombstone !== undefined) await this.settle(tombstone.path, finder).catch(() => undefined);
    }
  }

  /** Tells the source of a fork that the fork is no more; what is kept only for its forks goes with the last one. */
  async leave(fork: string, origin: StreamLink | undefined): Promise<void> {
    if (origin === undefined) return;
    const source = await this.#holder.acquire(ResourcePath.parse(origin.path)).catch(ignoreMissingOrGone);
    try {
      const buried = await this.#sources.run(origin.path, () => this.#unlink(fork, origin, source));
      if (buried !== undefined) await this.leave(origin.fingerprint, buried.origin);
    } finally {
      if (source !== undefined) this.#holder.release(source);
    }
  }

  /** Returns the tombstone of the source, if it went with its last fork. */
  async #unlink(
    fork: string,
    origin: StreamLink,
    source: Stream | undefined,
  ): Promise<Tombstone | undefined> {
    const others = (forks: readonly StreamLink[]) => forks.filter(({ fingerprint }) => fingerprint !== fork);
    const tombstone = await this.#tombstones.read(origin.path);
    if (tombstone?.fingerprint !== origin.fingerprint) {
      const isSource = source?.fingerprint === origin.fingerprint && !source.isGone;
      if (isSource) await source.amend(({ forks = [] }) => ({ forks: others(forks) }));
      return undefined;
    }
    const forks = others(tombstone.forks);
    if (forks.length > 0) {
      await this.#tombstones.write({ ...tombstone, forks }, { durable: this.#isDurable });
      return undefined;
    }
    await this.#tombstones.remove(origin.path);
    return tombstone;
  }

  async #settle(resourcePath: string, finder: FileFinder): Promise<Settled> {
    const tombstone = await this.#tombstones.read(resourcePath);
    if (tombstone === undefined) return { outcome: 'missing' };
    const isUndone = await this.#isThere(tombstone, finder);
    const forks: StreamLink[] = [];
    for (const fork of tombstone.forks) if (await this.#isLiving(fork, finder)) forks.push(fork);
    if (isUndone || forks.length === 0) {
      await this.#tombstones.remove(resourcePath);
      return { tombstone, outcome: isUndone ? 'undone' : 'forgotten' };
    }
    if (forks.length < tombstone.forks.length) {
      await this.#tombstones.write({ ...tombstone, forks }, { durable: this.#isDurable });
    }
    return { tombstone, outcome: 'needed' };
  }

  /** Whether a fork is there, or is about to be, or forks of it are. */
  async #isLiving(fork: StreamLink, finder: FileFinder): Promise<boolean> {
    if (this.#unnamed.has(fork.fingerprint) || (await this.#isThere(fork, finder))) return true;
    return (await this.#tombstones.read(fork.path))?.fingerprint === fork.fingerprint;
  }

  /** Whether the file of a stream is at its path, or beside it. */
  async #isThere({ path, fingerprint }: StreamLink, finder: FileFinder): Promise<boolean> {
    const there = await this.#root.stat(ResourcePath.parse(path)).catch(ignoreMissingOrGone);
    if (there?.fingerprint === fingerprint) return true;
    const remembered = await this.#store.location(fingerprint);
    return (await finder.find(fingerprint, [path, ...(remembered ? [remembered] : [])])) !== undefined;
  }

  async #copyPrefix(source: Stream, request: ForkRequest, fork: NewFile): Promise<number> {
    const file = await this.#root.openRead(request.source);
    try {
      if (file.stat.fingerprint !== source.fingerprint) {
        throw new StreamConflictError('the source was made anew');
      }
      const position = await forkPosition(source, file, request);
      await fork.copy(file, 0, position);
      return position;
    } finally {
      await file.close();
    }
  }
}

/** @throws {StreamConflictError} when too many were forked one from the other */
function inheritedOf({ names }: Stream, position: number): Inheritance[] {
  const inherited = names.inheritedUpTo(position);
  if (inherited.length <= MAX_INHERITANCES) return inherited;
  throw new StreamConflictError(`more than ${MAX_INHERITANCES} streams would be forked one from the other`);
}

function asConflict(error: unknown): never {
  if (!(error instanceof StreamGoneError)) throw error;
  throw new StreamConflictError('the source was deleted', { cause: error });
}

function ignoreMissingOrGone(error: unknown): undefined {
  if (!(error instanceof ResourceNotFoundError || error instanceof StreamGoneError)) throw error;
}
