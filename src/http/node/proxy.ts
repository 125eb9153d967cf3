import { getProxyForUrl } from 'proxy-from-env';

/** Loopback addresses bypass the proxy, as in the original's clients: for a proxy they would mean its own machine. */
const LOOPBACK = /^(?:(?:.+\.)?localhost\.?|127(?:\.\d+){3}|\[::1\])$/;

/**
 * The proxy that the environment names for a URL (`HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY`,
 * `NO_PROXY`); undefined when there is none.
 *
 * @throws {TypeError} when the proxy's URL is not http or https
 */
export function proxyFor(url: URL): string | undefined {
  if (LOOPBACK.test(url.hostname)) return undefined;
  const proxy = getProxyForUrl(url.href.replace(/^ws/, 'http'));
  if (proxy === '') return undefined;
  // The message does not quote it: it may contain a password.
  if (!URL.canParse(proxy) || !/^https?:/i.test(proxy)) {
    throw new TypeError('the proxy that the environment names is no http or https URL');
  }
  return proxy;
}
