import type { IncomingMessage } from 'node:http';
import type { Readable } from 'node:stream';
import { readable } from '../http/node/readable.ts';
import type { HttpfstreamError } from '../wire/errors.ts';
import { errorOfRefusal, MAX_REFUSAL_BYTES, REFUSAL_TIMEOUT_MS } from './session/refusal.ts';

/** Turns a server's refusal into the matching error. Reads as much of the body as the error needs. */
export async function refusalOf(response: IncomingMessage | Response): Promise<HttpfstreamError> {
  if (response instanceof Response) {
    const { status, headers } = response;
    const body = await textOf(readable(response));
    return errorOfRefusal({
      status,
      location: headers.get('location'),
      retryAfter: headers.get('retry-after'),
      body,
    });
  }
  const { statusCode: status = 0, headers } = response;
  const body = await textOf(response);
  return errorOfRefusal({ status, location: headers.location, retryAfter: headers['retry-after'], body });
}

async function textOf(body: Readable): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  const deadline = setTimeout(() => body.destroy(), REFUSAL_TIMEOUT_MS);
  try {
    for await (const chunk of body) {
      chunks.push(chunk);
      bytes += chunk.length;
      if (bytes > MAX_REFUSAL_BYTES) break;
    }
  } catch {
    // The status says enough.
  } finally {
    clearTimeout(deadline);
  }
  return Buffer.concat(chunks).toString();
}
