import type { EndReason } from '../protocol.ts';

/** How a stream has ended. */
export interface Outcome {
  reason: EndReason;
  /** Exit status of the command whose output it is, if it has finished and its appender told. */
  status?: number | undefined;
}
