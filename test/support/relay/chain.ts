import { ChaosProxy, NO_CHAOS } from '../chaos/proxy.ts';
import type { Random } from '../random.ts';
import { InProcessServer, type RestartableServer } from '../server/restartable-server.ts';
import { temporaryDirectory } from '../server/server.ts';
import { ServerProcess } from '../server/server-process.ts';

/** How the servers of a chain run: restarted in order within this process, or as processes that are killed. */
export type ChainKind = 'in this process' | 'processes';

/**
 * An origin and relays one behind the other, with a network before each of them that can be cut. The first is the
 * origin.
 */
export class RelayChain {
  readonly servers: readonly RestartableServer[];
  /** The network before each server. */
  readonly networks: readonly ChaosProxy[];

  private constructor(servers: readonly RestartableServer[], networks: readonly ChaosProxy[]) {
    this.servers = servers;
    this.networks = networks;
  }

  /** Runs one until the test is over. */
  static async start(relayCount: number, kind: ChainKind, random: Random): Promise<RelayChain> {
    const servers: RestartableServer[] = [];
    const networks: ChaosProxy[] = [];
    for (let i = 0; i <= relayCount; i++) {
      const server = await startServer(kind, networks.at(-1)?.url(''));
      servers.push(server);
      networks.push(await ChaosProxy.start(server.port, random.fork(i), NO_CHAOS));
    }
    return new RelayChain(servers, networks);
  }

  /** Where a path is reached at a server, by way of its network. */
  url(index: number, urlPath: string): string {
    return this.network(index).url(urlPath);
  }

  server(index: number): RestartableServer {
    return this.servers[index] as RestartableServer;
  }

  network(index: number): ChaosProxy {
    return this.networks[index] as ChaosProxy;
  }

  async restart(index: number): Promise<void> {
    const server = this.server(index);
    await server.restart();
    this.network(index).targetPort = server.port;
  }
}

async function startServer(kind: ChainKind, upstream: string | undefined): Promise<RestartableServer> {
  if (kind === 'in this process') {
    return InProcessServer.start(upstream === undefined ? {} : { upstreams: [upstream] });
  }
  const args = upstream === undefined ? [] : ['-upstream', upstream];
  return ServerProcess.start(await temporaryDirectory(), args);
}
