import type { IncomingMessage } from 'node:http';
import type { FastifyReply, FastifyRequest } from 'fastify';
import {
  ForeignOriginError,
  type HttpfstreamError,
  InvalidRequestError,
  UnknownHostError,
} from '../../wire/errors.ts';
import { type Host, hostOf, parseHost, parseTarget } from '../request/target.ts';
import { AllowedHosts } from './allowed-hosts.ts';
import type { PagePaths } from './page-paths.ts';

/** Who may come in. */
export interface GateOptions {
  /** See {@link AllowedHosts}. */
  allowedHosts: readonly string[];
  /** Origins whose pages may use the server; `*` for all. */
  corsOrigins: readonly string[];
  /** What the pages of users may load. */
  pages: PagePaths;
}

/** Decides which requests may come in, by their heads alone and before anything is looked at for them. */
export class Gate {
  readonly #hosts: AllowedHosts;
  readonly #corsOrigins: ReadonlySet<string>;
  readonly #pages: PagePaths;

  constructor({ allowedHosts, corsOrigins, pages }: GateOptions) {
    this.#hosts = new AllowedHosts(allowedHosts);
    this.#corsOrigins = new Set(corsOrigins);
    this.#pages = pages;
  }

  /**
   * Lets a request in, or not.
   *
   * @throws {InvalidRequestError} when `Host` is missing, malformed, or there are several
   * @throws {UnknownHostError} when the host is none that is served here
   * @throws {ForeignOriginError} when a page of an origin that is not allowed is behind it
   */
  check(request: FastifyRequest, reply: FastifyReply): void {
    const refusal = this.#refusalOf(request.raw, hostOf(request));
    // On the way, what comes next may be taken for somebody else's.
    if (refusal instanceof InvalidRequestError) reply.header('connection', 'close');
    if (refusal instanceof ForeignOriginError && this.#pages.isForPage(request)) return;
    if (refusal !== undefined) throw refusal;
  }

  /** Whether {@link check} may refuse a request, which depends on whether a proxy's word is to be believed. */
  mayRefuse(raw: IncomingMessage): boolean {
    if (raw.headers['x-forwarded-host'] !== undefined) return true;
    return this.#refusalOf(raw, parseTarget(raw.url).authority ?? raw.headers.host ?? '') !== undefined;
  }

  #refusalOf(raw: IncomingMessage, text: string): HttpfstreamError | undefined {
    if (hostLines(raw) > 1) return new InvalidRequestError('there is more than one Host header');
    const host = parseHost(text);
    if (host === undefined) {
      // Those that know no Host yet are no browsers.
      const mayBeMissing = text === '' && raw.httpVersion === '1.0';
      if (!mayBeMissing) return new InvalidRequestError('the Host header is missing or malformed');
    } else if (!this.#hosts.has(host.name)) {
      return new UnknownHostError(
        `${host.name} is not served here: to allow it, add -allow-host ${host.name}`,
      );
    }
    if (this.#corsOrigins.has('*') || !isForeign(raw, host, this.#corsOrigins)) return undefined;
    return new ForeignOriginError(
      'pages of other origins may not use this server: to allow one, add -cors and its origin',
    );
  }
}

function hostLines({ rawHeaders }: IncomingMessage): number {
  let lines = 0;
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i] as string;
    if (name.length === 4 && name.toLowerCase() === 'host') lines++;
  }
  return lines;
}

/** Whose pages may use the server, beside those that come from the server itself. */
interface OtherOrigins {
  has(origin: string): boolean;
}

/**
 * Whether a browser sends a request on behalf of a page that is neither the
 * server's own nor of `others`. Clients that are no browsers send none of what tells.
 *
 * @param host what the request is for; undefined when it does not say
 */
function isForeign(
  { method, headers }: IncomingMessage,
  host: Host | undefined,
  others: OtherOrigins,
): boolean {
  const { origin } = headers;
  if (origin !== undefined) return !isOwn(origin, host) && !others.has(origin);
  const site = headers['sec-fetch-site'];
  if (site === undefined || site === 'same-origin' || site === 'none') return false;
  // To follow a link is to look at it, and nothing more. What is only fetched ahead nobody looks at yet.
  const isNavigation =
    method === 'GET' &&
    headers['sec-fetch-mode'] === 'navigate' &&
    headers['sec-fetch-dest'] === 'document' &&
    headers['sec-purpose'] === undefined;
  return !isNavigation;
}

/** The scheme is not compared: TLS may end before the server. `null` is nobody's. */
function isOwn(origin: string, host: Host | undefined): boolean {
  const authority = /^https?:\/\/(.+)$/.exec(origin)?.[1];
  const from = authority === undefined ? undefined : parseHost(authority);
  return from !== undefined && from.name === host?.name && from.port === host.port;
}
