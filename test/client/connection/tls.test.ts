import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { Agent } from 'node:https';
import type { Socket } from 'node:net';
import { buffer } from 'node:stream/consumers';
import Fastify from 'fastify';
import { afterEach, beforeAll, describe, expect, onTestFinished, test, vi } from 'vitest';
import { append, ConnectionError, follow, openAppend } from '../../../src/client/index.ts';
import { httpfstream } from '../../../src/server/plugin.ts';
import { type Certificate, canMakeCertificates, makeCertificate } from '../../support/http/certificate.ts';
import { ConnectProxy } from '../../support/http/connect-proxy.ts';
import { listen, temporaryDirectory } from '../../support/server/server.ts';
import { waitFor } from '../../support/wait-for.ts';
import { readingError, rejection } from '../client-server.ts';

const QUICK = { minDelayMs: 1, maxDelayMs: 5 };

describe.runIf(canMakeCertificates)('over TLS', () => {
  let certificate: Certificate;

  beforeAll(async () => {
    certificate = await makeCertificate('files');
  });

  afterEach(() => {
    vi.unstubAllEnvs();
  });

  async function startSecure() {
    const app = Fastify({ https: certificate });
    await app.register(httpfstream, { root: await temporaryDirectory(), closeTimeoutMs: 200 });
    const sockets: Socket[] = [];
    app.server.on('secureConnection', (socket) => sockets.push(socket));
    const { port } = await listen(app);
    return { port, sockets, url: `https://127.0.0.1:${port}/a` };
  }

  test('a client that trusts the authority appends and follows', async () => {
    const { url } = await startSecure();
    const ca = certificate.cert;
    const bytes = randomBytes(3_000_000);
    expect(await append(url, bytes, { ca })).toMatchObject({ position: bytes.length });
    expect((await buffer(follow(url, { ca }))).equals(bytes)).toBe(true);
    expect(await buffer(follow(url.replace('https', 'wss'), { ca: [ca], from: -3 }))).toEqual(
      bytes.subarray(-3),
    );
  });

  test('an agent that trusts it will do', async () => {
    const { url } = await startSecure();
    const agent = new Agent({ ca: certificate.cert });
    onTestFinished(() => agent.destroy());
    await append(url, 'hello', { agent });
    expect(String(await buffer(follow(url, { agent })))).toBe('hello');
  });

  test('nobody else is talked to', async () => {
    const { url, sockets } = await startSecure();
    const other = await makeCertificate();
    for (const options of [{}, { ca: other.cert }]) {
      const error = await rejection(append(url, 'secret', options));
      expect(error).toBeInstanceOf(ConnectionError);
      expect((error as ConnectionError).message).toMatch(/self-signed certificate|unable to verify/);
      expect(await readingError(follow(url, options))).toBeInstanceOf(ConnectionError);
    }
    expect(sockets.filter(({ bytesRead }) => bytesRead > 0)).toEqual([]);
  });

  test('what is cut goes on', async () => {
    const { url, sockets } = await startSecure();
    const ca = certificate.cert;
    const writable = openAppend(url, { ca, retry: QUICK });
    writable.write('hello, ');
    await once(writable, 'open');
    const readable = follow(url, { ca, retry: QUICK });
    await once(readable, 'open');
    for (const socket of sockets) socket.destroy();
    await waitFor(() => sockets.length >= 4, 'the new connections');
    writable.end('world');
    expect(String(await buffer(readable))).toBe('hello, world');
  });

  test('a proxy passes on what it cannot read', async () => {
    const { port } = await startSecure();
    const proxy = await ConnectProxy.start(port);
    vi.stubEnv('HTTPS_PROXY', proxy.url);
    vi.stubEnv('NO_PROXY', '');
    vi.stubEnv('no_proxy', '');
    const ca = certificate.cert;
    await append('https://files/a', 'hello', { ca });
    expect(String(await buffer(follow('wss://files/a', { ca })))).toBe('hello');
    expect(proxy.asked.map(({ target }) => target)).toEqual(['files:443', 'files:443']);
    expect(await rejection(append('https://others/a', 'hello', { ca }))).toMatchObject({
      code: 'HFS_CONNECTION',
    });
  });
});
