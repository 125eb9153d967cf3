import type { IncomingMessage } from 'node:http';
import { InvalidRequestError, UnauthorizedError } from '../../wire/errors.ts';
import { BEARER_PROTOCOL } from '../../wire/protocol.ts';

const PROTOCOLS = 'sec-websocket-protocol';

/** What a handshake offers as subprotocols: tokens, and those that are some. */
export function offeredIn({ headers }: IncomingMessage): { bearers: string[]; others: string[] } {
  const names = headers[PROTOCOLS]?.split(',').map((name) => name.trim()) ?? [];
  const bearers = names.filter((name) => name.startsWith(BEARER_PROTOCOL));
  return { bearers, others: names.filter((name) => !bearers.includes(name)) };
}

/**
 * Takes the token out of a request, so that nothing that comes later logs it or passes it on: as a bearer, the
 * password of anybody, or a subprotocol, which wins: a browser adds passwords by itself.
 *
 * @returns undefined when it brings none
 * @throws {UnauthorizedError} when it brings something else in the place of one
 * @throws {InvalidRequestError} when it brings several, or one as its only subprotocol
 */
export function takeToken(raw: IncomingMessage): string | undefined {
  const offered = takeProtocol(raw);
  const { authorization } = raw.headers;
  if (authorization === undefined) return offered;
  raw.headers.authorization = undefined;
  const lines = takeLines(raw, 'authorization');
  if (lines > 1) throw new InvalidRequestError('there is more than one Authorization header');
  return offered ?? tokenIn(authorization);
}

/** @throws {UnauthorizedError} when there is none in it */
function tokenIn(authorization: string): string {
  const { scheme = '', value = '' } = /^(?<scheme>\S+) +(?<value>\S+) *$/.exec(authorization)?.groups ?? {};
  if (/^bearer$/i.test(scheme)) return value;
  const pair = /^basic$/i.test(scheme) ? Buffer.from(value, 'base64').toString() : '';
  const token = pair.slice(pair.indexOf(':') + 1);
  if (pair.includes(':') && token !== '') return token;
  throw new UnauthorizedError(
    'the Authorization header must bring a token: as Bearer, or as a password (Basic)',
  );
}

/** What is offered as a subprotocol, and is none. It is not seen by whoever chooses one. */
function takeProtocol(raw: IncomingMessage): string | undefined {
  const { bearers, others } = offeredIn(raw);
  if (bearers.length === 0) return undefined;
  raw.headers[PROTOCOLS] = others.join(', ');
  takeLines(raw, PROTOCOLS);
  if (bearers.length > 1)
    throw new InvalidRequestError('there is more than one token among the subprotocols');
  if (others.length === 0) {
    throw new InvalidRequestError(
      'beside the token a subprotocol must be offered: a browser demands one back',
    );
  }
  return (bearers[0] as string).slice(BEARER_PROTOCOL.length);
}

/** Removes the lines of a header from those as they came. @returns how many there were */
function takeLines({ rawHeaders }: IncomingMessage, header: string): number {
  let count = 0;
  for (let i = rawHeaders.length - 2; i >= 0; i -= 2) {
    if ((rawHeaders[i] as string).toLowerCase() !== header) continue;
    rawHeaders.splice(i, 2);
    count++;
  }
  return count;
}
