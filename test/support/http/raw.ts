import net from 'node:net';
import { onTestFinished } from 'vitest';
import { PATIENCE_MS } from '../patience.ts';

/** An answer as it came through the socket. */
export interface RawAnswer {
  status: number;
  /** Names in lower case; a name that came twice has both values, joined by a comma. */
  headers: Record<string, string>;
  body: string;
}

/** Opens a connection that is gone after the test. */
export async function openSocket(port: number): Promise<net.Socket> {
  const socket = net.connect(port, '127.0.0.1');
  onTestFinished(() => void socket.destroy());
  socket.on('error', () => undefined);
  await new Promise<void>((resolve, reject) => {
    socket.once('connect', resolve);
    socket.once('error', reject);
  });
  return socket;
}

/** Writes `lines` as one request head, as they are: nothing normalises a path on the way. */
export function writeHead(socket: net.Socket, requestLine: string, headers: readonly string[] = []): void {
  socket.write(Buffer.from([requestLine, 'Host: test', ...headers, '', ''].join('\r\n'), 'latin1'));
}

/**
 * Sends a request and reads its answer: to the end of its body if it says how
 * long that is, else to the end of the connection, which the server is asked
 * for unless `headers` have a `Connection` of their own.
 */
export async function rawRequest(
  port: number,
  requestLine: string,
  headers: readonly string[] = [],
): Promise<RawAnswer> {
  const socket = await openSocket(port);
  const hasConnection = headers.some((header) => /^connection:/i.test(header));
  writeHead(socket, requestLine, hasConnection ? headers : [...headers, 'Connection: close']);
  return parseAnswer(await readUntil(socket, isWhole));
}

/** `GET` of a path that goes over the wire as it stands here, byte for byte. */
export function rawGet(port: number, path: string, headers: readonly string[] = []): Promise<RawAnswer> {
  return rawRequest(port, `GET ${path} HTTP/1.1`, headers);
}

/** The headers of a correct handshake. */
export const HANDSHAKE = [
  'Upgrade: websocket',
  'Connection: Upgrade',
  'Sec-WebSocket-Version: 13',
  'Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==',
];

/** Sends a handshake and resolves with the head of the answer, while the connection stays open. */
export async function rawHandshake(
  port: number,
  path: string,
  headers: readonly string[] = [],
): Promise<RawAnswer & { socket: net.Socket }> {
  const socket = await openSocket(port);
  writeHead(socket, `GET ${path} HTTP/1.1`, [...HANDSHAKE, ...headers]);
  return { ...parseAnswer(await readHead(socket)), socket };
}

/** Resolves with everything that comes until the other side closes. */
export function readToEnd(socket: net.Socket): Promise<Buffer> {
  return readUntil(socket, () => false);
}

/** Resolves with what has come as soon as it has a whole head in it. */
export function readHead(socket: net.Socket): Promise<Buffer> {
  return readUntil(socket, (chunks) => Buffer.concat(chunks).includes('\r\n\r\n'));
}

function readUntil(socket: net.Socket, isEnough: (chunks: readonly Buffer[]) => boolean): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    const timer = setTimeout(() => {
      const seen = JSON.stringify(Buffer.concat(chunks).toString('latin1', 0, 300));
      reject(new Error(`the server had not closed the connection after ${PATIENCE_MS} ms; it sent ${seen}`));
    }, PATIENCE_MS);
    const finish = () => {
      clearTimeout(timer);
      socket.off('data', take).off('close', finish).off('end', finish);
      resolve(Buffer.concat(chunks));
    };
    const take = (chunk: Buffer) => {
      chunks.push(chunk);
      if (isEnough(chunks)) finish();
    };
    socket.on('data', take).once('end', finish).once('close', finish);
    if (socket.destroyed) finish();
  });
}

/** Takes an answer apart; a chunked body is put together. */
export function parseAnswer(bytes: Buffer): RawAnswer {
  const text = bytes.toString('latin1');
  const headEnd = text.indexOf('\r\n\r\n');
  if (headEnd === -1) throw new Error(`not an HTTP answer: ${JSON.stringify(text.slice(0, 300))}`);
  const [statusLine = '', ...lines] = text.slice(0, headEnd).split('\r\n');
  const headers: Record<string, string> = {};
  for (const line of lines) {
    const colon = line.indexOf(':');
    const name = line.slice(0, colon).toLowerCase();
    const value = line.slice(colon + 1).trim();
    headers[name] = name in headers ? `${headers[name]}, ${value}` : value;
  }
  const rest = bytes.subarray(headEnd + 4);
  const body = headers['transfer-encoding'] === 'chunked' ? dechunk(rest) : rest;
  return { status: Number(statusLine.split(' ')[1]), headers, body: body.toString() };
}

function isWhole(chunks: readonly Buffer[]): boolean {
  const bytes = Buffer.concat(chunks);
  const headEnd = bytes.indexOf('\r\n\r\n');
  if (headEnd === -1) return false;
  const length = /\r\ncontent-length: *(\d+)\r\n/i.exec(bytes.toString('latin1', 0, headEnd + 2))?.[1];
  return length !== undefined && bytes.length >= headEnd + 4 + Number(length);
}

function dechunk(bytes: Buffer): Buffer {
  const chunks: Buffer[] = [];
  for (let at = 0; at < bytes.length; ) {
    const lineEnd = bytes.indexOf('\r\n', at);
    const length = Number.parseInt(bytes.toString('latin1', at, lineEnd), 16);
    chunks.push(bytes.subarray(lineEnd + 2, lineEnd + 2 + length));
    at = lineEnd + 2 + length + 2;
  }
  return Buffer.concat(chunks);
}
