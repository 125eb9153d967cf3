import { Buffer } from 'node:buffer';
import { VERSION } from '../../wire/version.ts';
import { BodyStream } from '../body/body-stream.ts';
import { ACCEPTED_CODINGS } from './codings.ts';

/** What concerns a connection (RFC 9110, section 7.6.1) is not for the application to say. */
const OF_CONNECTIONS = new Set([
  'connection',
  'keep-alive',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]);

/** The headers of a request as Node takes them, with those that tell where its body ends. */
export function requestHeaders(
  given: Headers,
  body: string | Uint8Array | BodyStream | undefined,
): Record<string, string> {
  const headers: Record<string, string> = {
    accept: '*/*',
    // A range of coded bytes is none of those that are wanted.
    'accept-encoding': given.has('range') ? 'identity' : ACCEPTED_CODINGS,
    'user-agent': `httpfstream/${VERSION}`,
  };
  for (const [name, value] of given) if (!OF_CONNECTIONS.has(name)) headers[name] = value;
  if (body === undefined) {
    // Node says by itself that a body is empty, where one is usual.
    delete headers['content-length'];
  } else if (body instanceof BodyStream && body.length === undefined) {
    // For some methods Node would send it without an end.
    headers['transfer-encoding'] = 'chunked';
    delete headers['content-length'];
  } else {
    headers['content-length'] = String(body instanceof BodyStream ? body.length : Buffer.byteLength(body));
  }
  if (!(body instanceof BodyStream)) delete headers.expect;
  return headers;
}
