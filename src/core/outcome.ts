import type { EndFacts, EndReason } from '../wire/protocol.ts';

/** How a stream has ended. */
export interface Outcome extends EndFacts {
  reason: EndReason;
}
