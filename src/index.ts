/** The server side: a Fastify plugin, its options, and the errors it makes. */

export type { Durability } from './core/group-writer.ts';
export {
  AppendConflictError,
  ForbiddenPathError,
  ForeignOriginError,
  HttpfstreamError,
  InvalidPathError,
  InvalidRequestError,
  InvalidRootError,
  MethodNotAllowedError,
  PathConflictError,
  PositionMismatchError,
  RangeNotSatisfiableError,
  RepeatedRequestError,
  ResourceGoneError,
  ResourceNotFoundError,
  RootInUseError,
  ServerClosingError,
  StorageBusyError,
  StorageError,
  StorageFullError,
  StreamTruncatedError,
  UnknownHostError,
  UpgradeRequiredError,
} from './errors.ts';
export { httpfstream } from './server/plugin.ts';
export type { HttpfstreamOptions } from './server/settings.ts';
