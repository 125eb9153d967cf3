import { isBytes, typeOf } from '../body/body.ts';
import type { FetchInit } from '../fetch.ts';
import { declareStreaming } from '../fetch-guards.ts';
import type { Agents } from './agents.ts';
import type { Transport } from './transport.ts';

export interface NodeFetchOptions {
  /**
   * Make the connections, in place of agents of its own and of the environment's proxy. `close` does not close them.
   */
  agents?: Agents;
}

/** A `fetch` over node:http: it takes what every `fetch` does. */
export type NodeFetch = ((input: string | URL | Request, init?: RequestInit) => Promise<Response>) & {
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
  const fetch = async (input: string | URL | Request, init: RequestInit = {}) => {
    const begunAt = closes;
    const [url, request] = normalised(input, init);
    loading ??= import('./transport.ts')
      .then(({ Transport }) => new Transport(agents))
      .catch((error) => {
        loading = undefined;
        throw error;
      });
    transport ??= await loading;
    return transport.fetch(url, request, () => begunAt !== closes);
  };
  const close = () => {
    closes++;
    transport?.close();
  };
  declareStreaming(fetch);
  return Object.assign(fetch, { close });
}

/** @throws {TypeError} for what is no URL, or no header */
function normalised(input: string | URL | Request, init: RequestInit): [url: URL, init: FetchInit] {
  const isOurs = input instanceof URL && init.headers instanceof Headers && init.method !== undefined;
  if (isOurs && init.body !== null) return [input, init as FetchInit];
  const from: Partial<Request> = input instanceof Request ? input : {};
  const { method = from.method ?? 'GET', body = from.body, signal = from.signal, ...rest } = init;
  const headers = new Headers(init.headers ?? from.headers);
  const type = isBytes(body) ? typeOf(body) : undefined;
  if (type !== undefined && !headers.has('content-type')) headers.set('content-type', type);
  const request: FetchInit = { ...rest, method: method.toUpperCase(), headers };
  if (body !== undefined && body !== null) request.body = body;
  if (signal !== undefined) request.signal = signal;
  return [new URL(from.url ?? String(input)), request];
}
