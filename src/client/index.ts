/** The client library for Node. */
export {
  AppendConflictError,
  ConnectionError,
  ForbiddenPathError,
  FramingError,
  HttpfstreamError,
  InvalidUrlError,
  ResourceNotFoundError,
  StreamInterruptedError,
  UnexpectedStatusError,
} from '../errors.ts';
export { type AppendSource, append } from './append.ts';
export type { ConnectOptions } from './connect.ts';
export { type FollowOptions, follow } from './follow.ts';
export { type AppendOptions, openAppend } from './open-append.ts';
