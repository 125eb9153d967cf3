import { InvalidUrlError } from '../../wire/errors.ts';
import { withoutCredentials } from './credentials.ts';

const PROTOCOLS = ['http:', 'https:', 'ws:', 'wss:'];

/**
 * Parses the URL of a resource.
 *
 * @throws {InvalidUrlError} when it is none, or neither http(s) nor ws(s)
 */
export function targetUrl(url: string | URL): URL {
  const shown = withoutCredentials(String(url));
  if (!URL.canParse(String(url))) throw new InvalidUrlError(`invalid URL: ${shown}`);
  const target = new URL(url);
  if (!PROTOCOLS.includes(target.protocol)) {
    throw new InvalidUrlError(`the URL must begin with http:// or https://: ${shown}`);
  }
  target.hash = '';
  return target;
}
