import { retryAfterMs } from '../../http/retry-after.ts';
import { shownLocation } from '../../http/shown-location.ts';
import {
  AppendConflictError,
  ForbiddenPathError,
  ForbiddenRightError,
  type HttpfstreamError,
  PositionMismatchError,
  RangeNotSatisfiableError,
  RepeatedRequestError,
  ResourceGoneError,
  ResourceNotFoundError,
  StreamClosedError,
  UnauthorizedError,
  UnexpectedStatusError,
} from '../../wire/errors.ts';

/** What the original's server answers while another client appends. */
const ORIGINAL_CONFLICT = /already has an active/;

/** How much of the body of a refusal is read. */
export const MAX_REFUSAL_BYTES = 8192;

/** Time limit for reading it. */
export const REFUSAL_TIMEOUT_MS = 10_000;

/** How much of what it says goes into the error's message, in characters. */
const MAX_DETAIL_LENGTH = 200;

/** Longest `Retry-After` that is respected. */
const MAX_RETRY_AFTER_MS = 3_600_000;

/** Server errors that a retry does not cure: not implemented, HTTP version, disk full. */
const PERMANENT: readonly number[] = [501, 505, 507];

/**
 * Whether a retry makes sense after a refusal with this status, once the server has
 * accepted the stream. 400 answers a request that was cut short; 404 comes from a
 * proxy, since the server answers 410 to requests that name a generation.
 */
export function isTransient(status: number): boolean {
  return [400, 404, 408, 429].includes(status) || (status >= 500 && !PERMANENT.includes(status));
}

/** What a server has said by refusing. */
export interface RefusalFacts {
  /** HTTP status. */
  status: number;
  /** Of the headers `Location` and `Retry-After`. */
  location: string | null | undefined;
  retryAfter: string | null | undefined;
  /** As much of the body as has come. */
  body: string;
}

/** Turns a server's refusal into the matching error. */
export function errorOfRefusal({ status, location, retryAfter, body }: RefusalFacts): HttpfstreamError {
  const problem = problemOf(body);
  const { code, detail } = problem;
  const explanation = redirectOf(status, location) ?? detail;
  const message =
    explanation === undefined ? `HTTP status ${status}` : `HTTP status ${status}: ${explanation}`;
  if (status === 401) return new UnauthorizedError(message);
  if (code === 'HFS_FORBIDDEN_RIGHT') return new ForbiddenRightError(detail ?? message);
  if (status === 404) return new ResourceNotFoundError('file does not exist');
  if (status === 410) return new ResourceGoneError(detail ?? message);
  if (status === 416) return new RangeNotSatisfiableError(message);
  if (code === 'HFS_POSITION_MISMATCH') return new PositionMismatchError(message);
  if (status === 425) return new RepeatedRequestError(message);
  if (code === 'HFS_FORBIDDEN_PATH') return new ForbiddenPathError(message);
  if (code === 'HFS_STREAM_CLOSED') return new StreamClosedError(message);
  // The original's server gives no code.
  const isConflict =
    code === 'HFS_APPEND_CONFLICT' || (code === undefined && ORIGINAL_CONFLICT.test(message));
  if (status === 403 && isConflict) return new AppendConflictError(message);
  const retryMs = retryAfterMs(retryAfter);
  const delayMs = retryMs && Math.min(retryMs, MAX_RETRY_AFTER_MS);
  return new UnexpectedStatusError(status, message, delayMs, problem);
}

/** Where a redirect leads. It is not followed, because the request's headers would go along. */
function redirectOf(status: number, location: string | null | undefined): string | undefined {
  if (status < 300 || status > 399 || location === null || location === undefined) return undefined;
  return `the server redirects to ${shownLocation(location).slice(0, MAX_DETAIL_LENGTH)}`;
}

/**
 * The original answers in plain text, this server in problem+json if asked to. Members that are not strings are
 * ignored.
 */
function problemOf(body: string): { code?: string; detail?: string } {
  const { code, detail } = jsonOf(body) ?? { detail: body.trim() };
  return {
    ...(typeof code === 'string' && { code }),
    ...(typeof detail === 'string' && detail !== '' && { detail: detail.slice(0, MAX_DETAIL_LENGTH) }),
  };
}

function jsonOf(body: string): { code?: unknown; detail?: unknown } | undefined {
  try {
    return Object(JSON.parse(body));
  } catch {
    return undefined;
  }
}
