import type { EndFacts, EndReason } from '../protocol.ts';

/** How a stream has ended. */
export interface Outcome extends EndFacts {
  reason: EndReason;
}
