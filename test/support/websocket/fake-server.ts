import { createServer, type IncomingHttpHeaders, type IncomingMessage } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { onTestFinished } from 'vitest';
import { type WebSocket, WebSocketServer } from 'ws';
import { type ControlMessage, GENERATION_HEADER, SUBPROTOCOL } from '../../../src/wire/protocol.ts';

/** One client's connection to a {@link FakeServer}. */
export class FakeConnection {
  readonly websocket: WebSocket;
  readonly socket: Socket;
  /** What the client asked for. */
  readonly query: URLSearchParams;
  readonly headers: IncomingHttpHeaders;
  /** The bytes of its binary messages. */
  readonly received: Buffer[] = [];
  textMessages = 0;
  /** The code of its close frame. */
  closeCode: number | undefined;

  constructor(websocket: WebSocket, request: IncomingMessage) {
    this.websocket = websocket;
    this.socket = request.socket;
    this.headers = request.headers;
    this.query = new URL(request.url ?? '', 'http://fake').searchParams;
    websocket.on('error', () => undefined);
    websocket.on('message', (bytes: Buffer, isBinary) => {
      if (isBinary) this.received.push(bytes);
      else this.textMessages++;
    });
    websocket.once('close', (code) => {
      this.closeCode = code;
    });
  }

  get bytes(): Buffer {
    return Buffer.concat(this.received);
  }

  get byteCount(): number {
    return this.received.reduce((sum, { length }) => sum + length, 0);
  }

  /** Sends a control message, a right one. */
  tell(message: ControlMessage): void {
    this.websocket.send(JSON.stringify(message));
  }

  /** Sends any text. */
  say(text: string): void {
    this.websocket.send(text);
  }

  send(bytes: Buffer | string): void {
    this.websocket.send(Buffer.from(bytes), { binary: true });
  }

  /** Breaks the connection without a word. */
  cut(): void {
    this.socket.destroy();
  }
}

/** Does as a test wants to a client of the subprotocol, connection by connection. */
export class FakeServer {
  /** In the order in which they were accepted. */
  readonly connections: FakeConnection[] = [];
  /** Sockets that are open. */
  readonly sockets = new Set<Socket>();
  /** The queries of all handshakes, also of those that were refused. */
  readonly queries: URLSearchParams[] = [];
  /** From now on it knows no subprotocol. */
  isLegacy = false;
  readonly #server = createServer();

  /**
   * Listens until the test is over.
   *
   * @param serve is called with each connection that was accepted and its number, from 0
   * @param refusal what to answer a handshake in place of 101, if anything
   */
  static async start(
    serve: (connection: FakeConnection, number: number) => void,
    refusal: (number: number) => string | undefined = () => undefined,
    { autoPong = true } = {},
  ): Promise<FakeServer> {
    const fake = new FakeServer();
    const acceptor = new WebSocketServer({
      noServer: true,
      autoPong,
      handleProtocols: (offered) => (!fake.isLegacy && offered.has(SUBPROTOCOL) ? SUBPROTOCOL : false),
    });
    fake.#server.on('connection', (socket) => {
      fake.sockets.add(socket);
      socket.on('error', () => undefined);
      socket.once('close', () => fake.sockets.delete(socket));
    });
    fake.#server.on('upgrade', (request, socket: Socket, head) => {
      const number = fake.queries.push(new URL(request.url ?? '', 'http://fake').searchParams) - 1;
      const answer = refusal(number);
      if (answer !== undefined) {
        socket.end(`HTTP/1.1 ${answer} Refused\r\nContent-Length: 0\r\nConnection: close\r\n\r\n`);
        return;
      }
      acceptor.handleUpgrade(request, socket, head, (websocket) => {
        const connection = new FakeConnection(websocket, request);
        fake.connections.push(connection);
        serve(connection, fake.connections.length - 1);
      });
    });
    // It is an httpfstream server for who asks over HTTP, too.
    fake.#server.on('request', (_request, response) => response.setHeader(GENERATION_HEADER, 1).end());
    await new Promise<void>((resolve) => fake.#server.listen(0, '127.0.0.1', resolve));
    onTestFinished(() => {
      for (const socket of fake.sockets) socket.destroy();
      fake.#server.close();
    });
    return fake;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/a`;
  }

  /** A connection that was accepted; throws when there is none. */
  connection(number: number): FakeConnection {
    const connection = this.connections[number];
    if (connection === undefined) throw new Error(`there is no connection ${number}`);
    return connection;
  }
}
