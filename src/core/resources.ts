import { KeyedLock } from '../storage/keyed-lock.ts';
import type { Records } from '../storage/records/records.ts';
import { isCopy, type StreamState, untypedState } from '../storage/records/stream-state.ts';
import type { Root } from '../storage/root/root.ts';
import type { AppendFile, StoredFile } from '../storage/stored-file.ts';
import {
  PathConflictError,
  ResourceNotFoundError,
  ServerClosingError,
  StreamGoneError,
  UnreadError,
} from '../wire/errors.ts';
import type { ResourcePath } from '../wire/resource-path.ts';
import type { LiveResources } from './live-resources.ts';
import { type OpenFile, SeenFile } from './open-file.ts';
import type { Permit } from './permit.ts';
import type { Resource } from './resource.ts';
import type { AppendHistory } from './sessions/append-history.ts';
import { isExpired } from './streams/stream-expiry.ts';
import type { StreamRemover } from './streams/stream-remover.ts';
import type { StreamStore } from './streams/stream-store.ts';
import { type LookedAt, lookAgain, type StreamView, viewOf } from './streams/stream-view.ts';

/** How often something else may be at a path whenever what was there has been deleted. */
const MAX_ATTEMPTS = 3;

/** What resources are looked up with. */
export interface ResourcesOptions {
  root: Root;
  records: Records;
  store: StreamStore;
  live: LiveResources;
  remover: StreamRemover;
  history: AppendHistory;
}

/**
 * Look-ups by path, of what is permitted. The only ways to a file: a path is resolved once, the file is opened once, what has expired is
 * deleted, and the access is noted.
 */
export class Resources {
  readonly #root: Root;
  readonly #records: Records;
  readonly #store: StreamStore;
  readonly #live: LiveResources;
  readonly #remover: StreamRemover;
  readonly #history: AppendHistory;
  /** Who makes or deletes what is at the same path takes turns. */
  readonly #paths = new KeyedLock();
  #isClosing = false;

  constructor({ root, records, store, live, remover, history }: ResourcesOptions) {
    this.#root = root;
    this.#records = records;
    this.#store = store;
    this.#live = live;
    this.#remover = remover;
    this.#history = history;
  }

