import http, { type IncomingMessage } from 'node:http';
import https from 'node:https';
import { cannotConnect } from '../client/connection/cannot-connect.ts';
import { splitCredentials, targetUrl } from '../client/connection/target-url.ts';
import { proxyAgentFor } from '../http/node/proxy-agent.ts';
import { ConnectionError, UnexpectedStatusError } from '../wire/errors.ts';
import { TCP_KEEP_ALIVE_MS } from '../wire/protocol.ts';
import { VERSION } from '../wire/version.ts';

const MAX_REDIRECTS = 10;

/** Time limit for the head of an answer. */
const ANSWER_TIMEOUT_MS = 30_000;

const REDIRECTS = new Set([301, 302, 303, 307, 308]);

const RANGE = /^bytes (?<start>\d+)-(?<end>\d+)\//;

export interface RequestOptions {
  method: 'GET' | 'HEAD';
  headers: Readonly<Record<string, string>>;
  /** Headers for the origin of the URL only: they are not sent when a redirect has led away from it. */
  ownHeaders?: Readonly<Record<string, string>>;
  /** Aborts the request, also while the body is being read. */
  signal?: AbortSignal;
}

/** An answer, of which the body has not been read. */
export interface Answer {
  status: number;
  response: IncomingMessage;
  /** Where the answer came from, after redirects. */
  url: URL;
}

/**
 * Sends a request for a resource as it is stored, without compression, and follows
 * redirects. Each head must arrive within 30 s. There is no time limit between two
 * chunks of the body: it may be a live stream.
 *
 * @param url http, https, ws or wss URL
 * @throws {InvalidUrlError}, {@link ConnectionError}, {@link UnexpectedStatusError} after too many redirects
 */
export async function request(
  url: string | URL,
  { method, headers, ownHeaders, signal }: RequestOptions,
): Promise<Answer> {
  const target = splitCredentials(httpUrl(url));
  let current = target.url;
  let sent = { ...headers, ...target.headers, ...ownHeaders };
  for (let redirects = 0; redirects <= MAX_REDIRECTS; redirects++) {
    const response = await send(current, { method, headers: sent, ...(signal && { signal }) });
    const status = response.statusCode as number;
    const { location } = response.headers;
    if (!REDIRECTS.has(status) || location === undefined) return { status, response, url: current };
    response.destroy();
    if (!URL.canParse(location, current.href)) throw new UnexpectedStatusError(status, 'malformed redirect');
    const next = splitCredentials(httpUrl(new URL(location, current))).url;
    if (next.origin !== current.origin) sent = { ...headers };
    current = next;
  }
  throw new UnexpectedStatusError(302, `more than ${MAX_REDIRECTS} redirects`);
}

/** The size that an answer declares for its body. */
export function contentLengthOf({ headers }: IncomingMessage): number | undefined {
  const text = headers['content-length'];
  return text === undefined ? undefined : Number(text);
}

/** The range that an answer declares, and the size of the whole; members that it does not tell are undefined. */
export function contentRangeOf({ headers }: Pick<IncomingMessage, 'headers'>): {
  start: number | undefined;
  end: number | undefined;
  total: number | undefined;
} {
  const text = headers['content-range'] ?? '';
  const { start, end } = RANGE.exec(text)?.groups ?? {};
  // Also if the range is malformed: that of an empty file may end at -1.
  const total = /\/(\d+)$/.exec(text)?.[1];
  return { start: numberOf(start), end: numberOf(end), total: numberOf(total) };
}

function numberOf(digits: string | undefined): number | undefined {
  return digits === undefined ? undefined : Number(digits);
}

function httpUrl(url: string | URL): URL {
  const target = targetUrl(url);
  target.protocol = target.protocol.replace('ws', 'http');
  return target;
}

function send(
  url: URL,
  { method, headers, signal }: Omit<RequestOptions, 'ownHeaders'>,
): Promise<IncomingMessage> {
  const { request: start } = url.protocol === 'https:' ? https : http;
  return new Promise((resolve, reject) => {
    const over = new AbortController();
    const request = start(url, {
      method,
      ...(signal && { signal }),
      // Not Node's global agent, whose idle connections would keep the process alive.
      agent: proxyAgentFor(url, over.signal) ?? false,
      headers: {
        'user-agent': `httpfstream/${VERSION}`,
        'accept-encoding': 'identity',
        ...headers,
      },
    });
    const timer = setTimeout(() => {
      request.destroy(new ConnectionError(`no answer within ${ANSWER_TIMEOUT_MS / 1000} s`));
    }, ANSWER_TIMEOUT_MS);
    request
      .once('close', () => over.abort())
      .once('response', (response) => {
        clearTimeout(timer);
        // Nothing is sent on this connection any more, so without probes a server that is gone would not be noticed.
        response.socket.setKeepAlive(true, TCP_KEEP_ALIVE_MS);
        resolve(response);
      })
      .once('upgrade', (_response, socket) => {
        clearTimeout(timer);
        socket.destroy();
        reject(new UnexpectedStatusError(101));
      })
      .once('error', (cause) => {
        clearTimeout(timer);
        reject(cannotConnect(cause, url));
      })
      .end();
  });
}
