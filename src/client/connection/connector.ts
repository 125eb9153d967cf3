import type { Connect, Connector } from '../session/connection.ts';
import { withBearer } from '../session/token.ts';
import type { RequestHeaders, StreamOptions } from '../stream-options.ts';
import { ClientConnection, type ConnectionOptions } from './client-connection.ts';

/** Connects by WebSockets of `ws`, with the headers and the token that a caller's options give or ask for. */
export function connectorOf(options: StreamOptions & Pick<ConnectionOptions, 'stallTimeoutMs'>): Connector {
  const { headers = {}, token } = options;
  const connectWith =
    (given: RequestHeaders): Connect =>
    (url, verb, handlers) =>
      new ClientConnection(url, verb, { ...options, headers: given }, handlers);
  if (typeof headers !== 'function' && typeof token !== 'function') {
    return () => connectWith(withBearer(headers, token));
  }
  return async () =>
    connectWith(
      withBearer(
        typeof headers === 'function' ? await headers() : headers,
        typeof token === 'function' ? await token() : token,
      ),
    );
}
