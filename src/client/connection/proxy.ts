import type { Agent } from 'node:http';
import { HttpsProxyAgent } from 'https-proxy-agent';
import { getProxyForUrl } from 'proxy-from-env';

/** This machine is reached without a proxy, as the clients of the original do: to a proxy it would be another one. */
const LOOPBACK = /^(?:(?:.+\.)?localhost\.?|127(?:\.\d+){3}|\[::1\])$/;

/**
 * The agent that reaches a URL through the proxy that the environment names
 * for it (`HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY`, `NO_PROXY`); undefined when there is none.
 *
 * @param signal lets go of the proxy when it aborts, also of one that has not answered
 * @throws {TypeError} when the proxy is none of HTTP
 */
export function proxyAgentFor(url: URL, signal: AbortSignal): Agent | undefined {
  if (LOOPBACK.test(url.hostname)) return undefined;
  const proxy = getProxyForUrl(url.href.replace(/^ws/, 'http'));
  if (proxy === '') return undefined;
  // What it is may have a password in it.
  if (!URL.canParse(proxy) || !/^https?:/i.test(proxy)) {
    throw new TypeError('the proxy that the environment names is no http or https URL');
  }
  return new HttpsProxyAgent(proxy, { signal });
}
