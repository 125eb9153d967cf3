import type { IncomingMessage } from 'node:http';
import {
  AppendConflictError,
  ForbiddenPathError,
  type HttpfstreamError,
  PositionMismatchError,
  RangeNotSatisfiableError,
  RepeatedRequestError,
  ResourceGoneError,
  ResourceNotFoundError,
  StreamClosedError,
  UnexpectedStatusError,
} from '../wire/errors.ts';
import { textWithoutCredentials } from './connection/target-url.ts';

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

/** Turns a server's refusal into the matching error. Reads as much of the body as the error needs. */
export async function refusalOf(response: IncomingMessage): Promise<HttpfstreamError> {
  const status = response.statusCode ?? 0;
  const { code, detail } = problemOf(await textOf(response));
  const explanation = redirectOf(response) ?? detail;
  const message =
    explanation === undefined ? `HTTP status ${status}` : `HTTP status ${status}: ${explanation}`;
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
  return new UnexpectedStatusError(status, message, retryAfterOf(response));
}

/** Where a redirect leads. It is not followed, because the request's headers would go along. */
function redirectOf({ statusCode = 0, headers: { location } }: IncomingMessage): string | undefined {
  if (statusCode < 300 || statusCode > 399 || location === undefined) return undefined;
  return `the server redirects to ${textWithoutCredentials(location).slice(0, MAX_DETAIL_LENGTH)}`;
}

async function textOf(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  const deadline = setTimeout(() => response.destroy(), BODY_TIMEOUT_MS);
  try {
    for await (const chunk of response) {
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

/** The original answers in plain text, this server in problem+json if asked to. Members that are not strings are ignored. */
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

/**
 * The wait that a server asks for in `Retry-After`, in milliseconds, at most an hour
 * (RFC 9110, section 10.2.3); undefined when the header is missing or malformed.
 */
function retryAfterOf({ headers }: IncomingMessage): number | undefined {
  const text = headers['retry-after']?.trim() ?? '';
  const isDate = text.endsWith('GMT');
  if (!isDate && !/^\d+$/.test(text)) return undefined;
  const delayMs = isDate ? Date.parse(text) - Date.now() : Number(text) * 1000;
  return Number.isNaN(delayMs) ? undefined : Math.min(Math.max(0, delayMs), MAX_RETRY_AFTER_MS);
}
