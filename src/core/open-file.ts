import type { StoredFile } from '../storage/stored-file.ts';
import { ForbiddenRightError } from '../wire/errors.ts';

/** A file, or directory, as {@link Resources} opens it: to be read, and closed by whoever had it opened. */
export type OpenFile = Pick<
  StoredFile,
  'stat' | 'generation' | 'state' | 'look' | 'read' | 'readInLine' | 'readInto' | 'blocks' | 'close'
>;

/** How many of a file's first bytes tell its type, if nothing else does. */
export const TYPE_BYTES = 512;

/** A file for those who may be told how much there is, and of what type, and not what: nothing more of it is read. */
export class SeenFile implements OpenFile {
  readonly #file: StoredFile;

  constructor(file: StoredFile) {
    this.#file = file;
  }

  get stat(): StoredFile['stat'] {
    return this.#file.stat;
  }

  get generation(): number {
    return this.#file.generation;
  }

  get blocks(): StoredFile['blocks'] {
    return this.#file.blocks;
  }

  state(): ReturnType<StoredFile['state']> {
    return this.#file.state();
  }

  look(): ReturnType<StoredFile['look']> {
    return this.#file.look();
  }

  /** @throws {ForbiddenRightError} for more than tells the type */
  readInLine(position: number, length: number): Buffer {
    if (position + length > TYPE_BYTES) throw notToBeRead();
    return this.#file.readInLine(position, length);
  }

  /** @throws {ForbiddenRightError} always */
  read(): Promise<never> {
    throw notToBeRead();
  }

  /** @throws {ForbiddenRightError} always */
  readInto(): Promise<never> {
    throw notToBeRead();
  }

  close(): Promise<void> {
    return this.#file.close();
  }
}

function notToBeRead(): ForbiddenRightError {
  return new ForbiddenRightError('it is not permitted to read the file');
}

/** What one reader of files may have in memory, lent by {@link OpenFile.blocks}. */
export type { BlockLoan } from '../storage/block-pool.ts';

/** How far the clock that dates files runs behind at most: it ticks with the system's timer. */
export const CLOCK_TICK_MS = 20;
