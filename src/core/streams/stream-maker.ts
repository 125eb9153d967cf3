import type { NewFile } from '../../storage/new-file.ts';
import type { RecordDraft } from '../../storage/records/record-draft.ts';
import { NOT_DURABLE, type Records } from '../../storage/records/records.ts';
import type { StreamState } from '../../storage/records/stream-state.ts';
import type { Root } from '../../storage/root/root.ts';
import { storageFailure } from '../../storage/storage-failure.ts';
import type { StoredFile } from '../../storage/stored-file.ts';
import {
  ContentMismatchError,
  OutcomeUnknownError,
  ResourceNotFoundError,
  StreamConflictError,
  StreamGoneError,
} from '../../wire/errors.ts';
import type { ResourcePath } from '../../wire/resource-path.ts';
import type { Limits } from '../limits/limits.ts';
import type { LiveResources } from '../live-resources.ts';
import type { Syncer } from '../log/syncer.ts';
import type { Resource } from '../resource.ts';
import type { Resources } from '../resources.ts';
import { assertMatches, type CreateRequest, type Inherited, initialState } from './create-request.ts';
import { forgetFile } from './fork-links.ts';
import type { ForkTree } from './fork-tree.ts';
import { namesOf } from './stream-offset.ts';
import type { StreamStore } from './stream-store.ts';
import type { StreamView } from './stream-view.ts';

/** What is compared at a time. */
const BLOCK_BYTES = 256 * 1024;

/** What streams are made with. */
export interface MakerOptions {
  root: Root;
  records: Records;
  store: StreamStore;
  limits: Limits;
  /** The live resources, … */
  live: LiveResources;
  /** … and look-ups. */
  resources: Resources;
  syncer: Syncer;
  /** Whether what is made must survive a loss of power when that is acknowledged. */
  isDurable: boolean;
  /** Called when a file has got its name. */
  made: (path: ResourcePath) => void;
}

/** Makes streams, or finds that they are there. Whoever calls it takes turns at a path. */
export class StreamMaker {
  readonly #options: MakerOptions;
  readonly #forks: ForkTree;

  constructor(options: MakerOptions, forks: ForkTree) {
    this.#options = options;
    this.#forks = forks;
  }

  /**
   * The stream that is there.
   *
   * @param file what is at the path, which is closed then
   * @throws {StreamConflictError} {@link ContentMismatchError} when it is not what was to be made
   * @throws what {@link Resource.assertWhole} throws
   */
  async find(
    file: StoredFile,
    path: ResourcePath,
    request: CreateRequest,
    content: Buffer | NewFile,
  ): Promise<StreamView> {
    const { live } = this.#options;
    try {
      const resource = await live.acquire(file, path);
      try {
        resource.assertWhole();
        if (!request.isUpload) assertMatches(resource.state, request);
        else if (!Buffer.isBuffer(content)) await assertSameContent(file, resource.state.size, content);
        const { state, names } = resource;
        return { state, names };
      } finally {
        live.release(resource);
      }
    } finally {
      await file.close();
    }
  }

  /**
   * Makes a file that has no name yet, for a path.
   *
   * @throws what {@link Limits.roomFor} throws, and the disk does
   */
  async newFile(path: ResourcePath): Promise<NewFile> {
    const { root, limits } = this.#options;
    const room = limits.roomFor(path);
    const file = await root.newFile();
    file.room = room;
    return file;
  }

  /**
   * Makes a stream. From when it has its name it is made, whatever becomes of the server: nothing that
   * could fail is asked of it any more, but that its name is safe.
   *
   * @returns undefined when something has taken its name meanwhile
   * @throws {OutcomeUnknownError} when its name is not safe
   * @throws {StreamConflictError} when it is a fork of what was deleted
   * @throws what {@link Resources.acquire} and {@link ForkTree.copy} throw
   */
  async make(
    path: ResourcePath,
    request: CreateRequest,
    content: Buffer | NewFile,
  ): Promise<StreamView | undefined> {
    const { root, records, store, resources, syncer, isDurable, made } = this.#options;
    const { contentType, fork } = request;
    if (fork?.source.path.key === path.key) throw new ResourceNotFoundError('the source is not there');
    const file = Buffer.isBuffer(content) ? await this.newFile(path) : content;
    const { fingerprint, generation } = file.stat;
    let state: StreamState;
    let source: Resource | undefined;
    let inherited: Inherited | undefined;
    let location: string | undefined;
    try {
      if (fork !== undefined) {
        source = await resources.acquire(fork.source).catch(asConflict);
        inherited = await this.#forks.copy(source, fork, contentType, file);
      }
      if (Buffer.isBuffer(content) && content.length > 0) await file.write([content]);
      if (isDurable) await syncer.sync(file);
      // From before it has a name: no file is a stream without what is remembered of it.
      state = initialState(request, file.size, inherited);
      const making = (draft: RecordDraft) => {
        store.put(draft, fingerprint, path.key, state);
        if (inherited !== undefined) this.#forks.link(draft, inherited, { path: path.key, fingerprint });
      };
      await records.write(making, { durable: isDurable, isNew: true });
      file.room?.naming(fingerprint);
      location = await root.publish(file, path);
      if (location !== undefined) file.room?.made(fingerprint, location, state.size);
    } catch (error) {
      // What was remembered of it goes with it, however far that came.
      throw error instanceof OutcomeUnknownError ? storageFailure(error.cause) : error;
    } finally {
      // Nobody has seen the file; what is left of it does no harm.
      if (location === undefined) {
        const forgetting = records.write((draft) => forgetFile(draft, fingerprint), NOT_DURABLE);
        await forgetting.catch(() => undefined);
      }
      this.#forks.named(fingerprint);
      if (source !== undefined) resources.release(source);
      if (location === undefined && Buffer.isBuffer(content)) await file.discard();
    }
    if (location === undefined) return undefined;
    made(path);
    if (isDurable) await this.#syncNames(file, location);
    await file.discard();
    return { state, names: namesOf(generation, state) };
  }

  async #syncNames(file: NewFile, location: string): Promise<void> {
    const { root, syncer } = this.#options;
    try {
      await syncer.run(() => root.syncNames(location));
    } catch (error) {
      await file.discard();
      const message = 'the stream is made, but may be gone after a loss of power';
      throw new OutcomeUnknownError(message, { cause: error });
    }
  }
}

/** What it means that the source of a fork cannot be acquired. */
function asConflict(error: unknown): never {
  if (!(error instanceof StreamGoneError)) throw error;
  throw new StreamConflictError('the source was deleted', { cause: error });
}

/** @throws {ContentMismatchError} when a file of which `size` bytes count is not the same as a new one */
async function assertSameContent(file: StoredFile, size: number, content: NewFile): Promise<void> {
  if (content.size === size && (await hasSameContent(file, content, size))) return;
  throw new ContentMismatchError(
    'there is other content at this path, and nothing is overwritten: append with ?verb=APPEND, or delete it first',
  );
}

/** Whether the first `size` bytes of two files are the same. */
async function hasSameContent(one: StoredFile, other: StoredFile, size: number): Promise<boolean> {
  for (let at = 0; at < size; at += BLOCK_BYTES) {
    const length = Math.min(BLOCK_BYTES, size - at);
    const [a, b] = await Promise.all([one.read(at, length), other.read(at, length)]);
    if (!a.equals(b)) return false;
  }
  return true;
}
