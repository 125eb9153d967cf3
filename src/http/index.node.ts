/** The streaming HTTP client, on Node. */
export {
  type EventsOptions,
  events,
  type LinesOptions,
  lines,
  ndjson,
  type ServerSentEvent,
} from './answer/pieces.ts';
export { bytes, json, ok, text, type WholeOptions } from './answer/whole-body.ts';
export type { Body } from './body/body.ts';
export type { FileOptions } from './body/multipart.ts';
export type { Client, ClientOptions } from './client.ts';
export type { ClientRequest, MultipartRequest } from './client-request.ts';
export {
  BodyLengthError,
  ConnectionError,
  HttpfstreamError,
  InvalidSourceError,
  InvalidUrlError,
  type Problem,
  RedirectError,
  StatusError,
  TimeoutError,
  TooLargeError,
} from './errors.ts';
export type { Fetch, FetchInit, Middleware } from './fetch.ts';
export type { Progress } from './limits.ts';
export { bearer, concurrency, type Logger, logging, type RetryOptions, retry } from './middleware.ts';
export { client } from './node/client.ts';
export { type NodeFetch, type NodeFetchOptions, nodeFetch } from './node/node-fetch.ts';
export { readable } from './node/readable.ts';
