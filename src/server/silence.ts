import type { Socket } from 'node:net';
import { TCP_KEEP_ALIVE_MS } from '../protocol.ts';

/** Lets a client say nothing, and take nothing, for as long as it likes; the system finds out whether its machine is still there. */
export function allowSilence(socket: Socket): void {
  socket.setTimeout(0);
  socket.setKeepAlive(true, TCP_KEEP_ALIVE_MS);
}
