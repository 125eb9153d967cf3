import { Client, type ClientOptions, type Platform } from '../client.ts';
import { nodeFetch } from './node-fetch.ts';

/** All clients without a `fetch` of their own share its connections. */
const PLATFORM: Platform = {
  fetch: nodeFetch(),
  loadCompress: async () => (await import('./codings.ts')).compressed,
};

/**
 * Makes requests below a base URL.
 *
 * @throws {InvalidUrlError} unless it is an http or https URL
 */
export function client(baseUrl: string | URL, options: ClientOptions = {}): Client {
  return Client.of(baseUrl, PLATFORM, options);
}
