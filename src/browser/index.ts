/** The client library for pages in browsers. */

export type { FollowEnding, FollowOpening } from '../client/session/follow-request.ts';
export type { RetryOptions } from '../client/session/session-options.ts';
export type { StreamToken } from '../client/session/token.ts';
export {
  ConnectionError,
  ConnectionLostError,
  ForbiddenRightError,
  FramingError,
  HttpfstreamError,
  InvalidUrlError,
  ProtocolError,
  RangeNotSatisfiableError,
  ResourceGoneError,
  ResourceNotFoundError,
  StreamInterruptedError,
  StreamTruncatedError,
  UnauthorizedError,
  UnexpectedStatusError,
} from '../wire/errors.ts';
export type { EndReason } from '../wire/protocol.ts';
export { follow } from './follow.ts';
export type { FollowActivity, FollowOptions, FollowState, FollowStream } from './follow-options.ts';
