import type { ServerResponse } from 'node:http';

/**
 * Breaks off an answer of which no more comes. What was sent arrives; where nothing but the close of the connection
 * would tell that this was the end, it is reset.
 *
 * @param hasLength whether it says how long it is
 */
export function breakOff(response: ServerResponse, hasLength: boolean): void {
  const { socket } = response;
  const isFramed = hasLength || response.chunkedEncoding;
  if (socket === null || !response.headersSent || !isFramed) {
    response.destroy();
    return;
  }
  response.flushHeaders();
  socket.destroySoon();
}
