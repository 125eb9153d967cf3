import type { AppendFile } from '../../storage/append-file.ts';
import { KeyedLock } from '../../storage/keyed-lock.ts';
import type { NewFile } from '../../storage/new-file.ts';
import { type StreamState, untypedState } from '../../storage/records/stream-state.ts';
import type { StoredFile } from '../../storage/stored-file.ts';
import {
  PathConflictError,
  ResourceNotFoundError,
  ServerClosingError,
  StreamConflictError,
  StreamGoneError,
} from '../../wire/errors.ts';
import type { ResourcePath } from '../../wire/resource-path.ts';
import type { CreateRequest } from './create-request.ts';
import { ForkTree } from './fork-tree.ts';
import type { Stream } from './stream.ts';
import { isExpired } from './stream-expiry.ts';
import { assertFile, StreamFiles } from './stream-files.ts';
import { type MadeStream, type MakerOptions, StreamMaker } from './stream-maker.ts';
import { type RemoverOptions, StreamRemover } from './stream-remover.ts';
import { type LookedAt, lookAgain, type StreamView, viewOf } from './stream-view.ts';

/** How often something else may take a new stream's name and be gone again. */
const MAX_ATTEMPTS = 3;

/** What streams are made and deleted with. */
export interface LifecycleOptions extends MakerOptions, RemoverOptions {}

/** What came of a request to create. */
export interface Created extends MadeStream {
  /** Whether it was made, and not there already. */
  isNew: boolean;
}

/** How streams come and go. */
export class StreamLifecycle {
  readonly #options: LifecycleOptions;
  readonly #files: StreamFiles;
  readonly #forks: ForkTree;
  readonly #maker: StreamMaker;
  readonly #remover: StreamRemover;
  /** Who makes or deletes what is at the same path takes turns. */
  readonly #paths = new KeyedLock();
  #isClosing = false;

