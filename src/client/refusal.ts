import type { IncomingMessage } from 'node:http';
import type { Readable } from 'node:stream';
import { readable } from '../http/node/readable.ts';
import { retryAfterMs } from '../http/retry-after.ts';
import { shownLocation } from '../http/shown-location.ts';
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
} from '../wire/errors.ts';

/** What the original's server answers while another client appends. */
const ORIGINAL_CONFLICT = /already has an active/;

/** How much of an error's body is read. */
const MAX_BODY_BYTES = 8192;

/** Time limit for reading it. */
const BODY_TIMEOUT_MS = 10_000;

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
export function isTransient(status = 0): boolean {
  return [400, 404, 408, 429].includes(status) || (status >= 500 && !PERMANENT.includes(status));
}

/** What a server has said by refusing. */
interface Refusal {
  status: number;
  location: string | undefined;
  retryAfter: string | undefined;
  body: Readable;
}

/** Turns a server's refusal into the matching error. Reads as much of the body as the error needs. */
export async function refusalOf(response: IncomingMessage | Response): Promise<HttpfstreamError> {
  const { status, location, retryAfter, body } =
    response instanceof Response ? refusalIn(response) : refusalOfHandshake(response);
  const problem = problemOf(await textOf(body));
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

function refusalIn(response: Response): Refusal {
  const { status, headers } = response;
  return {
    status,
    location: headers.get('location') ?? undefined,
    retryAfter: headers.get('retry-after') ?? undefined,
    body: readable(response),
  };
}

function refusalOfHandshake(response: IncomingMessage): Refusal {
  const { statusCode: status = 0, headers } = response;
  return { status, location: headers.location, retryAfter: headers['retry-after'], body: response };
}

/** Where a redirect leads. It is not followed, because the request's headers would go along. */
function redirectOf(status: number, location: string | undefined): string | undefined {
  if (status < 300 || status > 399 || location === undefined) return undefined;
  return `the server redirects to ${shownLocation(location).slice(0, MAX_DETAIL_LENGTH)}`;
}

async function textOf(body: Readable): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  const deadline = setTimeout(() => body.destroy(), BODY_TIMEOUT_MS);
  try {
    for await (const chunk of body) {
      chunks.push(chunk);
      bytes += chunk.length;
      if (bytes > MAX_BODY_BYTES) break;
    }
  } catch {
    // The status says enough.
  } finally {
    clearTimeout(deadline);
  }
  return Buffer.concat(chunks).toString();
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
