/** A page that is open tries for as long as it is. The longest wait, in milliseconds, is one that nobody minds. */
export const RETRY = { times: Number.POSITIVE_INFINITY, maxDelayMs: 10_000 };

const TOO_MANY_REQUESTS = 429;

/** Whether a status says nothing of what was asked for, but that the server, or the one behind it, cannot answer now. */
export function isPassing(status: number): boolean {
  return status >= 500 || status === TOO_MANY_REQUESTS;
}
