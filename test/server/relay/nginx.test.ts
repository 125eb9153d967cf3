import { mkdir, readFile, utimes, writeFile } from 'node:fs/promises';
import net from 'node:net';
import path from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { append, follow, openAppend } from '../../../src/client/index.ts';
import { send } from '../../support/http/request.ts';
import { pattern } from '../../support/pattern.ts';
import { isNginxHere, startNginx } from '../../support/relay/nginx.ts';
import { startOrigin, startRelay } from '../../support/relay/origin.ts';
import { isThere, waitFor, waitForSize } from '../../support/wait-for.ts';

const SIZE = 16 * 1024 * 1024;

/** Leads to a port; the first two connections are reset when a third of what is to come has come. */
async function startCuttingProxy(port: number) {
  let connections = 0;
  const proxy = net.createServer((client) => {
    let left = ++connections < 3 ? SIZE / 3 : Number.POSITIVE_INFINITY;
    const server = net.connect(port, '127.0.0.1');
    for (const socket of [client, server]) socket.on('error', () => undefined);
    client.on('close', () => server.destroy()).pipe(server);
    server.on('data', (chunk) => {
      left -= chunk.length;
      if (left < 0) client.resetAndDestroy();
      else client.write(chunk);
    });
    server.on('close', () => client.end());
  });
  await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => void proxy.close());
  const { port: own } = proxy.address() as net.AddressInfo;
  return { url: `http://127.0.0.1:${own}`, connections: () => connections };
}

describe.runIf(isNginxHere())('nginx', () => {
  test('a file is fetched once, is gone on with after cuts, and is kept with what nginx says of it', async () => {
    const nginx = await startNginx('');
    await writeFile(path.join(nginx.files, 'f.txt'), pattern(0, SIZE));
    // By its date alone nobody could tell that it has not changed within this second.
    const before = new Date(Date.now() - 3_600_000);
    await utimes(path.join(nginx.files, 'f.txt'), before, before);
    const network = await startCuttingProxy(nginx.port);
    const relay = await startRelay(network.url);
    const readers = [1, 2].map(() => send('GET', relay.url('/f.txt')));
    const copy = path.join(relay.root, 'f.txt');
    const there = await send('HEAD', nginx.url('/f.txt'));
    for (const { status, headers, body } of await Promise.all(readers)) {
      expect([status, body.equals(pattern(0, SIZE))]).toEqual([200, true]);
      for (const name of ['etag', 'last-modified', 'content-length', 'content-type']) {
        expect(headers[name]).toBe(there.headers[name]);
      }
    }
    expect(network.connections()).toBe(3);
    expect((await readFile(copy)).equals(pattern(0, SIZE))).toBe(true);
    const known = await send('GET', relay.url('/f.txt'), {
      headers: { 'if-none-match': there.headers.etag as string },
    });
    expect(known.status).toBe(304);
  });

  test('what it has anew is fetched anew', async () => {
    const nginx = await startNginx('');
    const file = path.join(nginx.files, 'f.txt');
    const relay = await startRelay(nginx.url(''));
    for (const content of ['the first one', 'another one']) {
      await writeFile(file, content);
      await waitFor(async () => (await send('GET', relay.url('/f.txt'))).text === content, content);
    }
    expect(await readFile(path.join(relay.root, 'f.txt'), 'utf8')).toBe('another one');
  });

  test('it compresses nothing for a relay, and what it would compress for others is kept plain', async () => {
    const nginx = await startNginx('gzip on; gzip_types *; gzip_min_length 1; gzip_vary on;');
    const text = 'a line\n'.repeat(10_000);
    await writeFile(path.join(nginx.files, 'f.txt'), text);
    const relay = await startRelay(nginx.url(''));
    const headers = { 'accept-encoding': 'gzip' };
    expect((await send('GET', nginx.url('/f.txt'), { headers })).headers['content-encoding']).toBe('gzip');
    const answer = await send('GET', relay.url('/f.txt'), { headers });
    expect([answer.text === text, answer.headers['content-encoding']]).toEqual([true, undefined]);
    expect(await readFile(path.join(relay.root, 'f.txt'), 'utf8')).toBe(text);
  });

  test('directories, redirects and errors are its own', async () => {
    const nginx = await startNginx(
      'autoindex on; error_page 404 /gone.txt; location = /old { return 302 /dir/; } location = /no { return 503; }',
    );
    await mkdir(path.join(nginx.files, 'dir'));
    await writeFile(path.join(nginx.files, 'dir', 'f.txt'), 'content');
    await writeFile(path.join(nginx.files, 'gone.txt'), 'not to be found');
    const relay = await startRelay(nginx.url(''));
    const listing = await send('GET', relay.url('/dir/'));
    expect([listing.status, listing.text]).toEqual([200, (await send('GET', nginx.url('/dir/'))).text]);
    expect(listing.text).toContain('f.txt');
    for (const [target, status, location] of [
      ['/dir', 301, relay.url('/dir/')],
      ['/old', 302, relay.url('/dir/')],
      ['/no', 503, undefined],
      ['/none', 404, undefined],
    ] as const) {
      const answer = await send('GET', relay.url(target));
      expect([answer.status, answer.headers.location], target).toEqual([status, location]);
      expect(await isThere(path.join(relay.root, target)), target).toBe(false);
    }
    expect((await send('GET', relay.url('/dir/f.txt'))).text).toBe('content');
  });

  test('in front of an httpfstream server it lets all through, in both directions', async () => {
    const origin = await startOrigin();
    const nginx = await startNginx(`location / {
      proxy_pass http://127.0.0.1:${origin.port};
      proxy_http_version 1.1;
      proxy_set_header Host $http_host;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection $connection_upgrade;
      proxy_buffering off;
      proxy_request_buffering off;
    }`);
    const relay = await startRelay(nginx.url(''));
    const appender = openAppend(relay.url('/f'));
    appender.write(pattern(0, 1000));
    await waitForSize(path.join(origin.root, 'f'), 1000);
    const followers = [relay, relay].map(({ url }) => follow(url('/f')).toArray());
    const overHttp = send('GET', relay.url('/f?verb=FOLLOW'));
    await waitForSize(path.join(relay.root, 'f'), 1000);
    appender.end(pattern(1000, 500_000));
    for (const chunks of await Promise.all(followers)) {
      expect(Buffer.concat(chunks).equals(pattern(0, 501_000))).toBe(true);
    }
    expect((await overHttp).body.equals(pattern(0, 501_000))).toBe(true);
    await append(origin.url('/g'), ['hello'], { status: () => 3 });
    const answer = await send('GET', relay.url('/g'));
    expect([answer.text, answer.headers['stream-status']]).toEqual(['hello', '3']);
  });
});
