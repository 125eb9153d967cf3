import { VIEW_QUERY } from '../../wire/page.ts';
import { APPEND_VIEW } from '../../wire/page-requests.ts';
import { discardBody } from '../bytes/discard-body.ts';
import { fetchWithToken } from '../token/tab-token.ts';

/** Whether whoever is here may append to what is at a URL, now or when nobody else does. Nothing is made by asking. */
export async function mayAppend(url: URL): Promise<boolean> {
  const asked = new URL(url);
  asked.searchParams.set(VIEW_QUERY, APPEND_VIEW);
  const answer = await fetchWithToken(asked.href);
  discardBody(answer);
  const { status, headers } = answer;
  // A server that does not know the question answers with what is there.
  return status === 204 && /\bPOST\b/.test(headers.get('allow') ?? '');
}
