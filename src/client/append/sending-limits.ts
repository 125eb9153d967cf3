/** How much a server is sent at a time. */
export interface SendingLimits {
  /** Longest message. */
  messageBytes: number;
  /** Bytes in the hands of the system and of ws from which on nothing more is sent for the moment. */
  maxUnsentBytes: number;
}

export const LIMITS: SendingLimits = { messageBytes: 256 * 1024, maxUnsentBytes: 1024 * 1024 };

/**
 * The original's followers read no more of a message than the first of the frames in which their server passes it on.
 * And little is on its way, so that a slow network is not taken for a server that is stuck.
 */
export const LEGACY_LIMITS: SendingLimits = { messageBytes: 10_240, maxUnsentBytes: 64 * 1024 };
