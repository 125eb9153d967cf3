import http, { type Agent, type ClientRequest } from 'node:http';
import type { Agent as HttpsAgent } from 'node:https';
import type { Socket } from 'node:net';

const OPTIONS = {
  keepAlive: true,
  // Probes: without them nobody would notice that a server which is silent for long is gone.
  keepAliveInitialDelay: 30_000,
  // Idle connections are closed before servers usually do that, in the middle of the next request.
  timeout: 4_000,
};

/** Loaded when it is needed: it takes longer than all the rest. */
export const https = () => process.getBuiltinModule('node:https');

/** Those of one's own; for the other protocol there are agents that keep connections. */
export interface Agents {
  http?: Agent;
  https?: HttpsAgent;
}

/** Agents that keep connections for the next request. */
export class KeepAliveAgents {
  readonly #agents: { http?: Agent; https?: Agent } = {};

  get http(): Agent {
    this.#agents.http ??= watchingIdle(new http.Agent(OPTIONS));
    return this.#agents.http;
  }

  get https(): Agent {
    this.#agents.https ??= watchingIdle(new (https().Agent)(OPTIONS));
    return this.#agents.https;
  }

  /** Closes all connections. */
  close(): void {
    this.#agents.http?.destroy();
    this.#agents.https?.destroy();
  }
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
