import { once, setMaxListeners } from 'node:events';
import net, { type AddressInfo, type Server, type Socket } from 'node:net';
import { onTestFinished } from 'vitest';
import type { Random } from '../random.ts';
import {
  ChaosConnection,
  type ChaosContext,
  type ChaosSettings,
  FAULTS,
  type Fault,
  reset,
} from './connection.ts';

/** Request header that names a client: its first connection is spared until it is open. */
export const CLIENT_HEADER = 'X-Chaos-Client';

/** The head of the server's answer and its first message fit into this. */
const SPARED_BYTES = 1024;

/** A network that does everything wrong that TCP allows. */
export const DEFAULT_CHAOS: ChaosSettings = {
  weights: {
    cut: 6,
    resetClient: 2,
    resetServer: 2,
    resetBoth: 2,
    halfClose: 3,
    stall: 8,
    stallThenCut: 2,
    forgetClient: 3,
    forgetClientThenDeliver: 3,
    forgetServer: 2,
    split: 8,
    duplicate: 3,
    duplicateLate: 2,
  },
  betweenFaults: [1, 1_500_000],
  maxStallMs: 200,
  maxLingerMs: 400,
};

/** A network without random faults, for tests that make them by hand. */
export const NO_CHAOS: ChaosSettings = {
  ...DEFAULT_CHAOS,
  betweenFaults: [Number.MAX_SAFE_INTEGER / 4, Number.MAX_SAFE_INTEGER / 4],
};

/**
 * A TCP proxy before a server. It forwards bytes, and at random places it does
 * what networks and proxies do: see {@link FAULTS}. What happens on a
 * connection, and after how many bytes, follows from the seed and the number of
 * the connection.
 */
export class ChaosProxy {
  /** Where new connections go. */
  targetPort: number;
  /** While true, no faults happen by themselves. */
  isCalm = false;
  /** How often each fault happened, and `connection`, `refusal`, `splitByte`. */
  readonly counts: Record<Fault | 'connection' | 'refusal' | 'splitByte', number>;
  readonly #server: Server;
  readonly #random: Random;
  readonly #settings: ChaosSettings;
  readonly #connections = new Set<ChaosConnection>();
  readonly #sockets = new Set<Socket>();
  /** The newest handshake of each client that says who it is. */
  readonly #handshakes = new Map<string, string>();
  readonly #closing = new AbortController();
  #isRefusing = false;

  private constructor(targetPort: number, random: Random, settings: ChaosSettings) {
    this.targetPort = targetPort;
    this.#random = random;
    this.#settings = settings;
    // One for each sleep.
    setMaxListeners(0, this.#closing.signal);
    const faults = Object.fromEntries(FAULTS.map((fault) => [fault, 0])) as Record<Fault, number>;
    this.counts = { connection: 0, refusal: 0, splitByte: 0, ...faults };
    this.#server = net.createServer({ allowHalfOpen: true, noDelay: true }, (socket) => this.#accept(socket));
  }

  /** Listens on a free port until `close`, or the end of the test. */
  static async start(
    targetPort: number,
    random: Random,
    settings: ChaosSettings = DEFAULT_CHAOS,
  ): Promise<ChaosProxy> {
    const proxy = new ChaosProxy(targetPort, random, settings);
    proxy.#server.listen(0, '127.0.0.1');
    await once(proxy.#server, 'listening');
    onTestFinished(() => proxy.close());
    return proxy;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  url(path: string): string {
    return `http://127.0.0.1:${this.port}${path}`;
  }

  /** All faults that happened. */
  get faultCount(): number {
    return FAULTS.reduce((sum, fault) => sum + this.counts[fault], 0);
  }

  /** Sockets that are open now, on either side. */
  get socketCount(): number {
    return this.#sockets.size;
  }

  /** For messages: the seed and what happened. */
  describe(): string {
    const counts = Object.entries(this.counts).filter(([, count]) => count > 0);
    return `seed ${this.#random.seed} (HTTPFSTREAM_SEED), ${this.faultCount} faults: ${counts.map(([name, count]) => `${name} ${count}`).join(', ')}`;
  }

  /** FIN to both sides of every connection. */
  cutAll(): void {
    for (const connection of this.#connections) connection.cut();
  }

  /** RST to both sides of every connection. */
  resetAll(): void {
    for (const { client, server } of this.#connections) {
      reset(client);
      reset(server);
    }
  }

  /** Nothing passes on the connections that there are, neither bytes nor ends. */
  stallAll(): void {
    for (const connection of this.#connections) connection.stall();
  }

  /** Takes {@link stallAll} back. */
  resumeAll(): void {
    for (const connection of this.#connections) connection.resume();
  }

  /** Whether new connections are reset at once. */
  refuse(isRefusing: boolean): void {
    this.#isRefusing = isRefusing;
  }

  /**
   * Says the newest handshake of each client once more to the server, and cuts
   * it off when it was answered. Only of clients that say who they are.
   */
  async repeatHandshakes(): Promise<void> {
    const answers = [...this.#handshakes.values()].map(async (head) => {
      const socket = net.connect({ host: '127.0.0.1', port: this.targetPort });
      this.#keep(socket);
      socket.on('error', () => undefined).write(head, 'latin1');
      await new Promise((resolve) => socket.once('data', resolve).once('close', resolve));
      socket.destroy();
    });
    await Promise.all(answers);
  }

  /** Cuts everything and takes nothing any more. Idempotent. */
  async close(): Promise<void> {
    this.#closing.abort();
    for (const connection of this.#connections) connection.break();
    const closed = [...this.#sockets].map((socket) => once(socket.destroy(), 'close'));
    if (this.#server.listening) closed.push(once(this.#server.close(), 'close'));
    await Promise.all(closed);
  }

  #accept(client: Socket): void {
    client.on('error', () => undefined);
    if (this.#isRefusing || this.#closing.signal.aborted) {
      this.counts.refusal++;
      reset(client);
      return;
    }
    const context: ChaosContext = {
      settings: this.#settings,
      targetPort: () => this.targetPort,
      isCalm: () => this.isCalm,
      sparedBytes: (head) => this.#sparedBytes(head),
      count: (event) => {
        this.counts[event]++;
      },
      signal: this.#closing.signal,
      keep: (socket) => this.#keep(socket),
    };
    const connection = new ChaosConnection(client, this.#random.fork(this.counts.connection++), context);
    this.#connections.add(connection);
    const forget = () => {
      if (client.destroyed && connection.server.destroyed) this.#connections.delete(connection);
    };
    client.once('close', forget);
    connection.server.once('close', forget);
  }

  #keep(socket: Socket): void {
    this.#sockets.add(socket);
    socket.once('close', () => this.#sockets.delete(socket));
  }

  #sparedBytes(head: string): number {
    const client = new RegExp(`^${CLIENT_HEADER}: *(.*?)\r$`, 'im').exec(head)?.[1];
    if (client === undefined) return 0;
    const isFirst = !this.#handshakes.has(client);
    this.#handshakes.set(client, head);
    return isFirst ? SPARED_BYTES : 0;
  }
}
