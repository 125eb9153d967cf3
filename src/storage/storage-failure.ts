import {
  HttpfstreamError,
  InvalidPathError,
  PathConflictError,
  ResourceNotFoundError,
  StorageBusyError,
  StorageError,
  StorageFullError,
} from '../wire/errors.ts';

/** Whether `error` is the operating system's, with one of the codes (`ENOENT`, …). */
export function hasErrno(error: unknown, ...codes: readonly string[]): boolean {
  return error instanceof Error && 'code' in error && codes.includes(String(error.code));
}

/**
 * What an operating system's error means to the one who asked; it becomes the cause. Our own errors stay as they are.
 */
export function storageFailure(cause: unknown): HttpfstreamError {
  if (cause instanceof HttpfstreamError) return cause;
  const options = { cause };
  if (hasErrno(cause, 'ENOENT')) return new ResourceNotFoundError('there is nothing at this path', options);
  if (hasErrno(cause, 'ENOTDIR', 'EISDIR', 'EEXIST', 'ENXIO')) {
    return new PathConflictError(
      'a file stands where a directory is needed, or the other way round',
      options,
    );
  }
  if (hasErrno(cause, 'ENAMETOOLONG')) return new InvalidPathError('the path is too long', options);
  if (hasErrno(cause, 'ENOSPC', 'EDQUOT', 'EFBIG')) {
    return new StorageFullError("the server's disk is full", options);
  }
  if (hasErrno(cause, 'EMFILE', 'ENFILE')) {
    return new StorageBusyError('the server has too many files open', options);
  }
  return new StorageError("the server's file system refused", options);
}

/** An error of a call that was given a descriptor, and so does not say of which file, with the name of that. */
export function withName(error: unknown, name: string): Error {
  const { code } = error as NodeJS.ErrnoException;
  return Object.assign(new Error(`${reasonOf(error)} '${name}'`, { cause: error }), { code });
}

/** What an operator is to read of an error: what the system said, where that is known. */
export function reasonOf(error: unknown): string {
  const cause = error instanceof Error && error.cause !== undefined ? error.cause : error;
  return cause instanceof Error ? cause.message : String(cause);
}

/**
 * Runs what is in line, and may well fail, without noting where: it is told what is not there, not searched for who
 * asked, and a stack takes several times as long as a look-up.
 */
export function withoutStack<T>(action: () => T): T {
  const { stackTraceLimit } = Error;
  // Not an assignment, which throws where the host has frozen what is built in.
  Reflect.set(Error, 'stackTraceLimit', 0);
  try {
    return action();
  } finally {
    Reflect.set(Error, 'stackTraceLimit', stackTraceLimit);
  }
}
