import { once } from 'node:events';
import https from 'node:https';
import Fastify from 'fastify';
import { expect, test } from 'vitest';
import { ServerSockets } from '../../../src/server/node/server-sockets.ts';
import { httpfstream } from '../../../src/server/plugin.ts';
import { canMakeCertificates, makeCertificate } from '../../support/http/certificate.ts';
import { PassProxy } from '../../support/http/pass-proxy.ts';
import { listen, temporaryDirectory } from '../../support/server/server.ts';
import { waitFor } from '../../support/wait-for.ts';

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
