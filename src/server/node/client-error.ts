import { STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';

/** What Node says of what it cannot read as a request. What is not here is 400. */
const STATUS_OF_CODE: Readonly<Record<string, number>> = {
  HPE_HEADER_OVERFLOW: 431,
  HPE_CHUNK_EXTENSIONS_OVERFLOW: 413,
  ERR_HTTP_REQUEST_TIMEOUT: 408,
};

/** Answers what is no request, or breaks off, and closes the connection. */
export function answerClientError({ code = '' }: Error & { code?: string }, socket: Socket): void {
  // Nobody is there any more.
  if (socket.destroyed || !socket.writable || code === 'ECONNRESET') {
    socket.destroy();
    return;
  }
  const status = STATUS_OF_CODE[code] ?? 400;
  const title = 'HFS_INVALID_REQUEST';
  const detail = status === 400 ? 'this is not a request of HTTP/1.1' : STATUS_CODES[status];
  const body = `${JSON.stringify({ type: 'about:blank', title, status, detail, code: title })}\n`;
  socket.end(
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\n` +
      'Content-Type: application/problem+json\r\nX-Content-Type-Options: nosniff\r\n' +
      `Content-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`,
  );
}
