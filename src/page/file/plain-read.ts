import { RAW_QUERY } from '../../wire/page.ts';
import { KEPT_BYTES } from '../bytes/block-store.ts';
import { discardBody } from '../bytes/discard-body.ts';
import { generationIn, type RequestFile } from '../bytes/file-requests.ts';
import { isPassing } from '../state/retry.ts';

/** Types that a browser shows by itself: there is no page of this server for these. */
const SHOWN_BY_BROWSERS = /^(?:text\/html|application\/xhtml\+xml|application\/pdf)\b/;

/** What became of reading a file as it is. */
export type PlainRead =
  /** It was read: all of it, or as much as the page keeps. */
  | { kind: 'read'; isPart: boolean }
  /** There is nothing. */
  | { kind: 'missing' }
  /** It leads elsewhere, or is nothing for a page: the browser is to go there by itself. */
  | { kind: 'elsewhere' }
  /** The server has it, and tells what comes to who follows it. */
  | { kind: 'followable' }
  /** Who asks may not read it. */
  | { kind: 'locked' }
  /** It was refused, or broke off; it may do later, if that `passes`. */
  | { kind: 'failed'; detail: string; passes: boolean };

/** What is told of the bytes of one. */
export interface PlainReadEvents {
  /** They begin to come. */
  begun(): void;
  bytes(bytes: Uint8Array): void;
}

/** Reads a file from its beginning, once, by one request: of two it might be another one each time. Never rejects. */
export async function readPlainly(
  request: RequestFile,
  { begun, bytes }: PlainReadEvents,
  signal: AbortSignal,
): Promise<PlainRead> {
  let answer: Response;
  try {
    answer = await request(RAW_QUERY, { redirect: 'manual', signal });
  } catch {
    return { kind: 'failed', detail: 'The server cannot be reached.', passes: true };
  }
  const refused = refusalIn(answer);
  if (refused !== undefined) {
    discardBody(answer);
    return refused;
  }
  begun();
  try {
    return { kind: 'read', isPart: await take(answer, bytes) };
  } catch {
    return { kind: 'failed', detail: 'It broke off while it was read: something is missing.', passes: false };
  }
}

function refusalIn({ type, status, ok, headers }: Response): PlainRead | undefined {
  if (type === 'opaqueredirect') return { kind: 'elsewhere' };
  // What is named so.
  if (ok && generationIn(headers) !== undefined) return { kind: 'followable' };
  if (ok)
    return SHOWN_BY_BROWSERS.test(headers.get('content-type') ?? '') ? { kind: 'elsewhere' } : undefined;
  if (status === 404 || status === 410) return { kind: 'missing' };
  if (status === 401 || status === 403) return { kind: 'locked' };
  return { kind: 'failed', detail: `The server answers ${status}.`, passes: isPassing(status) };
}

/** @returns whether there is more than was taken */
async function take({ body }: Response, bytes: (bytes: Uint8Array) => void): Promise<boolean> {
  const reader = body?.getReader();
  let left = KEPT_BYTES;
  while (reader !== undefined) {
    const { done, value } = await reader.read();
    if (done) return false;
    bytes(value.subarray(0, left));
    if (value.length > left) {
      reader.cancel().catch(() => {});
      return true;
    }
    left -= value.length;
  }
  return false;
}