  constructor(options: LifecycleOptions) {
    this.#options = options;
    const { root, records } = options;
    this.#forks = new ForkTree(root, records, {
      acquire: (resource) => this.acquire(resource),
      release: (stream) => options.streams.release(stream),
    });
    this.#files = new StreamFiles(root, records);
    this.#maker = new StreamMaker(options, this.#forks);
    this.#remover = new StreamRemover(options, this.#forks);
  }

  /**
   * Opens the file or directory at a path. What has outlived its time is deleted.
   *
   * @throws {ResourceNotFoundError} when there is neither
   * @throws {StreamGoneError} when there was a stream, of which forks live
   */
  openAny(resource: ResourcePath): Promise<StoredFile> {
    return this.#openLiving(resource, () => this.#files.openAny(resource));
  }

  /**
   * As {@link openAny}, of files only.
   *
   * @throws {PathConflictError} when there is a directory
   */
  async open(resource: ResourcePath): Promise<StoredFile> {
    return assertFile(await this.openAny(resource));
  }

  /** As {@link openAny}, for whoever uses it: its time to live begins anew. */
  async openUsed(resource: ResourcePath): Promise<StoredFile> {
    return this.#use(await this.openAny(resource));
  }

  /**
   * Opens a file to be appended to; what has outlived its time is deleted before. Its time to live begins anew.
   *
   * @param options.create whether to make the file if it is missing
   * @throws what {@link open} and {@link Root.openAppend} throw
   */
  async openAppend(resource: ResourcePath, options: { create: boolean }): Promise<AppendFile> {
    return this.#use(await this.#openLiving(resource, () => this.#files.openAppend(resource, options)));
  }

  /**
   * Holds the stream at a path until it is released.
   *
   * @throws what {@link open} throws
   */
  async acquire(resource: ResourcePath): Promise<Stream> {
    const used = this.#options.streams.acquireUsed(resource);
    if (used !== undefined) return used;
    const file = await this.open(resource);
    try {
      return await this.#options.streams.acquire(file, resource);
    } finally {
      await file.close();
    }
  }

  /** To be called once for each stream that was acquired. */
  release(stream: Stream): void {
    this.#options.streams.release(stream);
  }

  /**
   * What is to be seen of the stream of an open file, now.
   *
   * @throws what {@link assertWhole} throws
   */
  view(file: LookedAt): Promise<StreamView> {
    return this.#options.streams.view(file);
  }

  /**
   * As {@link view}; of a file of which nothing is remembered when that cannot be read: its bytes are there all the same.
   *
   * @throws what {@link assertWhole} throws
   */
  async viewOrBytes(file: LookedAt): Promise<StreamView> {
    this.assertWhole(file.stat.fingerprint);
    return this.view(file).catch(() => viewOf(file, untypedState(file.stat.size)));
  }

  /**
   * How many bytes of an open file count, now: not what an append has written that is not made yet, nor what
   * does not belong to its stream.
   *
   * @throws what {@link assertWhole} throws
   */
  async committed(file: StoredFile): Promise<number> {
    const { state } = await this.viewOrBytes(await lookAgain(file));
    return state.size;
  }

  /**
   * To be called before anybody is told what is in a file, or how much.
   *
   * @throws what {@link StreamRegistry.assertWhole} throws
   */
  assertWhole(fingerprint: string): void {
    this.#options.streams.assertWhole(fingerprint);
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
   * @throws {ServerClosingError} after {@link close}
   */
  async create(resource: ResourcePath, request: CreateRequest, content: Buffer | NewFile): Promise<Created> {
    const open = () => this.#files.openFile(resource);
    return this.#inTurn(resource, async () => {
      for (let attempts = 0; attempts < MAX_ATTEMPTS; attempts++) {
        const file = await this.#openInTurn(resource, open).catch(ignoreMissing);
        const found = file && (await this.#maker.find(await this.#use(file), resource, request, content));
        if (found !== undefined) return { isNew: false, ...found };
        if (await this.#forks.isKept(resource.key, this.#options.isDurable)) {
          throw new StreamConflictError('a stream was here that lives on in its forks');
        }
        const made = await this.#maker.make(resource, request, content);
        if (made !== undefined) return { isNew: true, ...made };
      }
      throw new PathConflictError('there is something at this path that is no file');
    });
  }

  /**
   * Deletes a stream. While forks of it live, nothing can be made in its place.
   *
   * @throws what {@link open} throws
   * @throws {ServerClosingError} after {@link close}
   */
  async delete(resource: ResourcePath): Promise<void> {
    await this.#inTurn(resource, async () => {
      for (let attempts = 0; attempts < MAX_ATTEMPTS; attempts++) {
        const file = await this.#openInTurn(resource, () => this.#files.openFile(resource));
        if (await this.#remover.remove(resource, file, { onlyExpired: false })) return;
      }
      throw new PathConflictError('another file takes this name again and again');
    });
  }

  /** Makes and deletes nothing more, and waits for what is under way: another server may have the root then. Idempotent. */
  close(): Promise<void> {
    this.#isClosing = true;
    return this.#paths.allSettled();
  }

  /** @throws {ServerClosingError} after `close` */
  async #inTurn<T>({ key }: ResourcePath, action: () => Promise<T>): Promise<T> {
    if (this.#isClosing) throw new ServerClosingError('the server is shutting down');
    return this.#paths.run(key, action);
  }

  /** Opens what is at a path, unless it has outlived its time: then that is deleted, and it is opened anew. */
  async #openLiving<F extends StoredFile>(resource: ResourcePath, open: () => Promise<F>): Promise<F> {
    const file = await open();
    if (!(await this.#isExpired(file))) return file;
    await file.close();
    return this.#inTurn(resource, () => this.#openInTurn(resource, open));
  }

  /** As {@link #openLiving}, for whoever has the turn at the path. */
  async #openInTurn<F extends StoredFile>(resource: ResourcePath, open: () => Promise<F>): Promise<F> {
    for (let attempts = 0; attempts < MAX_ATTEMPTS; attempts++) {
      const file = await open();
      if (!(await this.#isExpired(file))) return file;
      await this.#remover.remove(resource, file, { onlyExpired: true });
    }
    return open();
  }

  /** Tells that what is open is used. */
  async #use<F extends StoredFile>(file: F): Promise<F> {
    const { fingerprint, kind } = file.stat;
    if (kind === 'directory') return file;
    // What cannot be read is there all the same.
    const stored = await this.#options.store.readOf(file).catch(() => undefined);
    if (stored !== undefined) await this.touch(fingerprint, stored.state);
    return file;
  }

  async #isExpired(file: StoredFile): Promise<boolean> {
    const { streams, store } = this.#options;
    const { fingerprint, kind } = file.stat;
    if (kind === 'directory') return false;
    try {
      const { state, accessedMs } = await store.readOf(file);
      // Who reads live keeps it alive.
      return isExpired(state, streams.isUsed(fingerprint) ? Date.now() : accessedMs);
    } catch {
      // What cannot be read is not deleted for that.
      return false;
    }
  }
}

function ignoreMissing(error: unknown): undefined {
  if (!(error instanceof ResourceNotFoundError || error instanceof StreamGoneError)) throw error;
}
