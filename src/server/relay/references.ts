import type { FastifyRequest } from 'fastify';
import type { Upstream } from '../../relay/upstream/upstream.ts';
import { absoluteUrl } from '../request/request-target.ts';

/** Headers of answers that say where something is. */
const REFERENCES = ['location', 'content-location'];

/** Begins with neither a scheme nor a slash. */
const RELATIVE = /^(?![a-z][a-z\d+.-]*:)[^/\\]/i;

/** Of which answer references are. */
export interface Referring {
  request: FastifyRequest;
  upstream: Upstream;
  /** What was asked for there. */
  url: URL;
  /** What stands before every resource's path in URLs; empty or `/…`. */
  prefix: string;
}

/** What an answer says of where something is, as it is by way of this server. */
export function referencesIn(
  headers: Readonly<Record<string, string | string[] | undefined>>,
  referring: Referring,
): Record<string, string> {
  const changed: Record<string, string> = {};
  for (const name of REFERENCES) {
    const reference = headers[name];
    if (typeof reference === 'string') changed[name] = referenceBy(reference, referring);
  }
  return changed;
}

function referenceBy(reference: string, { request, upstream, url, prefix }: Referring): string {
  if (!URL.canParse(reference, url.href)) return reference;
  const { href } = new URL(reference, url);
  const path = upstream.localPathOf(href);
  // Here it would lead to something else.
  if (path === undefined) return href;
  return RELATIVE.test(reference) ? reference : absoluteUrl(request, prefix + path);
}
