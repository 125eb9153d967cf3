/** Who asks for a path. */
export interface Asker {
  /** The servers through which the request has come (`Via`). */
  via: string | undefined;
  /** How long it waits for what is not there, in milliseconds. */
  waitMs: number;
  /** How long after an end it may be back, in milliseconds. Default 0: it does not come back. */
  holdMs?: number;
  /** Whether it follows: nothing is a part for it, since it gets what comes. */
  follows?: boolean;
  /** Whether it wants what was held against what is there. */
  revalidates?: boolean;
  /** Whether it has use for what is here only, if that still holds: nothing else is fetched for it. */
  looksOnly?: boolean;
  /**
   * What it would ask there: it can be given the answer to that which is not kept, if it is the first to ask; to
   * `connect` (to follow over a WebSocket) that is a refusal.
   */
  asksTo?: 'read' | 'follow' | 'connect';
  /** Aborts when nobody asks any more. */
  signal: AbortSignal;
  /** Aborts when it may be that nobody does: nothing is fetched for it alone for long, without a byte. */
  left?: AbortSignal;
}
