import type { Encoder } from '../../core/chunk.ts';

const CRLF = Buffer.from('\r\n');

/** What ends a chunked body, with what is told only then. */
export function lastChunk(trailers: Readonly<Record<string, string>>): Buffer {
  const lines = Object.entries(trailers).map(([name, value]) => `${name}: ${value}\r\n`);
  return Buffer.from(`0\r\n${lines.join('')}\r\n`);
}

/** Lays bytes out as one chunk of a chunked body (RFC 9112, section 7.1). */
export const encodeChunk: Encoder = (parts) => {
  const size = parts.reduce((bytes, part) => bytes + part.length, 0);
  // One without bytes would be the last.
  return size === 0 ? [] : [Buffer.from(`${size.toString(16)}\r\n`), ...parts, CRLF];
};

/** Leaves bytes as they are, for clients of HTTP/1.0. */
export const encodePlainly: Encoder = (parts) => parts;
