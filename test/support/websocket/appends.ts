import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { onTestFinished } from 'vitest';
import WebSocket from 'ws';
import { PATIENCE_MS } from '../patience.ts';
import type { TestServer } from '../server/server.ts';
import { waitFor } from '../wait-for.ts';

/** Where a server can be connected to, and where its files are. */
export type Target = Pick<TestServer, 'url' | 'root'>;

const payloads = new WeakMap<WebSocket, Buffer[]>();

/** Like {@link connectWebSocket}, but the connection is gone after the test. */
export async function openWebSocket(...args: Parameters<typeof connectWebSocket>): Promise<WebSocket> {
  const websocket = await connectWebSocket(...args);
  onTestFinished(() => websocket.terminate());
  return websocket;
}

/** Connects with a verb; resolves once the server has upgraded. To be closed by the caller, or the server. */
export async function connectWebSocket(
  target: Pick<Target, 'url'>,
  urlPath: string,
  verb: 'APPEND' | 'FOLLOW',
  options: WebSocket.ClientOptions = {},
): Promise<WebSocket> {
  const websocket = new WebSocket(target.url(urlPath), {
    headers: { 'x-verb': verb },
    perMessageDeflate: false,
    skipUTF8Validation: true,
    handshakeTimeout: PATIENCE_MS,
    ...options,
  });
  websocket.on('error', () => undefined);
  const messages: Buffer[] = [];
  websocket.on('message', (message: Buffer) => messages.push(message));
  payloads.set(websocket, messages);
  await new Promise<void>((resolve, reject) => {
    websocket.once('open', resolve);
    websocket.once('unexpected-response', (_request, response) => {
      websocket.terminate();
      reject(new Error(`${verb} ${urlPath}: HTTP status ${response.statusCode}`));
    });
    websocket.once('error', reject);
  });
  return websocket;
}

/** Opens an append, with the first bytes if there are any, which are in the file afterwards. */
export async function openAppender(target: Target, urlPath: string, bytes?: string): Promise<WebSocket> {
  const websocket = await openWebSocket(target, urlPath, 'APPEND');
  if (bytes !== undefined) await sendBytes(websocket, target, urlPath, bytes);
  return websocket;
}

/** Sends bytes through an append; they are committed afterwards. */
export async function sendBytes(
  websocket: WebSocket,
  target: Target,
  urlPath: string,
  bytes: string,
): Promise<void> {
  websocket.send(bytes);
  await waitFor(async () => (await fileText(target, urlPath)).endsWith(bytes), `${bytes} in ${urlPath}`);
  // In the file is not yet committed.
  const answered = async () => (await (await fetch(target.url(urlPath))).text()).endsWith(bytes);
  await waitFor(answered, `${bytes} to be committed`);
}

/** Appends bytes and ends; they are in the file, and the append is over, afterwards. */
export async function appendAll(target: Target, urlPath: string, bytes: string | Buffer): Promise<void> {
  const websocket = await connectWebSocket(target, urlPath, 'APPEND');
  websocket.send(bytes);
  await closeWebSocket(websocket).finally(() => websocket.terminate());
}

/** Closes cleanly and waits for the server's answer. */
export async function closeWebSocket(websocket: WebSocket): Promise<void> {
  const closed = closeOf(websocket);
  websocket.close(1000);
  await closed;
}

/** How a connection is closed by the server. Ask before it can have happened. */
export function closeOf(websocket: WebSocket): Promise<{ code: number; reason: string }> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`not closed after ${PATIENCE_MS} ms`)), PATIENCE_MS);
    websocket.once('close', (code, reason) => {
      clearTimeout(timer);
      resolve({ code, reason: reason.toString() });
    });
  });
}

/** What has come through a connection that {@link openWebSocket} made. */
export function payloadOf(websocket: WebSocket): string {
  return Buffer.concat(payloads.get(websocket) ?? []).toString();
}

/** The content of the file that a simple URL path names; empty while there is none. */
export async function fileText({ root }: Pick<Target, 'root'>, urlPath: string): Promise<string> {
  return readFile(path.join(root, urlPath), 'utf8').catch(() => '');
}
