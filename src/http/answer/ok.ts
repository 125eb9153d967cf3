import { type Problem, StatusError } from '../errors.ts';
import { beginningOf } from './whole-body.ts';

const MAX_ERROR_BYTES = 65_536;

/** How much of an answer a message quotes, in characters. */
const QUOTED_LENGTH = 200;

/**
 * Gives the answer back if its status is 2xx.
 *
 * @throws {StatusError} with the first 64 KiB of what it says, if it is not; the rest is cancelled
 */
export async function ok(response: Response): Promise<Response> {
  if (response.ok) return response;
  const { status } = response;
  // A body that breaks does not hide the status.
  const { beginning } = await beginningOf(response, MAX_ERROR_BYTES).catch(() => ({ beginning: undefined }));
  const text = new TextDecoder().decode(beginning);
  const problem = problemOf(response, text);
  const words = problem?.detail ?? problem?.title ?? text;
  const quoted = String(words).trim().slice(0, QUOTED_LENGTH);
  throw new StatusError(`HTTP status ${status}${quoted === '' ? '' : `: ${quoted}`}`, status, text, problem);
}

function problemOf({ headers }: Response, text: string): Problem | undefined {
  if (!/^application\/problem\+json\b/i.test(headers.get('content-type') ?? '')) return undefined;
  try {
    const value = JSON.parse(text);
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? value : undefined;
  } catch {
    return undefined;
  }
}
