import type { Compress } from './body/body.ts';
import { Base, type ClientParts, ClientRequest, MultipartRequest } from './client-request.ts';
import type { Fetch, Middleware } from './fetch.ts';
import { guarded, isStreaming } from './fetch-guards.ts';

export interface ClientOptions {
  /** Sends the requests. Default: over node:http on Node, the platform's `fetch` elsewhere. */
  fetch?: Fetch;
  /** Headers of all requests. */
  headers?: NonNullable<RequestInit['headers']>;
}

/** What differs between platforms. */
export interface Platform {
  fetch: Fetch;
  loadCompress: () => Promise<Compress>;
}

/** Makes requests below a base URL. It never changes. */
export class Client {
  readonly #parts: ClientParts;

  private constructor(parts: ClientParts) {
    this.#parts = parts;
  }

  /**
   * @param baseUrl user and password in it are sent as the header `Authorization`
   * @throws {InvalidUrlError} unless it is an http or https URL
   */
  static of(
    baseUrl: string | URL,
    platform: Platform,
    { fetch = platform.fetch, headers }: ClientOptions,
  ): Client {
    return new Client({
      base: new Base(baseUrl),
      fetch: isStreaming(fetch) ? fetch : guarded(fetch),
      loadCompress: platform.loadCompress,
      headers: new Headers(headers),
      middleware: [],
    });
  }

  /** Another client, which wraps how requests are sent; the first of several is the outermost. */
  use(...middleware: Middleware[]): Client {
    return new Client({ ...this.#parts, middleware: [...this.#parts.middleware, ...middleware] });
  }

  /** `path` is below the base; `{name}` in it is filled by `pathParam`. An empty one is the base itself. */
  request(method: string, path: string): ClientRequest {
    return new ClientRequest(this.#parts, method, path);
  }

  get(path: string): ClientRequest {
    return this.request('GET', path);
  }

  head(path: string): ClientRequest {
    return this.request('HEAD', path);
  }

  put(path: string): ClientRequest {
    return this.request('PUT', path);
  }

  post(path: string): ClientRequest {
    return this.request('POST', path);
  }

  patch(path: string): ClientRequest {
    return this.request('PATCH', path);
  }

  delete(path: string): ClientRequest {
    return this.request('DELETE', path);
  }

  /** A request with a multipart/form-data body. */
  multipart(path: string, method = 'POST'): MultipartRequest {
    return new MultipartRequest(this.#parts, method, path);
  }
}
