import { once } from 'node:events';
import https from 'node:https';
import net, { type AddressInfo } from 'node:net';
import Fastify from 'fastify';
import { expect, onTestFinished, test } from 'vitest';
import { Traffic } from '../../../../src/server/node/connections/traffic.ts';
import { ServerSockets } from '../../../../src/server/node/server-sockets.ts';
import { httpfstream } from '../../../../src/server/plugin.ts';
import { canMakeCertificates, makeCertificate } from '../../../support/http/certificate.ts';
import { PassProxy } from '../../../support/http/pass-proxy.ts';
import { listen, temporaryDirectory } from '../../../support/server/server.ts';
import { waitFor } from '../../../support/wait-for.ts';

test.runIf(canMakeCertificates)(
  'what is counted of a connection is what goes over the wire below TLS',
  async () => {
    const certificate = await makeCertificate();
    const app = Fastify({ https: certificate });
    await app.register(httpfstream, { root: await temporaryDirectory() });
    const { port } = await listen(app as never);
    const proxy = await PassProxy.start(port);
    const { traffic } = ServerSockets.of(app.server as never);
    const agent = new https.Agent({ keepAlive: true, ca: certificate.cert });
    const url = proxy.url('/a').replace('http:', 'https:');
    for (const method of ['PUT', 'GET', 'GET', 'DELETE']) {
      const request = https.request(url, { method, agent });
      request.end(method === 'PUT' ? 'x'.repeat(100_000) : '');
      const [response] = await once(request, 'response');
      for await (const _ of response);
    }
    await waitFor(() => traffic.bytes.sent === proxy.counted.sent, 'the same numbers, while it lives');
    agent.destroy();
    await waitFor(() => traffic.openConnections === 0, 'its end');
    // TLS says goodbye, which the proxy may read later.
    await waitFor(() => traffic.bytes.sent === proxy.counted.sent, 'the same numbers');
    expect(traffic.bytes).toEqual(proxy.counted);
    expect(proxy.counted.received).toBeGreaterThan(100_000);
    expect(traffic.connections).toBe(1);
    expect(traffic.answers).toContainEqual({ method: 'GET', status: 200, count: 2 });
  },
);

test('what waits for a reader that has stalled was not sent: the number does not go back when it breaks off', async () => {
  const traffic = new Traffic();
  const server = net.createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => void server.close());
  const reader = net.connect((server.address() as AddressInfo).port, '127.0.0.1').pause();
  const [socket] = (await once(server, 'connection')) as [net.Socket];
  socket.on('error', () => {});
  traffic.accepted(socket);
  socket.once('close', () => traffic.closed(socket));
  const piece = Buffer.alloc(1024 * 1024);
  for (let i = 0; i < 64; i++) socket.write(piece);
  await waitFor(() => socket.bytesWritten > 0, 'the first bytes');
  const { sent } = traffic.bytes;
  expect(sent).toBeLessThan(64 * piece.length);
  reader.resetAndDestroy();
  await waitFor(() => traffic.openConnections === 0, 'its end');
  expect(traffic.bytes.sent).toBeGreaterThanOrEqual(sent);
});

test('answers are counted by the statuses that there are: an upstream may send any number', () => {
  const traffic = new Traffic();
  for (const status of [200, 299, 471, 472, 599]) traffic.answered({ method: 'GET' } as never, status);
  expect(traffic.answers).toEqual([
    { method: 'GET', status: 200, count: 1 },
    { method: 'GET', status: 'other', count: 4 },
  ]);
});
