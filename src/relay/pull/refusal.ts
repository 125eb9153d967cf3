import {
  ForbiddenRightError,
  type HttpfstreamError,
  RelayLoopError,
  ResourceNotFoundError,
  StreamGoneError,
  UnauthorizedError,
  UnexpectedStatusError,
  UpstreamRefusalError,
} from '../../wire/errors.ts';
import type { Copied, CopyFile } from '../copies/copy-file.ts';
import { CODE_PREFIX } from '../upstream/first-contact.ts';
import type { OpenAnswer } from '../upstream/open-answer.ts';
import { LOOP_STATUS, UNAUTHORIZED } from '../upstream/upstream-request.ts';
import { FAILED_MS, refused, stored, type Verdict } from './verdict.ts';

const FORBIDDEN = 403;

/**
 * What an error of an httpfstream server means.
 *
 * @param copied what is here, if it comes from there
 * @throws {ResourceNotFoundError} {@link StreamGoneError} when it is not there
 * @throws {RelayLoopError} when the request has come back
 */
export async function refusalOf(
  copy: CopyFile,
  copied: Copied | undefined,
  { status }: OpenAnswer,
): Promise<Verdict> {
  const missing = missingBy(status);
  if (missing !== undefined) {
    if (copied !== undefined) await copy.drop();
    throw missing;
  }
  return statusVerdict(status, copied);
}

/** What a status says of something that is not there, or not any more; undefined when it says something else. */
export function missingBy(status: number): HttpfstreamError | undefined {
  if (status === 410) return new StreamGoneError('there is nothing at this path any more');
  return status === 404 ? new ResourceNotFoundError('there is nothing at this path') : undefined;
}

/**
 * What an error of an httpfstream server means for those who ask for the path: it is for them to see, unless what is
 * here has ended.
 *
 * @param refusal what was said to a request to follow
 * @throws {RelayLoopError} when the request has come back
 */
export function statusVerdict(
  status: number,
  copied: Copied | undefined,
  refusal?: UpstreamRefusalError,
): Verdict {
  if (status === LOOP_STATUS)
    throw new RelayLoopError('the request has come back to a relay through which it has passed');
  if (status >= 500 && copied?.outcome !== undefined) return stored('fwd=stale', FAILED_MS);
  return refused(`HTTP status ${status}`, FAILED_MS, refusal);
}

/**
 * What a server has said by refusing to be followed, for those who ask for the path; undefined when it has not refused.
 *
 * @throws {RelayLoopError} when the request has come back
 */
export function followVerdict(error: unknown, copied: Copied | undefined): Verdict | undefined {
  if (error instanceof UnauthorizedError) return statusVerdict(UNAUTHORIZED, copied);
  if (error instanceof ForbiddenRightError) {
    const { code, message } = error;
    const refusal = new UpstreamRefusalError(FORBIDDEN, code, message, { cause: error });
    return statusVerdict(FORBIDDEN, copied, refusal);
  }
  return error instanceof UnexpectedStatusError
    ? statusVerdict(error.status, copied, refusalIn(error))
    : undefined;
}

/**
 * What an httpfstream server has said by refusing to be followed; undefined when something in front of it has, or asks
 * who that is.
 */
function refusalIn(error: UnexpectedStatusError): UpstreamRefusalError | undefined {
  const { status, problem } = error;
  const { code = '', detail = error.message } = problem;
  if (status < 400 || status === UNAUTHORIZED || !code.startsWith(CODE_PREFIX)) return undefined;
  return new UpstreamRefusalError(status, code, detail, { cause: error });
}
