import type { IncomingMessage } from 'node:http';

/** How long a client that is answered already may go on sending, in milliseconds. */
const LINGER_MS = 2000;

/** So much of what nobody wants is read at most: by then a client has its answer, if it reads at all. */
const MAX_BYTES = 64 * 1024 * 1024;

/** How much of a body is read only to be dropped. */
export interface DropLimits {
  /** For how long, in milliseconds. */
  patienceMs: number;
  /** How many bytes. Default 64 MiB. */
  maxBytes?: number;
}

/**
 * Reads what is left of a body that nobody wants, and drops it.
 *
 * @returns whether it was read to its end; false when a limit is reached first, or the connection is gone
 */
export function dropRestOfBody(
  request: IncomingMessage,
  { patienceMs, maxBytes = MAX_BYTES }: DropLimits,
): Promise<boolean> {
  return new Promise((resolve) => {
    let bytesLeft = maxBytes;
    const settle = () => {
      clearTimeout(timer);
      request.off('data', drop).off('end', settle).off('close', settle);
      // Else the rest is still read, and nobody counts it.
      if (!request.complete) request.pause();
      resolve(request.complete);
    };
    const drop = (bytes: Buffer) => {
      bytesLeft -= bytes.length;
      if (bytesLeft < 0) settle();
    };
    const timer = setTimeout(settle, patienceMs);
    request.on('data', drop).once('end', settle).once('close', settle);
    // Now: what nobody has read when its answer is out, Node reads without counting.
    request.resume();
    request.read();
    if (request.readableEnded || request.destroyed) settle();
  });
}

/**
 * Lets a client that is answered before it has sent everything read that, and go
 * on with its next request if this one ends soon. If not, its connection is cut.
 */
export async function linger(request: IncomingMessage): Promise<void> {
  if (request.complete) return;
  const isWhole = await dropRestOfBody(request, { patienceMs: LINGER_MS });
  if (!isWhole) request.socket.destroy();
}
