import type { Agent } from 'node:http';
import { HttpsProxyAgent } from 'https-proxy-agent';
import { getProxyForUrl } from 'proxy-from-env';

/** Loopback addresses bypass the proxy, as in the original's clients: for a proxy they would mean its own machine. */
const LOOPBACK = /^(?:(?:.+\.)?localhost\.?|127(?:\.\d+){3}|\[::1\])$/;

/**
 * The agent that reaches a URL through the proxy that the environment names
 * for it (`HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY`, `NO_PROXY`); undefined when there is none.
 *
 * @param signal destroys the connection to the proxy when it aborts, even one that has not been answered
 * @throws {TypeError} when the proxy's URL is not http or https
 */
export function proxyAgentFor(url: URL, signal: AbortSignal): Agent | undefined {
  if (LOOPBACK.test(url.hostname)) return undefined;
  const proxy = getProxyForUrl(url.href.replace(/^ws/, 'http'));
  if (proxy === '') return undefined;
  // The message does not quote it: it may contain a password.
  if (!URL.canParse(proxy) || !/^https?:/i.test(proxy)) {
    throw new TypeError('the proxy that the environment names is no http or https URL');
  }
  return new HttpsProxyAgent(proxy, { signal });
}
