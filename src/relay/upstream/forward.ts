import http, { type ClientRequest, type IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import { https, KeepAliveAgents } from '../../http/node/agents.ts';
import { proxyAgentFor } from '../../http/node/proxy-agent.ts';
import { TCP_KEEP_ALIVE_MS } from '../../wire/protocol.ts';

/** A request that is passed on. */
export interface Forwarded {
  method: string;
  headers: Readonly<Record<string, string | string[]>>;
  /** Whether it asks for a WebSocket. */
  isHandshake: boolean;
}

/** An answer: a response, or, for a handshake, the connection. */
export interface ForwardedAnswer {
  response: IncomingMessage;
  socket: Socket | undefined;
  /** What has come with it. */
  head: Buffer;
}

const NOTHING: Buffer = Buffer.alloc(0);

/** Sends requests as they are: with no redirects, no decoding, and the bytes of both sides untouched. */
export class Forwarder {
  readonly #agents = new KeepAliveAgents();

  /**
   * Begins a request, whose body the caller sends.
   *
   * @throws {TypeError} for what Node does not send, and for a proxy in the environment that is none
   */
  begin(url: URL, { method, headers, isHandshake }: Forwarded): ClientRequest {
    const isHttps = url.protocol === 'https:';
    const over = new AbortController();
    // A connection that becomes a tunnel is nobody else's.
    const own = isHandshake ? false : this.#agents[isHttps ? 'https' : 'http'];
    const upgrade = isHandshake ? { connection: 'upgrade', upgrade: 'websocket' } : {};
    return (isHttps ? https() : http)
      .request(url, {
        method,
        headers: { ...headers, ...upgrade },
        agent: proxyAgentFor(url, over.signal) ?? own,
      })
      .once('close', () => over.abort());
  }

  /** Closes its connections, but for those that became tunnels. */
  close(): void {
    this.#agents.close();
  }
}

/**
 * Whether the server may have closed the connection, which had been idle, without having seen the request: what changes
 * nothing there can be asked again.
 *
 * @param error what the request has failed with, before its answer
 */
export function isStale({ reusedSocket }: ClientRequest, error: unknown): boolean {
  const { code } = error as NodeJS.ErrnoException;
  return reusedSocket && (code === 'ECONNRESET' || code === 'EPIPE');
}

/**
 * The answer to a request, when it has begun.
 *
 * @throws what goes wrong before
 */
export function answerTo(request: ClientRequest): Promise<ForwardedAnswer> {
  return new Promise((resolve, reject) => {
    request
      .once('response', (response) => {
        // What goes wrong after the head is told to the request only: without this a cut looks like an end.
        request.on('error', (error) => response.destroy(error));
        resolve({ response, socket: undefined, head: NOTHING });
      })
      .once('upgrade', (response, duplex, head) => {
        const socket = duplex as Socket;
        socket.setTimeout(0);
        socket.setKeepAlive(true, TCP_KEEP_ALIVE_MS);
        resolve({ response, socket, head });
      })
      .on('error', reject);
  });
}
