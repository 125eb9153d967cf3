import type { Fetch } from '../fetch.ts';
import { declareStreaming } from '../fetch-guards.ts';
import type { Agents } from './agents.ts';
import type { Transport } from './transport.ts';

export interface NodeFetchOptions {
  /**
   * Make the connections, in place of agents of its own and of the environment's proxy. `close` does not close them.
   */
  agents?: Agents;
}

/** A `fetch` over node:http. */
export type NodeFetch = Fetch & {
  /** Closes its connections, also those in use. */
  close(): void;
};

/**
 * A `fetch` over node:http and node:https, for whom streams: bodies of any length are sent as they are made, and
 * let go when the exchange ends; no time limits; redirects as the standard says, except that other origins
 * are told no header that could be a secret; gzip, deflate and brotli decoded; what is cut is an error.
 * The proxy is the one that the environment names (`HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY`, `NO_PROXY`).
 */
export function nodeFetch({ agents = {} }: NodeFetchOptions = {}): NodeFetch {
  // Loaded when it is needed, with all that it needs of Node.
  let loading: Promise<Transport> | undefined;
  let transport: Transport | undefined;
  let closes = 0;
  const fetch: Fetch = async (url, init) => {
    const begunAt = closes;
    loading ??= import('./transport.ts').then(({ Transport }) => new Transport(agents));
    transport ??= await loading;
    return transport.fetch(url, init, () => begunAt !== closes);
  };
  const close = () => {
    closes++;
    transport?.close();
  };
  declareStreaming(fetch);
  return Object.assign(fetch, { close });
}
