/** Cursors count intervals from here on (Durable Streams protocol, section 10.1). */
const EPOCH_MS = Date.UTC(2024, 9, 9);

const INTERVAL_MS = 20_000;

/** What is added at most when a client is ahead, in seconds. */
const MAX_JITTER_SECONDS = 3600;

/**
 * The cursor of an answer: the number of the current interval, but always above
 * the one that the client brought, so that no cache answers it in a circle.
 */
export function nextCursor(clientCursor: string | undefined): string {
  if (!isAhead(clientCursor)) return String(currentInterval());
  const jitterSeconds = 1 + Math.random() * (MAX_JITTER_SECONDS - 1);
  return String(Number(clientCursor) + Math.ceil((jitterSeconds * 1000) / INTERVAL_MS));
}

/** Whether a cursor is not below the current interval's. */
export function isAhead(clientCursor: string | undefined): boolean {
  if (clientCursor === undefined || !/^\d+$/.test(clientCursor)) return false;
  return Number.isSafeInteger(Number(clientCursor)) && Number(clientCursor) >= currentInterval();
}

function currentInterval(): number {
  return Math.floor((Date.now() - EPOCH_MS) / INTERVAL_MS);
}
