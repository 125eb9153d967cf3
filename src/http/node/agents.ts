import http, { type Agent, type ClientRequest } from 'node:http';
import https from 'node:https';
import type { Socket } from 'node:net';

const OPTIONS = {
  keepAlive: true,
  // Probes: without them nobody would notice that a server which is silent for long is gone.
  keepAliveInitialDelay: 30_000,
  // Idle connections are closed before servers usually do that, in the middle of the next request.
  timeout: 4_000,
};

/** Agents that keep connections for the next request. */
export function keepAliveAgents(): { http: Agent; https: https.Agent } {
  return { http: watchingIdle(new http.Agent(OPTIONS)), https: watchingIdle(new https.Agent(OPTIONS)) };
}

/** The documented hooks of an agent, which its types have not. */
interface Hooks {
  keepSocketAlive(socket: Socket): boolean;
  reuseSocket(socket: Socket, request: ClientRequest): void;
}

/** Closes connections on which something comes that nobody has asked for (RFC 9112, section 9.2). */
function watchingIdle<T extends Agent>(agent: T): T {
  const hooks = agent as unknown as Hooks;
  const keep = hooks.keepSocketAlive.bind(agent);
  const reuse = hooks.reuseSocket.bind(agent);
  hooks.keepSocketAlive = (socket) => {
    socket.on('data', destroy);
    return keep(socket);
  };
  hooks.reuseSocket = (socket, request) => {
    socket.off('data', destroy);
    reuse(socket, request);
  };
  return agent;
}

function destroy(this: Socket): void {
  this.destroy();
}
