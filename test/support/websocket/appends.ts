import { readFile } from 'node:fs/promises';
import path from 'node:path';
import type { TestServer } from '../server/server.ts';
import { waitFor } from '../wait-for.ts';
import { Peer } from './peer.ts';

/** Where a server can be connected to, and where its files are. */
export type Target = Pick<TestServer, 'url' | 'root'>;

/** Opens an append, with the first bytes if there are any, which are in the file afterwards. */
export async function openAppender(target: Target, urlPath: string, bytes?: string): Promise<Peer> {
  const appender = await Peer.connect(target.url(urlPath), 'APPEND');
  if (bytes !== undefined) await sendBytes(appender, target, urlPath, bytes);
  return appender;
}

/** Sends bytes through an append; they are committed afterwards. */
export async function sendBytes(
  appender: Peer,
  target: Target,
  urlPath: string,
  bytes: string,
): Promise<void> {
  await appender.send(bytes);
  await waitFor(async () => (await fileText(target, urlPath)).endsWith(bytes), `${bytes} in ${urlPath}`);
  // In the file is not yet committed.
  const answered = async () => (await (await fetch(target.url(urlPath))).text()).endsWith(bytes);
  await waitFor(answered, `${bytes} to be committed`);
}

/** Appends bytes and ends; they are in the file, and the append is over, afterwards. */
export async function appendAll(target: Target, urlPath: string, bytes: string | Buffer): Promise<void> {
  const appender = await Peer.open(target.url(urlPath), 'APPEND');
  await appender.send(bytes);
  await appender.finish().finally(() => appender.websocket.terminate());
}

/** The content of the file that a simple URL path names; empty while there is none. */
export async function fileText({ root }: Pick<Target, 'root'>, urlPath: string): Promise<string> {
  return readFile(path.join(root, urlPath), 'utf8').catch(() => '');
}
