import http, { type Agent, type ClientRequest, type RequestOptions } from 'node:http';
import { proxyFor } from './proxy.ts';

/**
 * The agent that reaches a URL through the proxy that the environment names for it; undefined when there is none.
 *
 * @param signal as for {@link ProxyAgent}
 * @throws {TypeError} when the proxy's URL is not http or https
 */
export function proxyAgentFor(url: URL, signal: AbortSignal): Agent | undefined {
  const proxy = proxyFor(url);
  return proxy === undefined ? undefined : new ProxyAgent(url, proxy, signal);
}

/** Loads what knows proxies when it is given a request: that takes long, and most have none. */
export class ProxyAgent extends http.Agent {
  /** What Node looks at before it gives an agent a request. */
  readonly protocol: string;
  readonly defaultPort: number;
  readonly #proxy: string;
  readonly #signal: AbortSignal;

  /**
   * @param url of the request
   * @param signal destroys the connection to the proxy when it aborts, even one that has not been answered
   */
  constructor({ protocol }: URL, proxy: string, signal: AbortSignal) {
    super();
    const isSecure = protocol === 'https:' || protocol === 'wss:';
    this.protocol = isSecure ? 'https:' : 'http:';
    this.defaultPort = isSecure ? 443 : 80;
    this.#proxy = proxy;
    this.#signal = signal;
  }

  /** Called by Node, as each agent's. */
  addRequest(request: ClientRequest, options: RequestOptions): void {
    const secureEndpoint = this.protocol === 'https:';
    import('https-proxy-agent')
      .then(({ HttpsProxyAgent }) => {
        const agent = new HttpsProxyAgent(this.#proxy, { signal: this.#signal });
        (agent as unknown as ProxyAgent).addRequest(request, {
          ...options,
          secureEndpoint,
        } as RequestOptions);
      })
      .catch((error) => request.destroy(error));
  }
}
