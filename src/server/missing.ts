import { ResourceNotFoundError } from '../errors.ts';

/** For `catch`: what is not there is undefined. */
export function ignoreMissing(error: unknown): undefined {
  if (!(error instanceof ResourceNotFoundError)) throw error;
}
