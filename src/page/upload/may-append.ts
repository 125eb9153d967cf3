import type { AppendConflictError } from '../../wire/errors.ts';
import { VERB_QUERY, type Verb } from '../../wire/protocol.ts';
import { fetchWithToken } from '../token/tab-token.ts';

/** What answers who may append, and has not come with a WebSocket. */
const UPGRADE_REQUIRED = 426;

const APPEND: Verb = 'APPEND';

/** What answers while somebody else appends. */
const CONFLICT_CODE: AppendConflictError['code'] = 'HFS_APPEND_CONFLICT';

/** Whether whoever is here may append to what is at a URL, now or when nobody else does. Nothing is made by asking. */
export async function mayAppend(url: URL): Promise<boolean> {
  const asked = new URL(url);
  asked.searchParams.set(VERB_QUERY, APPEND);
  const answer = await fetchWithToken(asked.href, { headers: { accept: 'application/problem+json' } });
  if (answer.status === UPGRADE_REQUIRED) return true;
  const { code } = (await answer.json().catch(() => ({}))) as { code?: unknown };
  return code === CONFLICT_CODE;
}
