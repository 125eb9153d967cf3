/** The client library for Node. */
export {
  AppendConflictError,
  ConnectionError,
  ConnectionLostError,
  ForbiddenPathError,
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
  UnexpectedStatusError,
  UnsupportedError,
} from '../wire/errors.ts';
export type { EndReason } from '../wire/protocol.ts';
export { append } from './append/append.ts';
export type { AppendOptions, AppendResult, AppendStream } from './append/append-options.ts';
export type { AppendSource } from './append/append-source.ts';
export { openAppend } from './append/open-append.ts';
export type { HandshakeHeaders, RequestHeaders } from './connection/handshake-headers.ts';
export { follow } from './follow/follow.ts';
export type { FollowEnding, FollowOpening, FollowOptions, FollowStream } from './follow/follow-options.ts';
export type { StreamOptions } from './options.ts';
export type { ReconnectEvent, RetryOptions } from './retry.ts';
