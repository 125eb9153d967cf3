import {
  ContentTypeMismatchError,
  ResourceNotFoundError,
  StreamConflictError,
  StreamGoneError,
} from '../../errors.ts';
import type { NewFile } from '../../storage/new-file.ts';
import { ResourcePath } from '../../storage/resource-path.ts';
import type { Root } from '../../storage/root.ts';
import type { ForkOrigin, StreamLink, StreamState } from '../../storage/stream-state.ts';
import type { Tombstone, Tombstones } from '../../storage/tombstones.ts';
import type { ForkRequest } from './create-request.ts';
import { forkPosition } from './fork-position.ts';
import type { Stream } from './stream.ts';
import type { StreamStore } from './stream-store.ts';
import { isSameType } from './stream-type.ts';

/** What a fork takes over from its source. */
export interface Inherited {
  origin: ForkOrigin;
  type: string | undefined;
  expiry: Pick<StreamState, 'ttlSeconds' | 'expiresAt'>;
}

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
   * Copies what a fork begins with, and remembers the fork with its source.
   *
   * @param contentType what the fork is to hold
   * @param path of the fork
   * @throws {ResourceNotFoundError} when the source is not there
   * @throws {StreamConflictError} when it was deleted
   * @throws {ContentTypeMismatchError} when it holds something else
   * @throws what {@link forkPosition} throws
   */
  async copy(
    request: ForkRequest,
    contentType: string | undefined,
    fork: NewFile,
    path: string,
  ): Promise<Inherited> {
    const { source: resource, offset, subOffset } = request;
    const source = await this.#holder.acquire(resource).catch(asConflict);
    try {
      if (contentType !== undefined && source.type !== undefined && !isSameType(source.type, contentType)) {
        throw new ContentTypeMismatchError(`the source is of the type ${source.type}`);
      }
      const file = await this.#root.openRead(resource);
      let position: number;
      try {
        if (file.stat.fingerprint !== source.fingerprint)
          throw new StreamConflictError('the source was made anew');
        position = await forkPosition(source, file, request);
        await fork.copy(file, 0, position);
      } finally {
        await file.close();
      }
      const link = { path, fingerprint: fork.stat.fingerprint };
      await source.amend(({ forks = [] }) => ({ forks: [...forks, link] }));
      if (source.isGone) throw new StreamConflictError('the source was deleted');
      const { ttlSeconds, expiresAt } = source.state;
      return {
        origin: {
          path: resource.key,
          fingerprint: source.fingerprint,
          ...(offset !== undefined && { offset }),
          ...(subOffset > 0 && { subOffset }),
          inherited: source.names.inheritedUpTo(position),
        },
        type: source.type,
        expiry: {
          ...(ttlSeconds !== undefined && { ttlSeconds }),
          ...(expiresAt !== undefined && { expiresAt }),
        },
      };
    } finally {
      this.#holder.release(source);
    }
  }

  /** Leaves a tombstone of a stream that is to be deleted, if forks of it live. */
  async bury(
    resource: ResourcePath,
    fingerprint: string,
    { forks = [], origin }: StreamState,
  ): Promise<boolean> {
    const living: StreamLink[] = [];
    // A server that was killed while it made one may have left its name here.
    for (const fork of forks) if (await this.isLiving(fork)) living.push(fork);
    if (living.length === 0) return false;
    const tombstone: Tombstone = {
      path: resource.key,
      fingerprint,
      forks: living,
      ...(origin && { origin }),
    };
    await this.#tombstones.write(tombstone, { durable: this.#isDurable });
    return true;
  }

  /** Whether a fork is there, or forks of it are. */
  async isLiving({ path, fingerprint }: StreamLink): Promise<boolean> {
    if (await this.#store.isKnown(fingerprint)) return true;
    return (await this.#tombstones.read(path))?.fingerprint === fingerprint;
  }

  /** Tells the source of a fork that the fork is no more; what is kept only for its forks goes with the last one. */
  async leave(fork: string, origin: Pick<ForkOrigin, 'path' | 'fingerprint'> | undefined): Promise<void> {
    if (origin === undefined) return;
    const tombstone = await this.#tombstones.read(origin.path);
    if (tombstone?.fingerprint === origin.fingerprint) {
      const forks = tombstone.forks.filter(({ fingerprint }) => fingerprint !== fork);
      if (forks.length > 0) {
        await this.#tombstones.write({ ...tombstone, forks }, { durable: this.#isDurable });
        return;
      }
      await this.#tombstones.remove(origin.path);
      await this.leave(origin.fingerprint, tombstone.origin);
      return;
    }
    const source = await this.#holder.acquire(ResourcePath.parse(origin.path)).catch(ignoreMissing);
    if (source === undefined) return;
    try {
      if (source.fingerprint !== origin.fingerprint) return;
      await source.amend(({ forks = [] }) => ({
        forks: forks.filter(({ fingerprint }) => fingerprint !== fork),
      }));
    } finally {
      this.#holder.release(source);
    }
  }
}

function asConflict(error: unknown): never {
  if (!(error instanceof StreamGoneError)) throw error;
  throw new StreamConflictError('the source was deleted', { cause: error });
}

function ignoreMissing(error: unknown): undefined {
  if (!(error instanceof ResourceNotFoundError || error instanceof StreamGoneError)) throw error;
}
