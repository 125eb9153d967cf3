import diagnostics from 'node:diagnostics_channel';
import type { IncomingMessage, Server } from 'node:http';
import type { Socket } from 'node:net';
import { Server as TlsServer } from 'node:tls';

/** What a parser gets for the head of a request after which nothing is to be parsed. */
const NOTHING_FOLLOWS = 2;

/** Published by Node whenever a server begins to listen. */
const LISTEN_CHANNEL = 'tracing:net.server.listen:asyncStart';

type OnIncoming = (request: IncomingMessage & { upgrade?: boolean }, keepAlive: boolean) => number;

/** With the field that Node keeps on it, as long as it speaks HTTP/1.1. */
type HttpSocket = Socket & { parser?: { onIncoming: OnIncoming } | null };

const servers = new WeakSet<Server>();
/** Of those servers. */
const requestListeners = new WeakSet<object>();

/**
 * Has Node hand over the connections of a server that ask for an upgrade when the head of the request has come, as it
 * does up to version 24. Later ones go on to parse the body, and hand over a stream of their own while it is under way,
 * which gives neither the body as it came nor the connection.
 *
 * So do servers that listen later with the same request listener: Fastify's second one for `localhost`, which it gives
 * to nobody.
 */
export function handOverAtHead(server: Server): void {
  // Once for all servers.
  diagnostics.unsubscribe(LISTEN_CHANNEL, includeSecond);
  diagnostics.subscribe(LISTEN_CHANNEL, includeSecond);
  servers.add(server);
  for (const listener of server.listeners('request')) requestListeners.add(listener);
  server.on(server instanceof TlsServer ? 'secureConnection' : 'connection', stopAtHead);
}

function includeSecond(message: unknown): void {
  const { server } = message as { server: Server };
  const isSecond = server.listeners('request').some((listener) => requestListeners.has(listener));
  if (isSecond && !servers.has(server)) handOverAtHead(server);
}

/** Called after Node's own listener, which has given the connection its parser. */
function stopAtHead({ parser }: HttpSocket): void {
  if (parser == null) return;
  const { onIncoming } = parser;
  parser.onIncoming = (request, keepAlive) => {
    const result = onIncoming(request, keepAlive);
    return request.upgrade === true ? NOTHING_FOLLOWS : result;
  };
}
