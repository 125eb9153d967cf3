import { once } from 'node:events';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import http from 'node:http';
import path from 'node:path';
import { expect, test } from 'vitest';
import { append, follow, openAppend } from '../../../src/client/index.ts';
import { ChaosProxy, NO_CHAOS } from '../../support/chaos/proxy.ts';
import { smallDisks } from '../../support/disk/small-disk.ts';
import { pattern } from '../../support/pattern.ts';
import { Random } from '../../support/random.ts';
import { startOrigin, startRelay } from '../../support/relay/origin.ts';
import { chunked, headOf, ScriptedServer, say } from '../../support/relay/scripted.ts';
import { InProcessServer } from '../../support/server/restartable-server.ts';
import { isThere, waitFor, waitForRemoval, waitForSize } from '../../support/wait-for.ts';
import { Peer } from '../../support/websocket/peer.ts';

async function bytesOf(stream: AsyncIterable<Buffer>): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk);
  return Buffer.concat(chunks);
}

test('a hundred who ask at the same time for what ends, and for what goes on, cost one request each', async () => {
  const origin = await startOrigin();
  const relay = await startRelay(origin.url(''));
  await append(relay.url('/ended'), [pattern(0, 300_000)]);
  const appender = openAppend(relay.url('/live'));
  appender.write(pattern(0, 1000));
  await waitForSize(path.join(origin.root, 'live'), 1000);
  const asked = origin.requests.length;
  const ended = Array.from({ length: 50 }, async () => (await fetch(relay.url('/ended'))).arrayBuffer());
  const followers = Array.from({ length: 50 }, () => follow(relay.url('/live')));
  const joined = followers.map((follower) => once(follower, 'open'));
  const live = followers.map(bytesOf);
  for (const bytes of await Promise.all(ended)) {
    expect(Buffer.from(bytes).equals(pattern(0, 300_000))).toBe(true);
  }
  // Who comes as it ends is passed on.
  await Promise.all(joined);
  appender.end(pattern(1000, 1_000_000));
  for (const bytes of await Promise.all(live)) expect(bytes.equals(pattern(0, 1_001_000))).toBe(true);
  // What has ended is looked at again after a second.
  const followed = origin.requests
    .slice(asked)
    .filter((request) => request.endsWith('FOLLOW WebSocket') && !request.includes('from='));
  expect(followed.sort()).toEqual(['GET /ended FOLLOW WebSocket', 'GET /live FOLLOW WebSocket']);
});

test('one who is slow, and one who goes, are no matter to the others, nor to what is kept', async () => {
  const origin = await startOrigin();
  const relay = await startRelay(origin.url(''));
  const size = 8 * 1024 * 1024;
  await writeFile(path.join(origin.root, 'f'), pattern(0, size));
  const first = http.get(relay.url('/f'), { agent: false });
  const [slow] = (await once(first, 'response')) as [http.IncomingMessage];
  const gone = follow(relay.url('/f'));
  await once(gone, 'readable');
  gone.destroy();
  const { headers } = slow;
  expect(headers['content-length']).toBe(String(size));
  expect((await bytesOf(follow(relay.url('/f')))).equals(pattern(0, size))).toBe(true);
  expect((await readFile(path.join(relay.root, 'f'))).equals(pattern(0, size))).toBe(true);
  expect((await bytesOf(slow)).equals(pattern(0, size))).toBe(true);
});

test('a download breaks when the rest of it does not come, through relays of relays', async () => {
  const origin = await startOrigin();
  const network = await ChaosProxy.start(origin.port, new Random(1), NO_CHAOS);
  const first = await startRelay(network.url(''));
  const second = await startRelay(first.url(''));
  await writeFile(path.join(origin.root, 'f'), pattern(0, 30_000_000));
  const request = http.get(second.url('/f'), { agent: false }).on('error', () => undefined);
  const [response] = (await once(request, 'response')) as [http.IncomingMessage];
  expect(response.headers['content-length']).toBe('30000000');
  await once(response, 'readable');
  network.refuse(true);
  network.resetAll();
  await fetch(origin.url('/f'), { method: 'DELETE' });
  network.refuse(false);
  await expect(bytesOf(response)).rejects.toMatchObject({ code: 'ECONNRESET' });
  await waitFor(async () => (await fetch(second.url('/f'))).status === 404, 'nothing of it to be left');
});

