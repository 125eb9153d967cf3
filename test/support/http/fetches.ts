import type { Fetch } from '../../../src/http/index.node.ts';
import { nodeFetch } from '../../../src/http/index.node.ts';

/** The platform's fetch, as it is. */
export const platformFetch: Fetch = (url, init) => globalThis.fetch(url, init);

/** What a client can send its requests with: our own, and somebody else's. */
export const FETCHES: readonly (readonly [string, Fetch])[] = [
  ['node:http', nodeFetch()],
  ["the platform's fetch", platformFetch],
];
