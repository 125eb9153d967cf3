import { nodeFetch } from '../http/index.node.ts';
import { VERB_HEADER } from '../wire/protocol.ts';
import type { UpstreamKind } from './upstream.ts';

/** Header that our servers, and no others, have in what is followed. */
const GENERATION_HEADER = 'stream-generation';

/** Codes of the errors of our servers. */
const OUR_CODE = /"code":"HFS_/;

/** How much of an error is read to find one. */
const MAX_ERROR_LENGTH = 8192;

const fetch = nodeFetch();

/**
 * Finds out what a server is, by a request to follow: ours say what they follow, or why not, in words of their own, and
 * others do not know the header.
 *
 * @returns undefined when its answer does not tell: it may be that of something in front of it
 * @throws {ConnectionError} when it cannot be reached
 */
export async function kindOf(
  url: URL,
  headers: Readonly<Record<string, string>>,
  signal: AbortSignal,
): Promise<UpstreamKind | undefined> {
  const response = await fetch(url, {
    method: 'GET',
    headers: new Headers({
      accept: 'application/problem+json, */*;q=0.5',
      'accept-encoding': 'identity',
      [VERB_HEADER]: 'FOLLOW',
      ...headers,
    }),
    redirect: 'manual',
    signal,
  });
  try {
    if (response.headers.has(GENERATION_HEADER)) return 'ours';
    if (response.ok) return 'foreign';
    return (await isOurs(response)) ? 'ours' : undefined;
  } finally {
    if (!response.bodyUsed) await response.body?.cancel().catch(() => undefined);
  }
}

async function isOurs(response: Response): Promise<boolean> {
  if (response.headers.get('content-type')?.startsWith('application/problem+json') !== true) return false;
  if (Number(response.headers.get('content-length')) > MAX_ERROR_LENGTH) return false;
  return OUR_CODE.test(await response.text());
}
