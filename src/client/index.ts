/** The client library for Node. */
export {
  AppendConflictError,
  ConnectionError,
  ForbiddenPathError,
  FramingError,
  HttpfstreamError,
  InvalidUrlError,
  PositionMismatchError,
  RangeNotSatisfiableError,
  RepeatedRequestError,
  ResourceGoneError,
  ResourceNotFoundError,
  StreamInterruptedError,
  StreamTruncatedError,
  UnexpectedStatusError,
  UnsupportedError,
} from '../errors.ts';
export type { EndReason } from '../protocol.ts';
export { type AppendSource, append } from './append.ts';
export type { AppendOptions, AppendStream } from './append-options.ts';
export { follow } from './follow.ts';
export type { FollowEnding, FollowOpening, FollowOptions, FollowStream } from './follow-options.ts';
export { openAppend } from './open-append.ts';
export type { StreamOptions } from './options.ts';
export type { ReconnectEvent, RetryOptions } from './retry.ts';
