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
} from '../errors.ts';
export type { EndReason } from '../protocol.ts';
export { append } from './append.ts';
export type { AppendOptions, AppendResult, AppendStream } from './append-options.ts';
export type { AppendSource } from './append-source.ts';
export { follow } from './follow.ts';
export type { FollowEnding, FollowOpening, FollowOptions, FollowStream } from './follow-options.ts';
export type { HandshakeHeaders, RequestHeaders } from './handshake-headers.ts';
export { openAppend } from './open-append.ts';
export type { StreamOptions } from './options.ts';
export type { ReconnectEvent, RetryOptions } from './retry.ts';
