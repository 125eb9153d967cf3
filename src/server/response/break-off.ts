import type { ServerResponse } from 'node:http';

/**
 * Breaks off an answer of which no more comes, so that what was sent arrives.
 *
 * @param hasLength whether it says how long it is
 * @returns false when it has not begun, or nothing but the close of the connection would tell where it ends
 */
export function breakOff(response: ServerResponse, hasLength: boolean): boolean {
  const { socket } = response;
  const isFramed = hasLength || response.chunkedEncoding;
  if (socket === null || !response.headersSent || !isFramed) return false;
  response.flushHeaders();
  socket.destroySoon();
  return true;
}
