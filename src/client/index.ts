/** The client library for Node. */
export {
  AppendConflictError,
  ConnectionError,
  ConnectionLostError,
  ForbiddenPathError,
  ForbiddenRightError,
  FramingError,
  HttpfstreamError,
  InvalidSourceError,
  InvalidUrlError,
  PositionMismatchError,
  ProtocolError,
  RangeNotSatisfiableError,
  RepeatedRequestError,
  ResourceGoneError,
  ResourceNotFoundError,
  StreamClosedError,
  StreamInterruptedError,
  StreamTruncatedError,
  UnauthorizedError,
  UnexpectedStatusError,
  UnframedAnswerError,
  UnsupportedError,
} from '../wire/errors.ts';
export type { EndReason } from '../wire/protocol.ts';
export {
  type AppendClaim,
  type AppendSource,
  append,
  type SourceAppendOptions,
  type SourceFunction,
} from './append/append.ts';
export type { AppendOptions, AppendStream } from './append/append-options.ts';
export { openAppend } from './append/open-append.ts';
export { follow } from './follow/follow.ts';
export type { FollowOptions, FollowStream } from './follow/follow-options.ts';
export type { AppendResult } from './session/append-request.ts';
export type { FollowEnding, FollowOpening } from './session/follow-request.ts';
export type { ReconnectEvent, ReconnectedEvent, RetryOptions } from './session/session-options.ts';
export type { StreamToken } from './session/token.ts';
export type { HandshakeHeaders, RequestHeaders, StreamOptions } from './stream-options.ts';
