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
import { textWithoutCredentials } from './connection/credentials.ts';
import { retryAfterOf } from './retry-after.ts';

/** What the original's server answers when somebody else appends. */
const ORIGINAL_CONFLICT = /already has an active/;

/** How much of an error's body is looked at. */
const MAX_BODY_BYTES = 8192;

/** How long that may take, in milliseconds. */
const BODY_TIMEOUT_MS = 10_000;

/** How much of what it says is told, in characters. */
const MAX_DETAIL_LENGTH = 200;

/** Server errors that will be the same the next time: not implemented, HTTP version, disk full. */
const LASTING: readonly number[] = [501, 505, 507];

/**
 * Whether it makes sense to go on asking after a refusal with this status, once
 * the server has accepted. 400 is for a request whose end was torn off; 404 is a
 * proxy's, because the server answers 410 to those who name the generation.
 */
export function isTransient(status = 0): boolean {
  return [400, 404, 408, 429].includes(status) || (status >= 500 && !LASTING.includes(status));
}

/** Turns a server's refusal into the error that it means. Reads the body, as far as it matters. */
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

/** Where a redirect leads: nobody goes there by himself, because headers would go along. */
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

/** The original answers in plain text, this server in problem+json when asked to. What is no text is left out. */
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
