import { cannotConnect } from '../client/connection/cannot-connect.ts';
import { targetUrl } from '../client/session/target-url.ts';
import { withBearer } from '../client/session/token.ts';
import { TimeoutError } from '../http/errors.ts';
import { client } from '../http/node/client.ts';
import { ConnectionError } from '../wire/errors.ts';
import type { Credentials } from './credentials.ts';

/** Time limit for the head of an answer, unless another one is given. */
const ANSWER_TIMEOUT_MS = 30_000;

const RANGE = /^bytes (?<start>\d+)-(?<end>\d+)\//;

/**
 * The credentials are for the origin of the URL: when a redirect has led away from it, only headers are sent that can be no
 * secret.
 */
export interface RequestOptions extends Credentials {
  method: string;
  body?: Uint8Array | undefined;
  /** Time limit for the head of the answer, after all redirects, in milliseconds; 0 for none. Default 30,000. */
  answerTimeoutMs?: number;
  /** Aborts the request, also while the body is being read. */
  signal?: AbortSignal;
}

/**
 * Sends a request for a resource as it is stored, without compression. There is no time limit between two chunks of the
 * body: it may be a live stream.
 *
 * @param url http, https, ws or wss URL
 * @throws {InvalidUrlError}, {@link ConnectionError}, {@link RedirectError}, the signal's reason
 */
export async function requestResource(
  url: string | URL,
  { method, headers, token, body, answerTimeoutMs = ANSWER_TIMEOUT_MS, signal }: RequestOptions,
): Promise<Response> {
  const target = targetUrl(url);
  target.protocol = target.protocol.replace('ws', 'http');
  const authorised = withBearer(headers, await token?.());
  const request = client(target, { headers: { 'accept-encoding': 'identity', ...authorised } })
    .request(method, '')
    .timeout(answerTimeoutMs);
  if (body !== undefined) request.body(body);
  if (signal !== undefined) request.signal(signal);
  try {
    return await request.send();
  } catch (error) {
    throw explained(error, target, answerTimeoutMs);
  }
}

/** Says what commands say of a connection that failed. */
function explained(error: unknown, url: URL, answerTimeoutMs: number): unknown {
  if (error instanceof TimeoutError) {
    return new ConnectionError(`no answer within ${answerTimeoutMs / 1000} s`, { cause: error });
  }
  const { cause } = Object(error);
  // What has no code is not Node's word on the connection.
  const isExplicable = error instanceof ConnectionError && cause instanceof Error && 'code' in cause;
  return isExplicable ? cannotConnect(cause, url) : error;
}

/** Lets go of an answer of which nobody reads the body. */
export async function discard({ body }: Response): Promise<void> {
  // It may break while it is cancelled, which is all the same.
  await body?.cancel().catch(() => {});
}

/** The range that an answer declares, and the size of the whole; members that it does not tell are undefined. */
export function contentRangeOf(headers: Headers): {
  start: number | undefined;
  end: number | undefined;
  total: number | undefined;
} {
  const text = headers.get('content-range') ?? '';
  const { start, end } = RANGE.exec(text)?.groups ?? {};
  // Also if the range is malformed: that of an empty file may end at -1.
  const total = /\/(\d+)$/.exec(text)?.[1];
  return { start: numberOf(start), end: numberOf(end), total: numberOf(total) };
}

function numberOf(digits: string | undefined): number | undefined {
  return digits === undefined ? undefined : Number(digits);
}
