import type { NewFile } from '../../storage/new-file.ts';
import type { RecordDraft } from '../../storage/records/record-draft.ts';
import type { Records } from '../../storage/records/records.ts';
import type { StreamState } from '../../storage/records/stream-state.ts';
import type { Root } from '../../storage/root.ts';
import { storageFailure } from '../../storage/storage-failure.ts';
import type { StoredFile } from '../../storage/stored-file.ts';
import { OutcomeUnknownError, ResourceNotFoundError } from '../../wire/errors.ts';
import type { ResourcePath } from '../../wire/resource-path.ts';
import type { Syncer } from '../log/syncer.ts';
import { assertMatches, type CreateRequest, initialState } from './create-request.ts';
import { forgetFile } from './fork-links.ts';
import type { ForkTree, Inherited } from './fork-tree.ts';
import { assertSameContent } from './same-content.ts';
import { namesOf } from './stream-offset.ts';
import type { StreamRegistry } from './stream-registry.ts';
import type { StreamStore } from './stream-store.ts';
import type { StreamView } from './stream-view.ts';

/** What streams are made with. */
export interface MakerOptions {
  root: Root;
  records: Records;
  store: StreamStore;
  streams: StreamRegistry;
  syncer: Syncer;
  /** Whether what is made must survive a loss of power when that is told. */
  isDurable: boolean;
  /** Called when a file has got its name. */
  made: (resource: ResourcePath) => void;
}

/** What a stream is that was made, or found where it was to be made. */
export interface MadeStream extends StreamView {
  /** What it holds; undefined if that is not known. */
  type: string | undefined;
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
   * @throws what {@link Stream.assertWhole} throws
   */
  async find(
    file: StoredFile,
    resource: ResourcePath,
    request: CreateRequest,
    content: Buffer | NewFile,
  ): Promise<MadeStream> {
    const { streams } = this.#options;
    try {
      const stream = await streams.acquire(file, resource);
      try {
        stream.assertWhole();
        if (!request.isUpload) assertMatches(stream.state, stream.type, request);
        else if (!Buffer.isBuffer(content)) await assertSameContent(file, stream.state.size, content);
        const { state, names, type } = stream;
        return { state, names, type };
      } finally {
        streams.release(stream);
      }
    } finally {
      await file.close();
    }
  }

  /**
   * Makes a stream. From when it has its name it is made, whatever becomes of the server: nothing that
   * could fail is asked of it any more, but that its name is safe.
   *
   * @returns undefined when something has taken its name meanwhile
   * @throws {OutcomeUnknownError} when its name is not safe
   */
  async make(
    resource: ResourcePath,
    request: CreateRequest,
    content: Buffer | NewFile,
  ): Promise<MadeStream | undefined> {
    const { root, records, store, syncer, isDurable, made } = this.#options;
    const { contentType, fork } = request;
    if (fork?.source.key === resource.key) throw new ResourceNotFoundError('the source is not there');
    const file = Buffer.isBuffer(content) ? await root.newFile() : content;
    const { fingerprint, generation } = file.stat;
    let state: StreamState;
    let inherited: Inherited | undefined;
    let location: string | undefined;
    try {
      inherited = fork && (await this.#forks.copy(fork, contentType, file));
      if (Buffer.isBuffer(content) && content.length > 0) await file.write([content]);
      if (isDurable) await syncer.sync(file);
      // From before it has a name: no file is a stream without what is remembered of it.
      state = initialState(request, file.size, inherited);
      const { key: path } = resource;
      const making = (draft: RecordDraft) => {
        store.put(draft, fingerprint, path, state);
        if (inherited !== undefined) this.#forks.link(draft, inherited, { path, fingerprint });
      };
      await records.write(making, { durable: isDurable, isNew: true });
      location = await root.publish(file, resource);
    } catch (error) {
      // What was remembered of it goes with it, however far that came.
      throw error instanceof OutcomeUnknownError ? storageFailure(error.cause) : error;
    } finally {
      // Nobody has seen the file: what is left of it is in nobody's way.
      if (location === undefined) {
        const forgetting = records.write((draft) => forgetFile(draft, fingerprint), { durable: false });
        await forgetting.catch(() => undefined);
      }
      if (inherited !== undefined) this.#forks.release(inherited, fingerprint);
      if (Buffer.isBuffer(content)) await file.discard();
    }
    if (location === undefined) return undefined;
    made(resource);
    if (isDurable) await this.#syncNames(location);
    return { state, names: namesOf(generation, state), type: state.contentType };
  }

  async #syncNames(location: string): Promise<void> {
    const { root, syncer } = this.#options;
    try {
      await syncer.run(() => root.syncNames(location));
    } catch (error) {
      const message = 'the stream is made, but may be gone after a loss of power';
      throw new OutcomeUnknownError(message, { cause: error });
    }
  }
}
