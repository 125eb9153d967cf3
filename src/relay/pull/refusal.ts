import { RelayLoopError, ResourceNotFoundError } from '../../wire/errors.ts';
import type { Copied } from '../copies/local-copy.ts';
import type { OpenAnswer } from '../upstream/open-answer.ts';
import { FAILED_MS, refused, stored, type Verdict } from '../verdict.ts';
import { LOOP_STATUS } from './asking.ts';
import type { Fetching } from './fetching.ts';

/**
 * What an error of a server of ours means.
 *
 * @param here what is here, if it comes from there
 * @throws {ResourceNotFoundError} when it is not there
 * @throws {RelayLoopError} when the request has come back
 */
export async function refusalOf(
  { copy }: Fetching,
  here: Copied | undefined,
  { status }: OpenAnswer,
): Promise<Verdict> {
  if (status === 404 || status === 410) {
    if (here !== undefined) await copy.drop();
    throw new ResourceNotFoundError('there is nothing at this path');
  }
  return statusVerdict(status, here);
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
