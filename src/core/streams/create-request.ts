import type { CopyState, ForkOrigin, StreamState } from '../../storage/records/stream-state.ts';
import { StreamConflictError } from '../../wire/errors.ts';
import type { ResourcePath } from '../../wire/resource-path.ts';
import type { Resource } from '../resource.ts';
import { givenType, isEqualType, isJsonType } from './stream-type.ts';

/** Where a fork begins. */
export interface ForkRequest {
  source: ResourcePath;
  /** Token of a position of the source. Undefined: its end. */
  offset: string | undefined;
  /** How many bytes, or values of a JSON stream, after that. */
  subOffset: number;
}

/** What is to be made. */
export interface CreateRequest {
  /** As it was given. */
  contentType: string | undefined;
  ttlSeconds: number | undefined;
  /** As it was given (RFC 3339). */
  expiresAt: string | undefined;
  isClosed: boolean;
  fork: ForkRequest | undefined;
  /** Of what it is to be a copy. Default: it is none. */
  copy?: CopyState;
  /** Whether nothing but content was brought: a file is to be stored there, whatever it is. */
  isUpload: boolean;
}

/** What a fork takes over from its source. */
export interface Inherited {
  source: Resource;
  origin: ForkOrigin;
  type: string | undefined;
  /** Content type that an append has given it. */
  fileType: string | undefined;
  expiry: Pick<StreamState, 'ttlSeconds' | 'expiresAt'>;
}

/**
 * What a new stream is.
 *
 * @param size of what it begins with, in bytes
 * @param inherited what it takes over from the stream that it is forked from
 */
export function initialState(
  { contentType, ttlSeconds, expiresAt, isClosed, copy }: CreateRequest,
  size: number,
  inherited: Inherited | undefined,
): StreamState {
  const type = contentType ?? inherited?.type;
  const ends = ttlSeconds !== undefined || expiresAt !== undefined;
  return {
    version: 1,
    size,
    ...(type !== undefined && { contentType: type }),
    ...(type === undefined && inherited?.fileType !== undefined && { fileType: inherited.fileType }),
    ...(copy !== undefined && { copy }),
    ...(isClosed && { closed: true as const }),
    ...(!ends && inherited?.expiry),
    ...(ttlSeconds !== undefined && { ttlSeconds }),
    ...(expiresAt !== undefined && { expiresAt }),
    ...(inherited && { origin: inherited.origin }),
  };
}

/** @throws {StreamConflictError} when a stream is not what was to be made */
export function assertMatches(state: StreamState, request: CreateRequest): void {
  const { contentType, ttlSeconds, expiresAt, fork } = request;
  const type = givenType(state);
  if (contentType !== undefined && type !== undefined && !isEqualType(type, contentType)) {
    throw new StreamConflictError(`the stream is there, and of the type ${type}`);
  }
  // What was appended to it may be anything, and so may what is appended from now on.
  if (isJsonType(contentType) && state.contentType === undefined) {
    throw new StreamConflictError('there is a file, and no stream of JSON values, one a line');
  }
  const { origin } = state;
  const isSameFork =
    origin?.path === fork?.source.key &&
    origin?.offset === fork?.offset &&
    (origin?.subOffset ?? 0) === (fork?.subOffset ?? 0);
  if (!isSameFork)
    throw new StreamConflictError('the stream is there, and was forked from elsewhere or not at all');
  // A fork that asks for no end of its own has its source's.
  const isInherited = fork !== undefined && ttlSeconds === undefined && expiresAt === undefined;
  if (!isInherited && (state.ttlSeconds !== ttlSeconds || state.expiresAt !== expiresAt)) {
    throw new StreamConflictError('the stream is there, and expires at another time');
  }
  if ((state.closed === true) !== request.isClosed) {
    throw new StreamConflictError(`the stream is there, and is ${state.closed ? 'closed' : 'not closed'}`);
  }
}
