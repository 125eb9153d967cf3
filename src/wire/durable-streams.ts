/**
 * The words of the Durable Streams protocol that travel in headers and queries
 * (github.com/durable-streams/durable-streams, PROTOCOL.md). Browser-safe; imports nothing.
 */

/** Headers, in lower case. */
export const StreamHeader = {
  /** Answer: the offset after the last byte in it, or of the stream. */
  nextOffset: 'stream-next-offset',
  /** Answer: `true` when the reader has caught up. */
  upToDate: 'stream-up-to-date',
  /** Both: `true` when the stream is closed: nothing can be appended. */
  closed: 'stream-closed',
  /** Answer to a live read: to be sent with the next one as `cursor`. */
  cursor: 'stream-cursor',
  /** Answer: `base64` when the data of events is encoded, because it is not text. */
  sseEncoding: 'stream-sse-data-encoding',
  /** Both: time to live after the last access, in seconds. */
  ttl: 'stream-ttl',
  /** Both: when the stream expires (RFC 3339). */
  expiresAt: 'stream-expires-at',
  /** Request: must be greater than the last one. */
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
  /** Where to begin: an offset, `-1` for the beginning, `now` for the end. */
  offset: 'offset',
  /** `long-poll` waits for the next bytes, `sse` streams events. */
  live: 'live',
  /** The last `Stream-Cursor`. */
  cursor: 'cursor',
} as const;

/** First segment of the paths that the protocol reserves for subscriptions, which are not supported. */
export const SUBSCRIPTIONS_SEGMENT = '__ds';

/** Longest body of one append, in bytes. */
export const MAX_APPEND_BYTES = 16 * 1024 * 1024;
