import type { Agent } from 'node:http';
import { HttpsProxyAgent } from 'https-proxy-agent';
import { proxyFor } from './proxy.ts';

/**
 * The agent that reaches a URL through the proxy that the environment names for it; undefined when there is none.
 *
 * @param signal destroys the connection to the proxy when it aborts, even one that has not been answered
 * @throws {TypeError} when the proxy's URL is not http or https
 */
export function proxyAgentFor(url: URL, signal: AbortSignal): Agent | undefined {
  const proxy = proxyFor(url);
  return proxy === undefined ? undefined : new HttpsProxyAgent(proxy, { signal });
}
