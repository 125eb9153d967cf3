import { once } from 'node:events';
import http from 'node:http';
import net, { type AddressInfo, type Socket } from 'node:net';
import type { FastifyRequest } from 'fastify';
import { expect, onTestFinished, test } from 'vitest';
import { append } from '../../../src/client/index.ts';
import { Client } from '../../../src/server/relay/client.ts';
import { answerOf } from '../../support/http/request.ts';
import { startOrigin, startRelay } from '../../support/relay/origin.ts';
import { waitFor } from '../../support/wait-for.ts';

test('a client that closes its side may be gone, and is when the connection is closed', async () => {
  const server = net.createServer({ allowHalfOpen: true }).listen(0, '127.0.0.1');
  onTestFinished(() => void server.close());
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const there = net.connect({ port, host: '127.0.0.1', allowHalfOpen: true });
  const [socket] = (await once(server, 'connection')) as [Socket];
  const requested = { raw: { socket } } as unknown as FastifyRequest;
  const client = new Client(requested);
  expect([client.left.aborted, client.signal.aborted]).toEqual([false, false]);
  there.end();
  socket.resume();
  await once(client.left, 'abort');
  expect(client.signal.aborted).toBe(false);
  expect(new Client(requested).left.aborted).toBe(true);
  // Nobody notices that it is gone until something is written to it.
  socket.destroy();
  await once(client.signal, 'abort');
  there.destroy();
});

test('a client that closes its side behind its request gets the answer', async () => {
  const origin = await startOrigin();
  const relay = await startRelay(origin.url(''));
  await append(origin.url('/f'), ['content']);
  const { port } = new URL(relay.url(''));
  const socket = net.connect({ port: Number(port), host: '127.0.0.1', allowHalfOpen: true });
  socket.end('GET /f HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n');
  let text = '';
  for await (const chunk of socket) text += chunk;
  expect([text.slice(0, 12), text.slice(-7)]).toEqual(['HTTP/1.1 200', 'content']);
});

test('a client that has waited is forgotten with the answer, though its connection stays', async () => {
  const origin = await startOrigin();
  const relay = await startRelay(origin.url(''));
  const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
  onTestFinished(() => agent.destroy());
  const connected = once(relay.app.server, 'connection');
  const counts: number[] = [];
  for (const target of ['/a', '/b', '/c']) {
    const followed = answerOf(http.get(relay.url(`${target}?verb=FOLLOW&wait=60`), { agent }));
    await waitFor(() => origin.requests.some((line) => line.includes(`${target}?`)), 'it to be waited for');
    await append(origin.url(target), ['content']);
    expect((await followed).text).toBe('content');
    const [socket] = (await connected) as [Socket];
    counts.push(socket.listenerCount('close'));
  }
  expect(new Set(counts).size).toBe(1);
});
