import type { Refusal } from '../client/session/connection.ts';
import { errorOfRefusal, MAX_REFUSAL_BYTES, REFUSAL_TIMEOUT_MS } from '../client/session/refusal.ts';
import { withBearer } from '../client/session/token.ts';
import { ConnectionError } from '../wire/errors.ts';
import { QueryName } from '../wire/protocol.ts';
import { withScheme } from './page-url.ts';

const NOT_FOUND = 404;

/** What answers a request that a WebSocket would be made for. */
const UPGRADE_REQUIRED = 426;

/** The server can be reached, but not by WebSockets. */
export class NoWebSocketError extends ConnectionError {}

/**
 * Asks why a handshake was refused, which a browser does not tell its page: the same request without an upgrade is
 * refused for the same reason.
 *
 * @param url of the handshake
 * @param signal aborts the question
 * @returns the server's refusal; or an error when it cannot be asked, a {@link NoWebSocketError} when it refuses these only
 */
export async function whyRefused(
  url: URL,
  token: string | undefined,
  signal: AbortSignal,
): Promise<Refusal | ConnectionError> {
  const question = withScheme(url, 'http');
  // These mean nothing, or something else, to a request that is not upgraded.
  for (const name of [QueryName.wait, QueryName.hold, QueryName.status]) question.searchParams.delete(name);
  try {
    const request: RequestInit & { cache: 'no-store' } = {
      headers: withBearer({ accept: 'application/problem+json, */*;q=0.5' }, token),
      cache: 'no-store',
      redirect: 'manual',
      signal: AbortSignal.any([signal, AbortSignal.timeout(REFUSAL_TIMEOUT_MS)]),
    };
    const response = await fetch(question, request);
    const { status, headers } = response;
    const isWaitedFor = status === NOT_FOUND && url.searchParams.has(QueryName.wait);
    const isMeant = status >= 400 && status !== UPGRADE_REQUIRED && !isWaitedFor;
    const body = isMeant ? await beginningOf(response) : '';
    if (!isMeant) await response.body?.cancel();
    if (isMeant) {
      const error = errorOfRefusal({
        status,
        location: undefined,
        retryAfter: headers.get('retry-after'),
        body,
      });
      return { status, error };
    }
    const doubt =
      'the server answers, but not with a WebSocket of httpfstream: something on the way may not pass it';
    return new NoWebSocketError(doubt);
  } catch (cause) {
    return new ConnectionError('the server cannot be reached, or lets no page of this origin in', { cause });
  }
}

/** As much of a body as an error needs. */
async function beginningOf({ body }: Response): Promise<string> {
  const decoder = new TextDecoder();
  const reader = body?.getReader();
  let text = '';
  while (reader !== undefined && text.length < MAX_REFUSAL_BYTES) {
    const { done, value } = await reader.read();
    if (done) return text;
    text += decoder.decode(value, { stream: true });
  }
  await reader?.cancel();
  return text;
}
