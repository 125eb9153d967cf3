import { isPassing } from '../state/retry.ts';
import { fetchWithToken } from '../token/tab-token.ts';
import { LIST_URL, type Listing, listingOf } from './listing.ts';

/** The server does not list it, and will not do so when it is asked again. */
export class ListRefusedError extends Error {}

/**
 * Reads the list of the page's directory.
 *
 * @returns with the list, what time it was by the server's clock, in milliseconds since 1970
 * @throws {ListRefusedError} if another attempt is of no use; anything else may pass
 */
export async function fetchList(signal: AbortSignal): Promise<Listing & { serverMs: number }> {
  const answer = await fetchWithToken(LIST_URL, { signal });
  const { ok, status, headers } = answer;
  if (!ok) {
    const message = `the server answers ${status}`;
    throw isPassing(status) ? new Error(message) : new ListRefusedError(message);
  }
  const serverMs = Date.parse(headers.get('date') ?? '') || Date.now();
  return { ...listingOf(await answer.json()), serverMs };
}
