/** The streaming HTTP client, where there is no Node: over the platform's `fetch`. */
import { compressed } from './body/body.ts';
import { Client, type ClientOptions, type Platform } from './client.ts';

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

const PLATFORM: Platform = {
  fetch: (url, init) => globalThis.fetch(url, init),
  loadCompress: async () => compressed,
};

/**
 * Makes requests below a base URL.
 *
 * @throws {InvalidUrlError} unless it is an http or https URL
 */
export function client(baseUrl: string | URL, options: ClientOptions = {}): Client {
  return Client.of(baseUrl, PLATFORM, options);
}
