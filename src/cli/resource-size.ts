import { ConnectionError, UnexpectedStatusError } from '../wire/errors.ts';
import { contentLengthOf, contentRangeOf, type RequestOptions, request } from './http-request.ts';

/** What a server without HEAD answers, such as the original. */
const METHOD_NOT_ALLOWED = 405;

/**
 * Asks a server how many bytes a resource has; undefined when it does not exist.
 *
 * @param url http, https, ws or wss URL of the resource
 * @param ownHeaders for that server, and no other
 * @throws {UnexpectedStatusError} and the errors of {@link request}
 */
export async function resourceSize(
  url: string | URL,
  ownHeaders: Readonly<Record<string, string>>,
  signal?: AbortSignal,
): Promise<number | undefined> {
  const options = { ownHeaders, ...(signal && { signal }) };
  const { status, response } = await request(url, { ...options, method: 'HEAD', headers: {} });
  response.destroy();
  if (status === METHOD_NOT_ALLOWED) return sizeByRange(url, options);
  return sizeOf(status, contentLengthOf(response));
}

/** Asks for the first byte only: `Content-Range` tells the total. */
async function sizeByRange(
  url: string | URL,
  options: Pick<RequestOptions, 'ownHeaders' | 'signal'>,
): Promise<number | undefined> {
  const headers = { range: 'bytes=0-0' };
  const { status, response } = await request(url, { ...options, method: 'GET', headers });
  response.destroy();
  // A server without ranges answers with the whole resource.
  if (status !== 206 && status !== 416) return sizeOf(status, contentLengthOf(response));
  return sizeOf(200, contentRangeOf(response).total);
}

function sizeOf(status: number, size: number | undefined): number | undefined {
  if (status === 404) return undefined;
  if (status !== 200) throw new UnexpectedStatusError(status);
  if (size === undefined) throw new ConnectionError('the server does not tell the size of the resource');
  return size;
}
