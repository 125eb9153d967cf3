import { GENERATION_HEADER } from '../../wire/protocol.ts';
import type { OpenAnswer } from './open-answer.ts';

/** Begins the codes of the errors of our servers. */
export const OUR_CODES = 'HFS_';

/** How much of an error is read to find one. */
const MAX_ERROR_BYTES = 8192;

/**
 * Whether an answer to a request to follow is one of a server of ours: they say what is followed, or why not, in words
 * of their own, and others do not know the verb. Its body stays to be read.
 */
export async function isOfOurs(answer: OpenAnswer): Promise<boolean> {
  const { headers, isOk } = answer;
  // No other servers have it.
  if (headers[GENERATION_HEADER] !== undefined) return true;
  if (isOk || headers['content-type']?.startsWith('application/problem+json') !== true) return false;
  return (await answer.peek(MAX_ERROR_BYTES))?.includes(`"code":"${OUR_CODES}`) === true;
}
