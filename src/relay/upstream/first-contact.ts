import { GENERATION_HEADER } from '../../wire/protocol.ts';
import type { OpenAnswer } from './open-answer.ts';
import type { UpstreamKind } from './upstream.ts';
import { UNAUTHORIZED, type UpstreamRequest } from './upstream-request.ts';

/** Begins the codes of the errors of our servers. */
export const CODE_PREFIX = 'HFS_';

/** How much of an error is read to find one. */
const MAX_ERROR_BYTES = 8192;

/**
 * Whether an answer to a request to follow is one of an httpfstream server: they say what is followed, or why not, in
 * words of their own, and plain HTTP servers do not know the verb. Its body stays to be read.
 */
export async function isHttpfstream(answer: OpenAnswer): Promise<boolean> {
  const { headers, isOk } = answer;
  // No plain HTTP server has it.
  if (headers[GENERATION_HEADER] !== undefined) return true;
  if (isOk || headers['content-type']?.startsWith('application/problem+json') !== true) return false;
  return (await answer.peek(MAX_ERROR_BYTES))?.includes(`"code":"${CODE_PREFIX}`) === true;
}

/**
 * Finds out what a server is, by a request to follow; undefined when its answer does not tell: it may be that of
 * something in front of it.
 *
 * @param authorization what a user says of himself, which is told when something asks who comes: an httpfstream server
 *   may be behind that
 * @throws {UpstreamError} {@link UpstreamTimeoutError} when it cannot be reached
 * @throws the reason of the request's signal when that aborts
 */
export async function kindByAnswer(
  request: UpstreamRequest,
  authorization?: string,
): Promise<UpstreamKind | undefined> {
  const answer = await request.send();
  const kind = await kindIn(answer);
  if (answer.status !== UNAUTHORIZED || authorization === undefined) return kind;
  return kind ?? (await kindIn(await request.send({ authorization })));
}

/** What a server is that has answered so, which is let go. */
async function kindIn(answer: OpenAnswer): Promise<UpstreamKind | undefined> {
  try {
    if (await isHttpfstream(answer)) return 'httpfstream';
    return answer.isOk ? 'http' : undefined;
  } finally {
    answer.cancel();
  }
}
