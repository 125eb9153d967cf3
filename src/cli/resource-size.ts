import { declaredLength } from '../http/body/body.ts';
import { ConnectionError, UnexpectedStatusError } from '../wire/errors.ts';
import type { Credentials } from './credentials.ts';
import { contentRangeOf, discard, type RequestOptions, requestResource } from './resource-request.ts';

/** What a server without HEAD answers, such as the original. */
const METHOD_NOT_ALLOWED = 405;

/**
 * Asks a server how many bytes a resource has; undefined when it does not exist.
 *
 * @param url http, https, ws or wss URL of the resource
 * @param credentials for that server, and no other
 * @throws {UnexpectedStatusError} and the errors of {@link requestResource}
 */
export async function resourceSize(
  url: string | URL,
  { headers, token }: Credentials,
  signal?: AbortSignal,
): Promise<number | undefined> {
  const options = { headers, token, ...(signal && { signal }) };
  const { status, headers: told } = await requestResource(url, { ...options, method: 'HEAD' });
  if (status === METHOD_NOT_ALLOWED) return sizeByRange(url, options);
  return sizeOf(status, declaredLength(told));
}

/** Asks for the first byte only: `Content-Range` tells the total. */
async function sizeByRange(
  url: string | URL,
  { headers, ...options }: Omit<RequestOptions, 'method'>,
): Promise<number | undefined> {
  const request = { ...options, method: 'GET', headers: { ...headers, range: 'bytes=0-0' } };
  const response = await requestResource(url, request);
  const { status, headers: told } = response;
  await discard(response);
  // A server without ranges answers with the whole resource.
  if (status !== 206 && status !== 416) return sizeOf(status, declaredLength(told));
  return sizeOf(200, contentRangeOf(told).total);
}

function sizeOf(status: number, size: number | undefined): number | undefined {
  if (status === 404) return undefined;
  if (status !== 200) throw new UnexpectedStatusError(status);
  if (size === undefined) throw new ConnectionError('the server does not tell the size of the resource');
  return size;
}
