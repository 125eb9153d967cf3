import http from 'node:http';
import { Readable } from 'node:stream';
import { PATIENCE_MS } from '../patience.ts';

export interface Answer {
  status: number;
  headers: http.IncomingHttpHeaders;
  body: Buffer;
  /** The body, as text. */
  readonly text: string;
  /** `Stream-Next-Offset`; empty when there is none. */
  nextOffset: string;
  /** Of a problem document; undefined in anything else. */
  code: string | undefined;
}

export interface RequestOptions {
  headers?: http.OutgoingHttpHeaders;
  /** A string or a buffer goes with its length; anything else in chunks. */
  body?: string | Buffer | Iterable<string | Buffer> | AsyncIterable<string | Buffer>;
  /** Default: a connection of its own. */
  agent?: http.Agent;
}

/**
 * Sends one request and reads the whole answer. Redirects are not followed. Rejects when the connection breaks, or
 * the server hangs.
 */
export async function send(
  method: string,
  url: string,
  { headers = {}, body, agent }: RequestOptions = {},
): Promise<Answer> {
  const outgoing = http.request(url, { method, headers, agent: agent ?? false });
  const timer = setTimeout(() => {
    outgoing.destroy(new Error(`${method} ${url} was not answered within ${PATIENCE_MS} ms`));
  }, PATIENCE_MS);
  const answer = answerOf(outgoing);
  if (body === undefined || typeof body === 'string' || Buffer.isBuffer(body)) {
    if (body !== undefined) outgoing.setHeader('content-length', Buffer.byteLength(body));
    outgoing.end(body);
  } else {
    Readable.from(body, { objectMode: true })
      .on('error', (error) => outgoing.destroy(error))
      .pipe(outgoing);
  }
  try {
    return await answer;
  } finally {
    clearTimeout(timer);
  }
}

/** `GET` with some headers. */
export function get(url: string, headers: http.OutgoingHttpHeaders = {}): Promise<Answer> {
  return send('GET', url, { headers });
}

/** `HEAD` with some headers. */
export function head(url: string, headers: http.OutgoingHttpHeaders = {}): Promise<Answer> {
  return send('HEAD', url, { headers });
}

/** `PUT`, unless it is to be another method, of a whole body. */
export function upload(
  url: string,
  body: string | Buffer,
  { method = 'PUT', headers = {} }: { method?: string; headers?: http.OutgoingHttpHeaders } = {},
): Promise<Answer> {
  return send(method, url, { headers, body });
}

/** Reads the whole answer of a request that is under way. */
export function answerOf(outgoing: http.ClientRequest): Promise<Answer> {
  return new Promise((resolve, reject) => {
    outgoing.once('error', reject);
    outgoing.once('response', (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.once('error', reject);
      response.once('end', () => resolve(toAnswer(response, Buffer.concat(chunks))));
    });
  });
}

/** The JSON document of an answer. */
export function jsonOf<T = Record<string, unknown>>({ text }: Answer): T {
  return JSON.parse(text) as T;
}

function toAnswer({ statusCode = 0, headers }: http.IncomingMessage, body: Buffer): Answer {
  const isProblem = headers['content-type']?.startsWith('application/problem+json') === true;
  return {
    status: statusCode,
    headers,
    body,
    // Few ask for it, and some bodies are long.
    get text() {
      return body.toString();
    },
    nextOffset: String(headers['stream-next-offset'] ?? ''),
    code: isProblem && body.length > 0 ? (JSON.parse(body.toString()).code as string) : undefined,
  };
}
