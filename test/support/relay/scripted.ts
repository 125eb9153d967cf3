import net, { type AddressInfo, type Socket } from 'node:net';
import { onTestFinished } from 'vitest';

/** A request as it came. */
export interface ScriptedRequest {
  /** `GET /path`. */
  line: string;
  /** Names in lower case. */
  headers: Record<string, string>;
  /** Which one it is, from 0. */
  number: number;
}

/** Answers a request: what it writes goes out as it is. */
export type Script = (request: ScriptedRequest, socket: Socket) => void;

/** A server that says exactly what a test has it say, true or not. */
export class ScriptedServer {
  readonly requests: ScriptedRequest[] = [];
  readonly #server: net.Server;
  #script: Script;

  private constructor(script: Script) {
    this.#script = script;
    this.#server = net.createServer((socket) => this.#serve(socket));
  }

  /** Runs one until the test is over. Default: on a port that is free. */
  static async start(script: Script, port = 0): Promise<ScriptedServer> {
    const server = new ScriptedServer(script);
    server.#server.listen(port, '127.0.0.1');
    await new Promise((resolve) => server.#server.once('listening', resolve));
    onTestFinished(() => void server.#server.close());
    return server;
  }

  /** Without a slash at its end. */
  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** From now on it says something else. */
  set script(script: Script) {
    this.#script = script;
  }

  #serve(socket: Socket): void {
    socket.on('error', () => undefined);
    onTestFinished(() => void socket.destroy());
    let text = '';
    socket.on('data', (bytes) => {
      text += bytes.toString('latin1');
      for (let end = text.indexOf('\r\n\r\n'); end !== -1; end = text.indexOf('\r\n\r\n')) {
        const request = { ...parsed(text.slice(0, end)), number: this.requests.length };
        text = text.slice(end + 4);
        this.requests.push(request);
        this.#script(request, socket);
      }
    });
  }
}

function parsed(head: string): Pick<ScriptedRequest, 'line' | 'headers'> {
  const [first = '', ...lines] = head.split('\r\n');
  const headers = lines.map((line) => {
    const colon = line.indexOf(':');
    return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()] as const;
  });
  return { line: first.replace(/ HTTP.*$/, ''), headers: Object.fromEntries(headers) };
}

/** A head of an answer. */
export function headOf(status: string, headers: Readonly<Record<string, string | number>> = {}): string {
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  return `HTTP/1.1 ${status}\r\n${lines.join('')}\r\n`;
}

/** Says a whole answer. */
export function say(
  socket: Socket,
  status: string,
  headers: Readonly<Record<string, string | number>>,
  body: Buffer | string,
): void {
  socket.write(headOf(status, { 'Content-Length': Buffer.byteLength(body), ...headers }));
  socket.write(body);
}

/** As chunks, with the last one. */
export function chunked(...parts: readonly (Buffer | string)[]): Buffer {
  const chunks = parts.map((part) => {
    const bytes = Buffer.from(part);
    return Buffer.concat([Buffer.from(`${bytes.length.toString(16)}\r\n`), bytes, Buffer.from('\r\n')]);
  });
  return Buffer.concat([...chunks, Buffer.from('0\r\n\r\n')]);
}

/** The position at which the range of a request begins; 0 without one. */
export function rangeStart({ headers }: ScriptedRequest): number {
  return Number(/^bytes=(\d+)-/.exec(headers.range ?? '')?.[1] ?? 0);
}
