/** A page that is open tries for as long as it is. The longest wait, in milliseconds, is one that nobody minds. */
export const RETRY = { times: Number.POSITIVE_INFINITY, maxDelayMs: 10_000 };
