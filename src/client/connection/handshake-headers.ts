import type { Readable, Writable } from 'node:stream';

/** Request headers by their names. */
export type RequestHeaders = Readonly<Record<string, string>>;

/** Request headers, or a function that is asked for them before each connection, for a token that changes. */
export type HandshakeHeaders = RequestHeaders | (() => RequestHeaders | Promise<RequestHeaders>);

/**
 * Connects with the headers of the next handshake: at once, so that what is
 * wrong with them is thrown, or when the function has told them.
 *
 * @param stream is destroyed with what goes wrong later; there is no need to connect when it is destroyed by then
 */
export function withHeaders(
  stream: Readable | Writable,
  headers: HandshakeHeaders | undefined,
  connect: (headers: RequestHeaders) => void,
): void {
  if (typeof headers !== 'function') {
    connect(headers ?? {});
    return;
  }
  new Promise<RequestHeaders>((resolve) => resolve(headers()))
    .then((told) => {
      if (!stream.destroyed) connect(told);
    })
    .catch((error) => stream.destroy(error));
}
