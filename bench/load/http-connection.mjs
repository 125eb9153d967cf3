import { once } from 'node:events';
import net from 'node:net';
import { ResponseReader } from './response-reader.mjs';

const ANSWER_TIMEOUT_MS = 60_000;

/** Connections that are opened at a time. */
const PARALLEL_CONNECTS = 64;

/** All connections read into this one: what came is looked at once and forgotten. */
const sharedBuffer = Buffer.alloc(256 * 1024);

/** One keep-alive connection, with requests made beforehand and a reader that only finds ends. */
export class HttpConnection {
  #socket;
  #reader;
  /** Called when the connection fails, or is closed by the server. */
  onFailure = () => {};

  constructor(socket, reader) {
    this.#socket = socket;
    this.#reader = reader;
  }

  /** @param {{ isHead?: boolean }} options of the connection's {@link ResponseReader} */
  static async open(port, options) {
    const reader = new ResponseReader(options);
    let connection;
    const socket = net.connect({
      port,
      host: '127.0.0.1',
      noDelay: true,
      onread: {
        buffer: sharedBuffer,
        callback: (length, chunk) => {
          try {
            reader.push(chunk, length);
          } catch (error) {
            socket.destroy(error);
          }
          return true;
        },
      },
    });
    await once(socket, 'connect');
    connection = new HttpConnection(socket, reader);
    socket.on('error', (error) => connection.onFailure(error));
    socket.on('close', () => connection.onFailure(new Error('the server closed a connection')));
    return connection;
  }

  /** Gets what comes: see {@link ResponseReader}. */
  get reader() {
    return this.#reader;
  }

  /** Sends the bytes of a request, whose answer goes to the reader. */
  send(request) {
    this.#socket.write(request);
  }

  /** Sends a request and resolves with its answer's `{ status, head, body }`; not for a loop that is timed. */
  async ask(request) {
    const parts = [];
    let timer;
    const answered = new Promise((resolve, reject) => {
      timer = setTimeout(
        () => reject(new Error(`no answer after ${ANSWER_TIMEOUT_MS} ms`)),
        ANSWER_TIMEOUT_MS,
      );
      this.onFailure = reject;
      this.#reader.onBody = (chunk, from, to) => parts.push(Buffer.from(chunk.subarray(from, to)));
      this.#reader.onResponse = (status, head) => resolve({ status, head, body: Buffer.concat(parts) });
    });
    this.send(request);
    try {
      return await answered;
    } finally {
      clearTimeout(timer);
      this.onFailure = () => {};
      this.#reader.onBody = () => {};
      this.#reader.onResponse = () => {};
    }
  }

  /** As {@link ask}, and throws for a status other than the wanted ones. */
  async expect(request, ...statuses) {
    const answer = await this.ask(request);
    if (statuses.includes(answer.status)) return answer;
    const asked = request.toString('latin1', 0, request.indexOf('\r\n'));
    throw new Error(`${asked}: ${answer.status} ${answer.body.toString('utf8').slice(0, 200)}`);
  }

  /** Reads nothing any more, without a word to the server. */
  stall() {
    this.#socket.pause();
  }

  close() {
    this.onFailure = () => {};
    this.#socket.destroy();
  }
}

/** Opens many connections, several at a time. */
export async function openConnections(port, count) {
  const connections = [];
  try {
    while (connections.length < count) {
      const wave = Math.min(PARALLEL_CONNECTS, count - connections.length);
      connections.push(...(await Promise.all(Array.from({ length: wave }, () => HttpConnection.open(port)))));
    }
  } catch (error) {
    closeAll(connections);
    throw error;
  }
  return connections;
}

export function closeAll(connections) {
  for (const connection of connections) connection.close();
}