  /**
   * Opens the file or directory at a path: to be read, or only to be told of, as the permit says. What has expired is
   * deleted.
   *
   * @throws {ResourceNotFoundError} when there is neither
   * @throws {StreamGoneError} when there was a stream, of which forks live
   * @throws {UnreadError} when it is to be read, and is a part of something that is worth nothing without the rest, which
   *   does not come
   */
  openAny(permit: Permit<'follow'>): Promise<StoredFile>;
  openAny(permit: Permit): Promise<OpenFile>;
  async openAny(permit: Permit): Promise<OpenFile> {
    return forPermit(permit, await this.#openStored(permit));
  }

  /**
   * As {@link openAny}, of files only.
   *
   * @throws {PathConflictError} when there is a directory
   */
  open(permit: Permit<'follow'>): Promise<StoredFile>;
  open(permit: Permit<'follow' | 'append'>): Promise<OpenFile>;
  async open(permit: Permit<'follow' | 'append'>): Promise<OpenFile> {
    return forPermit(permit, await assertFile(await this.#openStored(permit)));
  }

  /** As {@link open}, for whoever has the {@link inTurn turn} at the path. */
  async openInTurn({ path }: Permit<'append' | 'delete'>): Promise<StoredFile> {
    return this.#openInTurn(path, async () => assertFile(await this.#openRead(path)));
  }

  /** As {@link openAny}, as an access: its time to live is renewed. */
  async openUsed(permit: Permit<'follow'>): Promise<StoredFile> {
    return this.use(await this.openAny(permit));
  }

  /**
   * Opens a file to be appended to; what has expired is deleted before. Its time to live is renewed.
   *
   * @param options.create whether to make the file if it is missing
   * @throws what {@link open} and {@link Root.openAppend} throw
   */
  async openAppend({ path }: Permit<'append'>, { create }: { create: boolean }): Promise<AppendFile> {
    const open = async () => {
      try {
        return await this.#root.openAppend(path, { create: false });
      } catch (error) {
        const failure = await this.#orGone(path, error);
        if (!create || !(failure instanceof ResourceNotFoundError)) throw failure;
        return this.#root.openAppend(path, { create });
      }
    };
    return this.use(await this.#openLiving(path, open));
  }

  /**
   * Opens a file to be appended to for an appender who has not come back yet. That is no access, and makes and deletes
   * nothing.
   *
   * @throws what {@link Root.openAppend} throws
   */
  async openForReturn({ path }: Permit<'append'>): Promise<AppendFile> {
    const file = await this.#root.openAppend(path, { create: false });
    // What cannot be read is there all the same.
    await this.#recall(file).catch(() => undefined);
    return file;
  }

  /**
   * The live resource at a path, which stays until it is released.
   *
   * @throws what {@link open} throws
   */
  async acquire(permit: Permit<'follow' | 'append'>): Promise<Resource> {
    const used = this.#live.acquireUsed(permit.path);
    if (used !== undefined) return used;
    const file = await assertFile(await this.#openStored(permit));
    try {
      return await this.#live.acquire(file, permit.path);
    } finally {
      await file.close();
    }
  }

  /** To be called once for each {@link acquire}. */
  release(resource: Resource): void {
    this.#live.release(resource);
  }

  /**
   * What counts of an open file, now.
   *
   * @throws what {@link assertWhole} throws
   */
  view(file: LookedAt): Promise<StreamView> {
    return this.#live.view(file);
  }

  /**
   * As {@link view}; of a file of which nothing is remembered when that cannot be read: its bytes are there all the
   * same.
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

  /** What is known of a stream without a look at what is remembered; undefined when nothing is. */
  liveState(fingerprint: string): StreamState | undefined {
    return this.#live.get(fingerprint)?.state;
  }

  /**
   * To be called before anybody learns what is in a file, or how much.
   *
   * @throws what {@link LiveResources.assertWhole} throws
   */
  assertWhole(fingerprint: string): void {
    this.#live.assertWhole(fingerprint);
  }

  /** Notes an access to a stream: its time to live is renewed. */
  touch(fingerprint: string, state: StreamState): Promise<void> {
    return this.#store.touch(fingerprint, state);
  }

  /** As {@link touch}, of what is open. */
  async use<F extends StoredFile>(file: F): Promise<F> {
    const { fingerprint, kind } = file.stat;
    if (kind === 'directory') return file;
    // What cannot be read is there all the same.
    const stored = await this.#store.readOf(file).catch(() => undefined);
    if (stored !== undefined) await this.touch(fingerprint, stored.state);
    return file;
  }

  /**
   * Runs what makes or deletes something at a path, while nothing else does.
   *
   * @throws {ServerClosingError} after {@link close}
   */
  async inTurn<T>({ key }: ResourcePath, action: () => Promise<T>): Promise<T> {
    if (this.#isClosing) throw new ServerClosingError('the server is shutting down');
    return this.#paths.run(key, action);
  }

  /**
   * Makes and deletes nothing more, and waits for what is under way: another server may lock the root then.
   * Idempotent.
   */
  close(): Promise<void> {
    this.#isClosing = true;
    return this.#paths.allSettled();
  }

  async #openStored({ path, use }: Permit): Promise<StoredFile> {
    const file = await this.#openLiving(path, () => this.#openRead(path));
    if (use !== 'follow' || !(await this.#isIncomplete(file))) return file;
    await file.close();
    throw new UnreadError(
      'only a part of this is here: the server gets the rest with -upstream, and DELETE drops the part',
    );
  }

  /** Whether it is a part of something that is worth nothing without the rest, and that is not being brought. */
  async #isIncomplete(file: StoredFile): Promise<boolean> {
    const { fingerprint, size } = file.stat;
    if (!file.isAtomic || this.#live.get(fingerprint)?.isClaimed === true) return false;
    return (await this.#history.outcome(file, { size })).reason !== 'finished';
  }

  async #openRead(path: ResourcePath): Promise<StoredFile> {
    try {
      return await this.#root.openRead(path);
    } catch (error) {
      throw await this.#orGone(path, error);
    }
  }

  /** What it means that something cannot be opened. */
  async #orGone({ key }: ResourcePath, error: unknown): Promise<unknown> {
    if (!(error instanceof ResourceNotFoundError)) return error;
    await this.#records.readable();
    const isGone = this.#records.tombstone(key) !== undefined;
    return isGone ? new StreamGoneError('the stream was deleted', { cause: error }) : error;
  }

  /** Opens what is at a path; if that has expired, deletes it and opens what is there then. */
  async #openLiving<F extends StoredFile>(path: ResourcePath, open: () => Promise<F>): Promise<F> {
    const file = await open();
    if (!(await this.#isExpired(file))) return file;
    await file.close();
    return this.inTurn(path, () => this.#openInTurn(path, open));
  }

  async #openInTurn<F extends StoredFile>(path: ResourcePath, open: () => Promise<F>): Promise<F> {
    for (let attempts = 0; attempts < MAX_ATTEMPTS; attempts++) {
      const file = await open();
      if (!(await this.#isExpired(file))) return file;
      await this.#remover.remove(path, file, { onlyExpired: true });
    }
    return open();
  }

  async #isExpired(file: StoredFile): Promise<boolean> {
    const { fingerprint, kind } = file.stat;
    if (kind === 'directory') return false;
    try {
      const { state, accessedMs } = await this.#recall(file);
      // A live reader keeps it alive.
      return isExpired(state, this.#live.isUsed(fingerprint) ? Date.now() : accessedMs);
    } catch {
      // What cannot be read is not deleted for that.
      return false;
    }
  }

  /** What is remembered of an open file, which knows from then on what it is a copy of. */
  async #recall(file: StoredFile): ReturnType<StreamStore['readOf']> {
    const stored = await this.#store.readOf(file);
    const { copy } = stored.state;
    if (copy !== undefined) {
      file.copied = {
        generation: copy.generation,
        isCopy: isCopy(stored.state),
        isAtomic: copy.isAtomic === true,
      };
    }
    return stored;
  }
}

function forPermit({ isToRead }: Permit, file: StoredFile): OpenFile {
  return isToRead ? file : new SeenFile(file);
}

/** @throws {PathConflictError} when what is open is a directory, which is closed then */
async function assertFile(file: StoredFile): Promise<StoredFile> {
  if (file.stat.kind === 'file') return file;
  await file.close();
  throw new PathConflictError('there is a directory at this path');
}
