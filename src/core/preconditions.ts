import {
  AppendConflictError,
  PositionMismatchError,
  RepeatedRequestError,
  ResourceGoneError,
  ResourceNotFoundError,
} from '../wire/errors.ts';

/** @throws {PositionMismatchError} when a session would begin at `start` and must begin elsewhere */
export function assertStart(start: number, expected: number | undefined): void {
  if (expected === undefined || expected === start) return;
  throw new PositionMismatchError(`the append would begin at ${start}, not at ${expected}`);
}

/** @throws {ResourceGoneError} when another generation is wanted than the file has */
export function assertGeneration(actual: number, wanted: number | undefined): void {
  if (wanted !== undefined && wanted !== actual) {
    throw new ResourceGoneError('the file was deleted and made anew');
  }
}

/**
 * @throws {RepeatedRequestError} when a request of a session is not newer than the last one: a proxy repeats it, say
 */
export function assertNewer(attempt: number | undefined, last: number | undefined): void {
  if (attempt === undefined || last === undefined || attempt > last) return;
  throw new RepeatedRequestError('the session has come with this request, or a newer one, before');
}

/** What it means that something is not there: it is gone for those who name its generation, since they have seen it. */
export function asGone(error: unknown, generation: number | undefined): unknown {
  if (generation === undefined || !(error instanceof ResourceNotFoundError)) return error;
  return new ResourceGoneError('the file was deleted', { cause: error });
}

/** For what may be missing: undefined then; what else went wrong is thrown. */
export function ignoreMissing(error: unknown): undefined {
  if (!(error instanceof ResourceNotFoundError)) throw error;
}

/** What another client gets that wants to append. */
export function conflict(): AppendConflictError {
  return new AppendConflictError('the path already has an active appender');
}
