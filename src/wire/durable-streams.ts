/**
 * The words of the Durable Streams protocol that travel in headers and queries
 * (github.com/durable-streams/durable-streams, PROTOCOL.md). Browser-safe; imports nothing.
 */

/** Headers, in lower case. */
export const StreamHeader = {
  /** Answer: the offset after the last byte that it has, or that the stream has. */
  nextOffset: 'stream-next-offset',
  /** Answer: `true` when there is no more at the moment. */
  upToDate: 'stream-up-to-date',
  /** Both: `true` when nothing will be appended any more. */
  closed: 'stream-closed',
  /** Answer to a live read: to be sent again as `cursor`. */
  cursor: 'stream-cursor',
  /** Answer: `base64` when events do not have the bytes as text. */
  sseEncoding: 'stream-sse-data-encoding',
  /** Both: seconds that a stream lives after its last use. */
  ttl: 'stream-ttl',
  /** Both: when a stream ends to live (RFC 3339). */
  expiresAt: 'stream-expires-at',
  /** Request: must be above the last one. */
  seq: 'stream-seq',
  forkedFrom: 'stream-forked-from',
  forkOffset: 'stream-fork-offset',
  forkSubOffset: 'stream-fork-sub-offset',
  producerId: 'producer-id',
  producerEpoch: 'producer-epoch',
  producerSeq: 'producer-seq',
  producerExpectedSeq: 'producer-expected-seq',
  producerReceivedSeq: 'producer-received-seq',
} as const;

/** Query parameters of reads. */
export const StreamQuery = {
  /** Where to begin: a token, `-1` for the beginning, `now` for the end. */
  offset: 'offset',
  /** `long-poll` waits for more, `sse` goes on for as long as it can. */
  live: 'live',
  /** The last `Stream-Cursor`. */
  cursor: 'cursor',
} as const;

/** First segment of paths that the protocol keeps for subscriptions, which are not supported. */
export const SUBSCRIPTIONS_SEGMENT = '__ds';

/** Longest body of one append, in bytes. */
export const MAX_APPEND_BYTES = 16 * 1024 * 1024;
