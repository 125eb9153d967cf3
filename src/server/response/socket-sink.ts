import type { Socket } from 'node:net';
import type { Encoder } from '../../core/readers/chunk.ts';

/**
 * Writes encoded bytes straight to the socket, past Node's response or `ws`, and watches whether the client takes
 * them.
 */
export class SocketSink {
  readonly #socket: Socket;
  #unsentBytes = 0;
  #stalledMs = 0;

  constructor(socket: Socket) {
    this.#socket = socket;
  }

  /** Sends all of it; false means that the socket is full, and will drain. */
  write(encoded: readonly Buffer[]): boolean {
    const socket = this.#socket;
    let isBelowMark = true;
    if (encoded.length > 1) socket.cork();
    for (const bytes of encoded) isBelowMark = socket.write(bytes);
    if (encoded.length > 1) socket.uncork();
    // Above the mark and yet empty: the system has taken everything at once.
    return isBelowMark || socket.writableLength === 0;
  }

  /**
   * How long the client has taken nothing, in milliseconds. To be called at every interval.
   *
   * @param isWaiting whether nothing more is written for the time being, so that only the client can be the cause
   */
  stalledMs(intervalMs: number, isWaiting: boolean): number {
    const unsentBytes = this.#socket.writableLength;
    const isStalled = isWaiting && unsentBytes > 0 && unsentBytes === this.#unsentBytes;
    this.#stalledMs = isStalled ? this.#stalledMs + intervalMs : 0;
    this.#unsentBytes = unsentBytes;
    return this.#stalledMs;
  }
}

const CRLF = Buffer.from('\r\n');

/** Ends a chunked body, with its trailers. */
export function lastChunk(trailers: Readonly<Record<string, string>>): Buffer {
  const lines = Object.entries(trailers).map(([name, value]) => `${name}: ${value}\r\n`);
  return Buffer.from(`0\r\n${lines.join('')}\r\n`);
}

/** Encodes bytes as one chunk of a chunked body (RFC 9112, section 7.1). */
export const encodeChunk: Encoder = (parts) => {
  const size = parts.reduce((bytes, part) => bytes + part.length, 0);
  // An empty chunk would be the last.
  return size === 0 ? [] : [Buffer.from(`${size.toString(16)}\r\n`), ...parts, CRLF];
};

/** Leaves bytes as they are, for clients of HTTP/1.0. */
export const encodePlainly: Encoder = (parts) => parts;
