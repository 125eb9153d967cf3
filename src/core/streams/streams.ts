import type { NewFile } from '../../storage/new-file.ts';
import {
  PathConflictError,
  ResourceNotFoundError,
  StreamConflictError,
  StreamGoneError,
} from '../../wire/errors.ts';
import type { Permit } from '../permit.ts';
import type { CreateRequest } from './create-request.ts';
import type { ForkTree } from './fork-tree.ts';
import { type MakerOptions, StreamMaker } from './stream-maker.ts';
import type { StreamRemover } from './stream-remover.ts';
import type { StreamView } from './stream-view.ts';

export type { NewFile };

/** How often something else may take a new stream's name and be gone again. */
const MAX_ATTEMPTS = 3;

/** What is there after a request to create. */
export interface Created extends StreamView {
  /** Whether it was made, and not there already. */
  isNew: boolean;
}

/** How streams come and go. */
export class Streams {
  readonly #options: MakerOptions;
  readonly #forks: ForkTree;
  readonly #maker: StreamMaker;
  readonly #remover: StreamRemover;

  constructor(options: MakerOptions, forks: ForkTree, remover: StreamRemover) {
    this.#options = options;
    this.#forks = forks;
    this.#maker = new StreamMaker(options, forks);
    this.#remover = remover;
  }

  /**
   * Makes a file that has no name yet, to be filled and then given to {@link create}, or discarded.
   *
   * @throws what {@link StreamMaker.newFile} throws
   */
  newFile({ path }: Permit<'append'>): Promise<NewFile> {
    return this.#maker.newFile(path);
  }

  /**
   * Makes a stream with all of its content, or finds that it is there already.
   *
   * @param content what it begins with; of a fork, after what it copies
   * @throws {StreamConflictError} when another one is there, or was and lives on in its forks
   * @throws {ContentMismatchError} when a file with other content is there, and nothing but content was brought
   * @throws {ResourceNotFoundError} when the source of a fork is not there
   * @throws what {@link forkPosition} and {@link Resources.inTurn} throw
   */
  async create(
    permit: Permit<'append'>,
    request: CreateRequest,
    content: Buffer | NewFile,
  ): Promise<Created> {
    const { path } = permit;
    const { resources, isDurable } = this.#options;
    return resources.inTurn(path, async () => {
      for (let attempts = 0; attempts < MAX_ATTEMPTS; attempts++) {
        const file = await resources.openInTurn(permit).catch(ignoreAbsent);
        const found = file && (await this.#maker.find(await resources.use(file), path, request, content));
        if (found !== undefined) return { isNew: false, ...found };
        if (await this.#forks.isKept(path.key, isDurable)) {
          throw new StreamConflictError('a stream was here that lives on in its forks');
        }
        const made = await this.#maker.make(path, request, content);
        if (made !== undefined) return { isNew: true, ...made };
      }
      throw new PathConflictError('there is something at this path that is no file');
    });
  }

  /**
   * Deletes a stream. While forks of it live, nothing can be made in its place.
   *
   * @throws what {@link Resources.open}, {@link Resources.inTurn} and {@link StreamRemover.remove} throw
   */
  async delete(permit: Permit<'delete'>): Promise<void> {
    const { path } = permit;
    const { resources } = this.#options;
    await resources.inTurn(path, async () => {
      for (let attempts = 0; attempts < MAX_ATTEMPTS; attempts++) {
        const file = await resources.openInTurn(permit);
        if (await this.#remover.remove(path, file, { onlyExpired: false })) return;
      }
      throw new PathConflictError('another file takes this name again and again');
    });
  }
}

function ignoreAbsent(error: unknown): undefined {
  if (!(error instanceof ResourceNotFoundError || error instanceof StreamGoneError)) throw error;
}
