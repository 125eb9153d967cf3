/** Header that our servers, and no others, have in what is followed. */
export const GENERATION_HEADER = 'stream-generation';

/** Codes of the errors of our servers. */
const OUR_CODE = /"code":"HFS_/;

/** How much of an error is read to find one. */
const MAX_ERROR_LENGTH = 8192;

/**
 * Whether an answer to a request to follow is one of a server of ours: they say what is followed, or why not, in words
 * of their own, and others do not know the verb.
 */
export async function isOfOurs(response: Response): Promise<boolean> {
  const { headers } = response;
  if (headers.has(GENERATION_HEADER)) return true;
  if (response.ok || headers.get('content-type')?.startsWith('application/problem+json') !== true)
    return false;
  if (!(Number(headers.get('content-length')) <= MAX_ERROR_LENGTH)) return false;
  return OUR_CODE.test(await response.text().catch(() => ''));
}
