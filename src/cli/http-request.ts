import http, { type IncomingMessage } from 'node:http';
import https from 'node:https';
import { ConnectionError, InvalidUrlError, UnexpectedStatusError } from '../errors.ts';
import { packageVersion } from './package-version.ts';

const MAX_REDIRECTS = 10;

const REDIRECTS = new Set([301, 302, 303, 307, 308]);

/** What is sent besides the URL. */
export interface RequestOptions {
  method: 'GET' | 'HEAD';
  headers: Readonly<Record<string, string>>;
}

/** An answer, of which the body has not been read. */
export interface Answer {
  status: number;
  response: IncomingMessage;
  /** Where the answer came from, after redirects. */
  url: URL;
}

/**
 * Asks for a URL as it is stored, without compression, and follows redirects.
 * There is no limit to the time between two chunks of the body: it may be a live stream.
 *
 * @param url http or https URL
 * @throws {InvalidUrlError}, {@link ConnectionError}, {@link UnexpectedStatusError} after too many redirects
 */
export async function request(url: string | URL, options: RequestOptions): Promise<Answer> {
  let current = httpUrl(url);
  for (let redirects = 0; redirects <= MAX_REDIRECTS; redirects++) {
    const response = await send(current, options);
    const status = response.statusCode as number;
    const { location } = response.headers;
    if (!REDIRECTS.has(status) || location === undefined) return { status, response, url: current };
    response.destroy();
    if (!URL.canParse(location, current.href)) throw new UnexpectedStatusError(status, 'malformed redirect');
    current = httpUrl(new URL(location, current));
  }
  throw new UnexpectedStatusError(302, `more than ${MAX_REDIRECTS} redirects`);
}

/** The size that an answer declares for its body. */
export function contentLengthOf({ headers }: IncomingMessage): number | undefined {
  const text = headers['content-length'];
  return text === undefined ? undefined : Number(text);
}

function httpUrl(url: string | URL): URL {
  if (!URL.canParse(String(url))) throw new InvalidUrlError(`invalid URL: ${url}`);
  const parsed = new URL(url);
  if (!['http:', 'https:'].includes(parsed.protocol)) {
    throw new InvalidUrlError(`the URL must begin with http:// or https://: ${url}`);
  }
  return parsed;
}

function send(url: URL, { method, headers }: RequestOptions): Promise<IncomingMessage> {
  const { request: start } = url.protocol === 'https:' ? https : http;
  return new Promise((resolve, reject) => {
    start(url, {
      method,
      // The process is to end with the answer.
      agent: false,
      headers: {
        'user-agent': `httpfstream/${packageVersion()}`,
        'accept-encoding': 'identity',
        ...headers,
      },
    })
      .once('response', resolve)
      .once('error', (cause) => {
        // An address that was tried in several ways fails with an error that says nothing but its code.
        const message = cause.message || String((cause as NodeJS.ErrnoException).code);
        reject(new ConnectionError(message, { cause }));
      })
      .end();
  });
}
