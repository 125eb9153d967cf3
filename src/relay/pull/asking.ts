import type { ClientRequest } from 'node:http';
import { UpstreamError, UpstreamTimeoutError } from '../../wire/errors.ts';
import { VERB_HEADER } from '../../wire/protocol.ts';
import { isOfOurs } from '../upstream/first-contact.ts';
import { answerTo, type ForwardedAnswer, isStale } from '../upstream/forward.ts';
import { OpenAnswer } from '../upstream/open-answer.ts';
import { isOfTheWay } from '../upstream/reachability.ts';
import type { UpstreamKind } from '../upstream/upstream.ts';
import type { Fetching } from './fetching.ts';

/** Status of an answer of a relay to which its own request has come back. */
export const LOOP_STATUS = 508;

/** Status of an answer with a challenge, which only that answer has. */
export const UNAUTHORIZED = 401;

/**
 * Sends a request to follow, which means nothing to servers that are none of ours.
 *
 * @throws {UpstreamError} {@link UpstreamTimeoutError} when there is no answer
 * @throws the reason why it is fetched no more
 */
export async function ask(
  fetching: Fetching,
  headers: Readonly<Record<string, string>> = {},
): Promise<OpenAnswer> {
  const { signal, options, upstream } = fetching;
  const { reachability } = upstream;
  try {
    const { response, socket } = await send(fetching, headers, false);
    if (socket === undefined) {
      reachability.answered();
      return new OpenAnswer(response, signal, options.silenceMs);
    }
    socket.destroy();
    throw upstream.unreachable(new UpstreamError('the server has changed the protocol'));
  } catch (error) {
    if (isOfTheWay(error)) reachability.failed();
    throw error;
  }
}

/** Whether a request for it comes back to where it has been before, as far as that can be found out. Never rejects. */
export async function comesBack(fetching: Fetching): Promise<boolean> {
  try {
    const answer = await ask(fetching);
    answer.cancel();
    return answer.status === LOOP_STATUS;
  } catch {
    return false;
  }
}

/**
 * Finds out what a server is, by a request to follow; undefined when its answer does not tell: it may be that of
 * something in front of it.
 *
 * @param authorization what a user says of himself, which is told when something asks who comes: a server of ours may
 *   be behind that
 * @throws {UpstreamError} {@link UpstreamTimeoutError} when it cannot be reached
 */
export async function kindByAnswer(
  fetching: Fetching,
  signal: AbortSignal,
  authorization?: string,
): Promise<UpstreamKind | undefined> {
  const abort = () => fetching.abort(signal.reason);
  signal.addEventListener('abort', abort, { once: true });
  if (signal.aborted) abort();
  try {
    const answer = await ask(fetching);
    const kind = await kindIn(answer);
    if (answer.status !== UNAUTHORIZED || authorization === undefined) return kind;
    return kind ?? (await kindIn(await ask(fetching, { authorization })));
  } finally {
    signal.removeEventListener('abort', abort);
  }
}

/** What a server is that has answered so, which is let go. */
async function kindIn(answer: OpenAnswer): Promise<UpstreamKind | undefined> {
  try {
    if (await isOfOurs(answer)) return 'ours';
    return answer.isOk ? 'foreign' : undefined;
  } finally {
    answer.cancel();
  }
}

/** @param isRepeated whether that was tried on a connection that the server had just closed */
async function send(
  fetching: Fetching,
  headers: Readonly<Record<string, string>>,
  isRepeated: boolean,
): Promise<ForwardedAnswer> {
  const { signal, options } = fetching;
  signal.throwIfAborted();
  const outgoing = begin(fetching, headers);
  const late = setTimeout(() => outgoing.destroy(fetching.upstream.timedOut()), options.headTimeoutMs);
  const abort = () => outgoing.destroy(signal.reason as Error);
  signal.addEventListener('abort', abort, { once: true });
  try {
    outgoing.end();
    return await answerTo(outgoing);
  } catch (error) {
    signal.throwIfAborted();
    if (error instanceof UpstreamTimeoutError) throw error;
    if (isRepeated || !isStale(outgoing, error)) throw fetching.upstream.unreachable(error);
  } finally {
    clearTimeout(late);
    signal.removeEventListener('abort', abort);
  }
  return send(fetching, headers, true);
}

/** @throws {UpstreamError} when there is no way to it */
function begin(fetching: Fetching, headers: Readonly<Record<string, string>>): ClientRequest {
  const all = {
    accept: '*/*',
    'accept-encoding': 'identity',
    [VERB_HEADER]: 'FOLLOW',
    ...fetching.headers,
    ...headers,
  };
  try {
    return fetching.options.forwarder.begin(fetching.url, {
      method: 'GET',
      headers: all,
      isHandshake: false,
    });
  } catch (error) {
    throw fetching.upstream.unreachable(error);
  }
}