test('a follower that speaks no subprotocol gets what comes, and the end', async () => {
  const origin = await startOrigin();
  const relay = await startRelay(origin.url(''));
  const appender = openAppend(origin.url('/f'));
  appender.write('one ');
  await waitForSize(path.join(origin.root, 'f'), 4);
  const peer = await Peer.connect(relay.url('/f'), 'FOLLOW');
  await peer.until(() => peer.text === 'one ', 'what is there');
  appender.end('two');
  await peer.until(() => peer.closeCode !== undefined, 'the end');
  expect([peer.text, peer.closeCode]).toEqual(['one two', 1000]);
});

test.each(smallDisks())(
  'a disk that is full breaks its readers, tells new ones, and keeps nothing: %s',
  async (_kind, make) => {
    const origin = await startOrigin();
    await writeFile(path.join(origin.root, 'f'), pattern(0, 8 * 1024 * 1024));
    const disk = await make();
    const relay = await startRelay(origin.url(''), { root: disk.directory });
    await disk.fill(1024 * 1024);
    const first = bytesOf(follow(relay.url('/f'), { retry: false }));
    await expect(first).rejects.toMatchObject({
      code: expect.stringMatching(/INTERRUPTED|UNEXPECTED_STATUS/),
    });
    const statusOf = () =>
      fetch(relay.url('/f')).then(
        ({ status }) => status,
        () => 0,
      );
    await waitFor(async () => (await statusOf()) === 507, 'new ones to be told');
    await waitForRemoval(path.join(relay.root, 'f'));
  },
);

test('what is too long to be kept, or becomes so, is passed on to each, and is not on the disk', async () => {
  const origin = await startOrigin();
  const relay = await startRelay(origin.url(''), { upstreamMaxBytes: 100_000 });
  await writeFile(path.join(origin.root, 'long'), pattern(0, 200_000));
  expect((await bytesOf(follow(relay.url('/long')))).equals(pattern(0, 200_000))).toBe(true);
  const response = await fetch(relay.url('/long'));
  expect(Buffer.from(await response.arrayBuffer()).equals(pattern(0, 200_000))).toBe(true);
  expect(await isThere(path.join(relay.root, 'long'))).toBe(false);
  const appender = openAppend(origin.url('/growing'));
  appender.write(pattern(0, 50_000));
  await waitForSize(path.join(origin.root, 'growing'), 50_000);
  const follower = follow(relay.url('/growing'), { retry: { minDelayMs: 1 } });
  const bytes = bytesOf(follower);
  await waitForSize(path.join(relay.root, 'growing'), 50_000);
  appender.write(pattern(50_000, 100_000));
  await waitFor(() => follower.position === 150_000, 'all of it');
  appender.end();
  expect((await bytes).equals(pattern(0, 150_000))).toBe(true);
  await waitForRemoval(path.join(relay.root, 'growing'));
});

test('what becomes too long without having told its length goes on for who has asked first, and is not kept', async () => {
  const body = pattern(0, 1_000_000);
  const server = await ScriptedServer.start((_request, socket) => {
    socket.write(headOf('200 OK', { 'Transfer-Encoding': 'chunked', ETag: '"one"' }));
    const all = chunked(body);
    socket.write(all.subarray(0, 200_000));
    void waitFor(() => count > 150_000, 'the first part to be here').then(() =>
      socket.write(all.subarray(200_000)),
    );
  });
  const relay = await startRelay(server.url, { upstreamMaxBytes: 400_000 });
  let count = 0;
  const chunks: Uint8Array[] = [];
  const response = await fetch(relay.url('/f'));
  const joined = await fetch(relay.url('/f'));
  const others = expect(joined.arrayBuffer()).rejects.toThrow();
  for await (const chunk of response.body as unknown as AsyncIterable<Uint8Array>) {
    count += chunk.length;
    chunks.push(chunk);
  }
  expect(Buffer.concat(chunks).equals(body)).toBe(true);
  await others;
  expect(server.requests).toHaveLength(1);
  await waitForRemoval(path.join(relay.root, 'f'));
});

