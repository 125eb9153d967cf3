/** The client library for pages in browsers. */

export type { AppendResult } from '../client/session/append-request.ts';
export type { FollowEnding, FollowOpening } from '../client/session/follow-request.ts';
export type { RetryOptions } from '../client/session/session-options.ts';
export type { StreamToken } from '../client/session/token.ts';
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
  ResourceGoneError,
  ResourceNotFoundError,
  StreamClosedError,
  StreamInterruptedError,
  StreamTruncatedError,
  UnauthorizedError,
  UnexpectedStatusError,
} from '../wire/errors.ts';
export type { EndReason } from '../wire/protocol.ts';
export { type AppendSource, append } from './append.ts';
export type { AppendOptions, AppendState, AppendStream } from './append-options.ts';
export { follow } from './follow.ts';
export type { FollowActivity, FollowOptions, FollowState, FollowStream } from './follow-options.ts';
export { openAppend } from './open-append.ts';
