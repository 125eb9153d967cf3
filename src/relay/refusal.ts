import {
  type HttpfstreamError,
  RelayLoopError,
  ResourceNotFoundError,
  StreamGoneError,
} from '../wire/errors.ts';
import { LOOP_STATUS } from './asking.ts';
import type { Fetching } from './fetching.ts';
import type { Copied } from './local-copy.ts';
import type { OpenAnswer } from './open-answer.ts';
import { FAILED_MS, refused, stored, type Verdict } from './verdict.ts';

/**
 * What an error of a server of ours means.
 *
 * @param here what is here, if it comes from there
 * @throws {ResourceNotFoundError} {@link StreamGoneError} when it is not there
 * @throws {RelayLoopError} when the request has come back
 */
export async function refusalOf(
  { copy }: Fetching,
  here: Copied | undefined,
  { status }: OpenAnswer,
): Promise<Verdict> {
  const missing = missingBy(status);
  if (missing !== undefined) {
    if (here !== undefined) await copy.drop();
    throw missing;
  }
  return statusVerdict(status, here);
}

/** What a status says of something that is not there, or not any more; undefined when it says something else. */
export function missingBy(status: number): HttpfstreamError | undefined {
  if (status === 410) return new StreamGoneError('there is nothing at this path any more');
  return status === 404 ? new ResourceNotFoundError('there is nothing at this path') : undefined;
}

/**
 * What an error of a server of ours means for those who ask for the path: it is for them to see, unless what is here has ended.
 *
 * @throws {RelayLoopError} when the request has come back
 */
export function statusVerdict(status: number, here: Copied | undefined): Verdict {
  if (status === LOOP_STATUS)
    throw new RelayLoopError('the request has come back to a relay through which it has passed');
  if (status >= 500 && here?.outcome !== undefined) return stored('fwd=stale', FAILED_MS);
  return refused(`HTTP status ${status}`, FAILED_MS);
}