test('what becomes too long is let go when who has asked first goes', async () => {
  const closed: boolean[] = [];
  const server = await ScriptedServer.start((_request, socket) => {
    socket.once('close', () => closed.push(true));
    socket.write(headOf('200 OK', { 'Transfer-Encoding': 'chunked' }));
    const chunk = chunked(pattern(0, 50_000)).subarray(0, -5);
    const more = () => {
      while (socket.writable && socket.write(chunk));
    };
    socket.on('drain', more);
    more();
  });
  const relay = await startRelay(server.url, { upstreamMaxBytes: 400_000 });
  const leaving = new AbortController();
  const response = await fetch(relay.url('/f'), { signal: leaving.signal });
  let count = 0;
  const read = async () => {
    for await (const chunk of response.body as unknown as AsyncIterable<Uint8Array>) {
      count += chunk.length;
      if (count > 2_000_000) leaving.abort();
    }
  };
  await expect(read()).rejects.toThrow();
  await waitFor(() => closed.length === 1, 'the answer to be let go');
});

test('what was read longest ago makes room for what comes, also for the next server, and what is live stays', async () => {
  const origin = await startOrigin();
  const options = { upstreams: [origin.url('')], upstreamKeepBytes: 250_000 };
  const relay = await InProcessServer.start(options);
  const read = async (name: string) => {
    const response = await fetch(relay.url(name));
    expect(Buffer.from(await response.arrayBuffer()).length).toBe(100_000);
  };
  const isHere = (name: string) => isThere(path.join(relay.root, name));
  for (const name of ['a', 'b', 'c', 'd']) await writeFile(path.join(origin.root, name), pattern(0, 100_000));
  for (const name of ['/a', '/b', '/a', '/c']) await read(name);
  await waitForRemoval(path.join(relay.root, 'b'));
  expect([await isHere('a'), await isHere('c')]).toEqual([true, true]);
  await relay.restart();
  await read('/d');
  await waitForRemoval(path.join(relay.root, 'a'));
  expect([await isHere('c'), await isHere('d')]).toEqual([true, true]);
});

test('what was found to hold still takes as much room as before', async () => {
  const server = await ScriptedServer.start(({ line, headers }, socket) => {
    const tag = { ETag: `"${line}"`, 'Cache-Control': 'no-cache' };
    if (headers['if-none-match'] === undefined) say(socket, '200 OK', tag, pattern(0, 100_000));
    else socket.write(headOf('304 Not Modified', tag));
  });
  const relay = await startRelay(server.url, { upstreamKeepBytes: 250_000 });
  for (const name of ['/a', '/a', '/b', '/b', '/c', '/c']) await (await fetch(relay.url(name))).arrayBuffer();
  await waitForRemoval(path.join(relay.root, 'a'));
});

test('what is empty makes room, too, and what was not kept in the end takes none', async () => {
  const server = await ScriptedServer.start(({ line }, socket) => {
    const fresh = { 'Cache-Control': 'max-age=600' };
    if (!line.includes('long'))
      say(socket, '200 OK', fresh, line.includes('good') ? pattern(0, 100_000) : '');
    else {
      socket.write(headOf('200 OK', { 'Transfer-Encoding': 'chunked', ...fresh }));
      socket.write(chunked(pattern(0, 200_000)));
    }
  });
  const relay = await startRelay(server.url, { upstreamKeepBytes: 250_000, upstreamMaxBytes: 150_000 });
  const read = (name: string) =>
    fetch(relay.url(name)).then(
      (response) => response.arrayBuffer().catch(() => undefined),
      () => undefined,
    );
  const files = () => readdir(relay.root).then((names) => names.filter((name) => !name.startsWith('.')));
  await read('/good');
  for (const name of ['/long1', '/long2', '/long3']) await read(name);
  await read('/good2');
  expect((await files()).sort()).toEqual(['good', 'good2']);
  for (let count = 0; count < 20; count++) await read(`/empty${count}`);
  await waitFor(async () => !(await files()).includes('good'), 'room to be made');
  expect(await files()).toContain('good2');
});
