import type { AppendFile } from '../../storage/append-file.ts';
import type { Records } from '../../storage/records/records.ts';
import type { Root } from '../../storage/root.ts';
import type { StoredFile } from '../../storage/stored-file.ts';
import { PathConflictError, ResourceNotFoundError, StreamGoneError } from '../../wire/errors.ts';
import type { ResourcePath } from '../../wire/resource-path.ts';

/** What is at the paths of streams. */
export class StreamFiles {
  readonly #root: Root;
  readonly #records: Records;

  constructor(root: Root, records: Records) {
    this.#root = root;
    this.#records = records;
  }

  /**
   * Opens the file or directory at a path.
   *
   * @throws {ResourceNotFoundError} when there is neither
   * @throws {StreamGoneError} when there was a stream, of which forks live
   */
  async openAny(resource: ResourcePath): Promise<StoredFile> {
    try {
      return await this.#root.openRead(resource);
    } catch (error) {
      throw await this.#orGone(resource, error);
    }
  }

  /**
   * As {@link openAny}, of files only.
   *
   * @throws {PathConflictError} when there is a directory
   */
  async openFile(resource: ResourcePath): Promise<StoredFile> {
    return assertFile(await this.openAny(resource));
  }

  /**
   * Opens a file to be appended to.
   *
   * @param options.create whether to make the file if it is missing
   * @throws {StreamGoneError} when there was a stream, of which forks live
   * @throws what {@link Root.openAppend} throws
   */
  async openAppend(resource: ResourcePath, { create }: { create: boolean }): Promise<AppendFile> {
    try {
      return await this.#root.openAppend(resource, { create: false });
    } catch (error) {
      const failure = await this.#orGone(resource, error);
      if (!create || !(failure instanceof ResourceNotFoundError)) throw failure;
      return this.#root.openAppend(resource, { create });
    }
  }

  /** What it means that something cannot be opened. */
  async #orGone({ key }: ResourcePath, error: unknown): Promise<unknown> {
    if (!(error instanceof ResourceNotFoundError)) return error;
    await this.#records.opening;
    const isGone = this.#records.tombstone(key) !== undefined;
    return isGone ? new StreamGoneError('the stream was deleted', { cause: error }) : error;
  }
}

/** @throws {PathConflictError} when what is open is a directory, which is closed then */
export async function assertFile(file: StoredFile): Promise<StoredFile> {
  if (file.stat.kind === 'file') return file;
  await file.close();
  throw new PathConflictError('there is a directory at this path');
}
