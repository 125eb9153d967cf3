import { setTimeout as delay } from 'node:timers/promises';
import {
  PathConflictError,
  ResourceNotFoundError,
  StreamConflictError,
  StreamGoneError,
} from '../../errors.ts';
import type { ExpiryIndex } from '../../storage/expiry-index.ts';
import { KeyedLock } from '../../storage/keyed-lock.ts';
import type { NewFile } from '../../storage/new-file.ts';
import type { ResourcePath } from '../../storage/resource-path.ts';
import type { Root } from '../../storage/root.ts';
import type { StoredFile } from '../../storage/stored-file.ts';
import type { ForkOrigin, StreamState } from '../../storage/stream-state.ts';
import type { Tombstones } from '../../storage/tombstones.ts';
import type { Syncer } from '../syncer.ts';
import { assertMatches, type CreateRequest, initialState } from './create-request.ts';
import { ForkTree, type Inherited } from './fork-tree.ts';
import { assertSameContent } from './same-content.ts';
import type { Stream } from './stream.ts';
import { expiryMs, isExpired } from './stream-expiry.ts';
import type { StreamRegistry, StreamView } from './stream-registry.ts';
import type { StreamStore } from './stream-store.ts';

/** Within a tick of the system's coarse clock a file that is made anew looks as old as the one before. */
const CLOCK_TICK_MS = 20;

/** How often something else may take a new stream's name and be gone again. */
const MAX_ATTEMPTS = 3;

/** What streams are made and deleted with. */
export interface LifecycleOptions {
  root: Root;
  store: StreamStore;
  tombstones: Tombstones;
  expiring: ExpiryIndex;
  streams: StreamRegistry;
  syncer: Syncer;
  /** Whether what is made must survive a loss of power when that is told. */
  isDurable: boolean;
  /** Called when a file was made. */
  made: (resource: ResourcePath) => void;
  /** Called when a file was deleted, before anybody can make it anew. */
  deleted: (identity: string) => void;
}

/** What came of a request to create. */
export interface Created {
  /** Whether it was made, and not there already. */
  isNew: boolean;
  /** To be released. */
  stream: Stream;
}

/** How streams come and go. */
export class StreamLifecycle {
  readonly #options: LifecycleOptions;
  readonly #forks: ForkTree;
  /** Who makes or deletes what is at the same path takes turns. */
  readonly #paths = new KeyedLock();

