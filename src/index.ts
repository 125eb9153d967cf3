/** The server side: a Fastify plugin, its options, and the errors it makes. */
export {
  AppendConflictError,
  ForbiddenPathError,
  HttpfstreamError,
  InvalidPathError,
  InvalidRequestError,
  InvalidRootError,
  MethodNotAllowedError,
  PathConflictError,
  PositionMismatchError,
  RangeNotSatisfiableError,
  ResourceGoneError,
  ResourceNotFoundError,
  ServerClosingError,
  StorageBusyError,
  StorageError,
  StorageFullError,
  StreamTruncatedError,
  UpgradeRequiredError,
} from './errors.ts';
export { httpfstream } from './server/plugin.ts';
export type { HttpfstreamOptions } from './server/settings.ts';
