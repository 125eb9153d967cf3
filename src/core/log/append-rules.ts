import { diverged, type StreamState } from '../../storage/records/stream-state.ts';
import { ContentTypeMismatchError, SequenceConflictError, StreamClosedError } from '../../wire/errors.ts';
import { isSameType } from '../streams/stream-type.ts';
import type { ProducerRequest, Producers } from './producers.ts';

/** One append as a whole: all of it is made, or nothing. */
export interface StreamAppend {
  /** What to append; nothing only to close. */
  bytes: Buffer;
  /** Type of the bytes. */
  contentType: string | undefined;
  /** `Stream-Seq`: must be above the last one. */
  seq: string | undefined;
  producer: ProducerRequest | undefined;
  /** Whether the stream is closed after it. */
  close: boolean;
}

/** What came of an append. */
export interface Appended {
  /** Whether it repeats one that was made before. */
  isRepeated: boolean;
  /** The producer's last request that counted. */
  producer: ProducerRequest | undefined;
  /** The stream after it. */
  state: StreamState;
}

/**
 * Judges an append (Durable Streams protocol, sections 5.2 and 5.2.1).
 *
 * @param type of the stream; undefined takes every type
 * @returns what the stream becomes; undefined when the append was made before
 * @throws {StreamClosedError} when the stream is closed, and not by this very request
 * @throws {ContentTypeMismatchError} when the stream is of another type
 * @throws {SequenceConflictError} when `seq` is not above the last one
 * @throws what {@link Producers.isRepeated} throws
 */
export function judge(
  state: StreamState,
  producers: Producers,
  type: string | undefined,
  append: StreamAppend,
): StreamState | undefined {
  const { bytes, producer, close, seq } = append;
  if (state.closed === true) return judgeClosed(state, producers, append);
  if (bytes.length > 0 && type !== undefined && !isSameType(type, append.contentType)) {
    throw new ContentTypeMismatchError(`the stream is of the type ${type}`);
  }
  if (producer !== undefined && producers.isRepeated(producer)) return undefined;
  if (seq !== undefined && state.seq !== undefined && !isAbove(seq, state.seq)) {
    throw new SequenceConflictError('the Stream-Seq is not above the last one');
  }
  return {
    ...state,
    version: state.version + 1,
    size: state.size + bytes.length,
    ...(state.copy !== undefined && { copy: diverged(state.copy) }),
    ...(seq !== undefined && { seq }),
    ...(close && { closed: true as const }),
    ...(close && producer && { closedBy: [producer.id, producer.epoch, producer.seq] as const }),
  };
}

function judgeClosed(
  { closedBy, size }: StreamState,
  producers: Producers,
  { bytes, producer, close }: StreamAppend,
): undefined {
  if (producer === undefined) {
    if (close && bytes.length === 0) return undefined;
  } else {
    const [id, epoch, seq] = closedBy ?? [];
    if (id === producer.id && epoch === producer.epoch && seq === producer.seq) return undefined;
    producers.assertNotFenced(producer.id, producer.epoch);
  }
  throw new StreamClosedError('the stream is closed', size);
}

/** Byte by byte, which is not how strings are compared here. */
function isAbove(seq: string, last: string): boolean {
  return Buffer.compare(Buffer.from(seq), Buffer.from(last)) > 0;
}