  constructor(options: LifecycleOptions) {
    this.#options = options;
    const { root, tombstones, store, isDurable } = options;
    this.#forks = new ForkTree(root, tombstones, store, isDurable, {
      acquire: (resource) => this.acquire(resource),
      release: (stream) => options.streams.release(stream),
    });
  }

  /**
   * Opens the file or directory at a path. What has outlived its time is deleted.
   *
   * @throws {ResourceNotFoundError} when there is neither
   * @throws {StreamGoneError} when there was a stream, of which forks live
   */
  async openAny(resource: ResourcePath): Promise<StoredFile> {
    const file = await this.#openAny(resource);
    if (file.stat.kind === 'directory' || !(await this.#isExpired(file))) return file;
    await file.close();
    await this.#paths.run(resource.key, async () => {
      const expired = await this.#openAny(resource);
      try {
        if (await this.#isExpired(expired)) await this.#remove(resource, expired);
      } finally {
        await expired.close();
      }
    });
    return this.#openAny(resource);
  }

  /**
   * As {@link openAny}, of files only.
   *
   * @throws {PathConflictError} when there is a directory
   */
  async open(resource: ResourcePath): Promise<StoredFile> {
    return assertFile(await this.openAny(resource));
  }

  /** Deletes what is at a path if it has outlived its time. Whatever else is there, or not, is for others to find out. */
  async expire(resource: ResourcePath): Promise<void> {
    try {
      await (await this.open(resource)).close();
    } catch (error) {
      if (!(error instanceof ResourceNotFoundError || error instanceof PathConflictError)) throw error;
    }
  }

  /**
   * Holds the stream at a path until it is released.
   *
   * @throws what {@link open} throws
   */
  async acquire(resource: ResourcePath): Promise<Stream> {
    const used = this.#options.streams.acquireUsed(resource);
    if (used !== undefined) return used;
    return this.#hold(await this.open(resource), resource);
  }

  /** To be called once for each stream that was acquired or created. */
  release(stream: Stream): void {
    this.#options.streams.release(stream);
  }

  /** What is to be seen of the stream of an open file, now. */
  view(file: StoredFile): Promise<StreamView> {
    return this.#options.streams.view(file);
  }

  /** Tells that a stream is read or written: its time to live begins anew. */
  touch(fingerprint: string, state: StreamState): Promise<void> {
    return this.#options.store.touch(fingerprint, state);
  }

  /**
   * Makes a stream with all of its content, or finds that it is there already.
   *
   * @param content what it begins with; of a fork, after what it copies
   * @throws {StreamConflictError} when another one is there, or was and lives on in its forks
   * @throws {ContentMismatchError} when a file with other content is there, and nothing but content was brought
   * @throws {ResourceNotFoundError} when the source of a fork is not there
   * @throws what {@link forkPosition} throws
   */
  async create(resource: ResourcePath, request: CreateRequest, content: Buffer | NewFile): Promise<Created> {
    await this.expire(resource).catch(ignoreGone);
    return this.#paths.run(resource.key, async () => {
      for (let attempts = 0; attempts < MAX_ATTEMPTS; attempts++) {
        const found = await this.#find(resource, request, content);
        if (found !== undefined) return { isNew: false, stream: found };
        if ((await this.#options.tombstones.read(resource.key)) !== undefined) {
          throw new StreamConflictError('a stream was here that lives on in its forks');
        }
        if (await this.#make(resource, request, content)) {
          this.#options.made(resource);
          // Even if its time is over already.
          return { isNew: true, stream: await this.#hold(await this.#openFile(resource), resource) };
        }
      }
      throw new PathConflictError('there is something at this path that is no file');
    });
  }

  /**
   * Deletes a stream. While forks of it live, nothing can be made in its place.
   *
   * @throws what {@link open} throws
   */
  async delete(resource: ResourcePath): Promise<void> {
    await this.expire(resource);
    await this.#paths.run(resource.key, async () => {
      const file = await this.#openFile(resource);
      try {
        await this.#remove(resource, file);
      } finally {
        await file.close();
      }
    });
  }

  /** Holds the stream of an open file, which is closed. */
  async #hold(file: StoredFile, resource: ResourcePath): Promise<Stream> {
    try {
      return await this.#options.streams.acquire(file, resource);
    } finally {
      await file.close();
    }
  }

  async #openFile(resource: ResourcePath): Promise<StoredFile> {
    return assertFile(await this.#openAny(resource));
  }

  async #openAny(resource: ResourcePath): Promise<StoredFile> {
    const { root, tombstones } = this.#options;
    try {
      return await root.openRead(resource);
    } catch (error) {
      const isGone =
        error instanceof ResourceNotFoundError && (await tombstones.read(resource.key)) !== undefined;
      throw isGone ? new StreamGoneError('the stream was deleted', { cause: error }) : error;
    }
  }

  async #isExpired(file: StoredFile): Promise<boolean> {
    const { streams, store } = this.#options;
    const { fingerprint } = file.stat;
    try {
      const { state, accessedMs } = await store.read(file.stat);
      // Who reads live keeps it alive.
      return isExpired(state, streams.isUsed(fingerprint) ? Date.now() : accessedMs);
    } catch {
      // What cannot be read is not deleted for that.
      return false;
    }
  }

  /** The stream that is there, if it is what was to be made. */
  async #find(
    resource: ResourcePath,
    request: CreateRequest,
    content: Buffer | NewFile,
  ): Promise<Stream | undefined> {
    let file: StoredFile;
    try {
      file = await this.#openFile(resource);
    } catch (error) {
      if (error instanceof ResourceNotFoundError || error instanceof StreamGoneError) return undefined;
      throw error;
    }
    const { streams } = this.#options;
    try {
      const stream = await streams.acquire(file, resource);
      try {
        if (!request.isUpload) assertMatches(stream.state, stream.type, request);
        else if (!Buffer.isBuffer(content)) await assertSameContent(file, stream.state.size, content);
        return stream;
      } catch (error) {
        streams.release(stream);
        throw error;
      }
    } finally {
      await file.close();
    }
  }

  /** Makes a stream. False when something has taken its name meanwhile. */
  async #make(resource: ResourcePath, request: CreateRequest, content: Buffer | NewFile): Promise<boolean> {
    const { root, store, syncer, expiring, isDurable } = this.#options;
    const { contentType, fork } = request;
    const file = Buffer.isBuffer(content) ? await root.newFile() : content;
    const { fingerprint } = file.stat;
    let inherited: Inherited | undefined;
    try {
      inherited = fork && (await this.#forks.copy(fork, contentType, file, resource.key));
      if (Buffer.isBuffer(content) && content.length > 0) await file.write([content]);
      if (isDurable) await syncer.sync(file);
      // From before it has a name: no file is a stream without what is remembered of it.
      const state = initialState(request, file.size, inherited);
      await store.save(fingerprint, resource.key, state);
      const endMs = expiryMs(state, Date.now());
      if (endMs !== undefined) await expiring.add({ fingerprint, path: resource.key }, endMs);
      const location = await root.publish(file, resource);
      if (location !== undefined) {
        if (isDurable) await syncer.run(() => root.syncNames(location));
        return true;
      }
    } catch (error) {
      await this.#forget(fingerprint, inherited?.origin);
      throw error;
    } finally {
      if (Buffer.isBuffer(content)) await file.discard();
    }
    await this.#forget(fingerprint, inherited?.origin);
    return false;
  }

  /** Whoever opens the path next finds nothing. */
  async #remove(resource: ResourcePath, file: StoredFile): Promise<void> {
    const { root, streams, tombstones, deleted } = this.#options;
    const { fingerprint, identity, generation } = file.stat;
    const stream = await streams.acquire(file, resource);
    try {
      const { state } = stream;
      const isBuried = await this.#forks.bury(resource, fingerprint, state);
      try {
        await root.remove(resource);
      } catch (error) {
        if (isBuried) await tombstones.remove(resource.key);
        throw error;
      }
      await streams.delete(stream);
      deleted(identity);
      await this.#forget(fingerprint, isBuried ? undefined : state.origin);
      const ageMs = Date.now() - generation / 1000;
      if (ageMs >= 0 && ageMs < CLOCK_TICK_MS) await delay(CLOCK_TICK_MS);
    } finally {
      streams.release(stream);
    }
  }

  async #forget(fingerprint: string, origin: ForkOrigin | undefined): Promise<void> {
    await this.#options.store.remove(fingerprint);
    await this.#options.expiring.remove(fingerprint);
    await this.#forks.leave(fingerprint, origin);
  }
}

async function assertFile(file: StoredFile): Promise<StoredFile> {
  if (file.stat.kind === 'file') return file;
  await file.close();
  throw new PathConflictError('there is a directory at this path');
}

function ignoreGone(error: unknown): void {
  if (!(error instanceof StreamGoneError)) throw error;
}
