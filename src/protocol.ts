/**
 * The words of the wire: verbs, headers, close codes and the limits that the
 * original program's clients impose. Browser-safe; imports nothing.
 */

/** What a request wants of a resource. Anything that is not `APPEND` follows. */
export type Verb = 'APPEND' | 'FOLLOW';

/** Request header that names the verb; it wins over the query parameter. */
export const VERB_HEADER = 'x-verb';

/** Query parameter that names the verb when the header is absent. */
export const VERB_QUERY = 'verb';

/** WebSocket close codes as this project uses them (RFC 6455, section 7.4.1). */
export const CloseCode = {
  /** The appender ended cleanly and every byte was delivered. */
  finished: 1000,
  /** The endpoint goes away: the server shuts down, or a client gives up. */
  goingAway: 1001,
  protocolError: 1002,
  /** Never sent: the close frame carried no code. */
  none: 1005,
  /** Never sent: the connection broke without a close frame. */
  abnormal: 1006,
  messageTooBig: 1009,
  /** The stream broke: the appender was lost or the disk refused its bytes. */
  interrupted: 1011,
} as const;

/**
 * The longest message, in payload bytes, that the original follower reads
 * whole. What exceeds it is dropped by that client without a word.
 */
export const LEGACY_MESSAGE_BYTES = 32_768;

/** The longest message, in payload bytes, that a server takes by default: 100 MiB. */
export const DEFAULT_MAX_MESSAGE_BYTES = 100 * 1024 * 1024;
