import { ConnectionError, UnexpectedStatusError } from '../errors.ts';
import { contentLengthOf, request } from './http-request.ts';

/**
 * Asks a server how many bytes a resource has; undefined when it does not exist.
 *
 * @param url http, https, ws or wss URL of the resource
 * @param ownHeaders for the server there, and no other
 * @throws {UnexpectedStatusError} and what {@link request} throws
 */
export async function resourceSize(
  url: string | URL,
  ownHeaders: Readonly<Record<string, string>>,
): Promise<number | undefined> {
  const { status, response } = await request(url, { method: 'HEAD', headers: {}, ownHeaders });
  response.destroy();
  if (status === 404) return undefined;
  if (status !== 200) throw new UnexpectedStatusError(status);
  const size = contentLengthOf(response);
  if (size === undefined) throw new ConnectionError('the server does not tell the size of the resource');
  return size;
}
