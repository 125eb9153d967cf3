import { type HttpfstreamError, RootInUseError, StorageError, StorageFullError } from '../../wire/errors.ts';
import { reasonOf, storageFailure } from '../storage-failure.ts';

/**
 * What systems call a disk without space for bytes or files, and a quota that is used up, in the only words that
 * LevelDB passes on.
 */
const FULL = /no space left|quota exceeded/i;

/**
 * What an error of LevelDB means to the one who asked; what the database knows of it becomes the cause.
 *
 * @param isFull whether the disk is seen to be full
 */
export function storeFailure(error: unknown, directory: string, isFull: () => boolean): HttpfstreamError {
  const code = codeOf(error);
  if (!code?.startsWith('LEVEL_')) return storageFailure(error);
  const options = { cause: causeOf(error) };
  if (code === 'LEVEL_LOCKED') return new RootInUseError(`another process uses ${directory}`, options);
  if (code === 'LEVEL_IO_ERROR' && (FULL.test(reasonOf(error)) || isFull())) {
    return new StorageFullError("the server's disk is full", options);
  }
  return new StorageError("the server's store of records cannot be used", options);
}

/** Whether LevelDB has found that what it has written is not as it was. */
export function isCorruption(error: unknown): boolean {
  return codeOf(error) === 'LEVEL_CORRUPTION';
}

/** Of a database that cannot be opened, the reason is the cause. */
function causeOf(error: unknown): unknown {
  return error instanceof Error && error.cause !== undefined ? error.cause : error;
}

function codeOf(error: unknown): string | undefined {
  const { code } = (causeOf(error) ?? {}) as { code?: string };
  return code ?? (error as { code?: string }).code;
}
