import { once } from 'node:events';
import http from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { expect, onTestFinished, test } from 'vitest';
import { ConnectionCounts } from '../../../../src/server/node/connections/connection-counts.ts';
import { Refusals } from '../../../../src/server/node/connections/refusals.ts';
import { ServerSockets } from '../../../../src/server/node/server-sockets.ts';
import { get } from '../../../support/http/request.ts';
import { waitFor } from '../../../support/wait-for.ts';

const from = (remoteAddress: string) => ({ remoteAddress }) as Socket;

test('connections are counted in all and for each client, from the first to the last', () => {
  const counts = new ConnectionCounts({ max: 4, maxPerClient: 2, clientOf: (address) => address });
  const own = [from('a'), from('a'), from('b'), from('c')] as const;
  expect(own.slice(0, 2).map((socket) => counts.add(socket))).toEqual([undefined, undefined]);
  expect(counts.add(from('a'))).toBe('connections_per_address');
  expect(own.slice(2).map((socket) => counts.add(socket))).toEqual([undefined, undefined]);
  expect(counts.add(from('d'))).toBe('connections');
  counts.delete(own[0]);
  // One that was refused is closed, too, and one may be closed twice.
  counts.delete(from('a'));
  counts.delete(own[0]);
  expect(counts.add(from('a'))).toBeUndefined();
  expect(counts.add(from('a'))).toBe('connections');
});

test('who is not told apart counts in all only', () => {
  const counts = new ConnectionCounts({ max: 3, maxPerClient: 1, clientOf: () => undefined });
  expect([1, 2, 3, 4].map(() => counts.add(from('a')))).toEqual([
    undefined,
    undefined,
    undefined,
    'connections',
  ]);
});

test('as many as one address may make are in nobody else’s way, and their places are free when they are closed', async () => {
  const server = http.createServer((_request, response) => void response.end('here'));
  ServerSockets.of(server).limit({ max: 1000, maxPerClient: 100, clientOf: (address) => address });
  onTestFinished(() => void server.close());
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const sockets = Array.from({ length: 300 }, () => {
    const socket = connect({ port, host: '127.0.0.1', localAddress: '127.0.0.2' });
    return socket.on('error', () => undefined).resume();
  });
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy();
  });
  await waitFor(
    () => Refusals.of(server).countOf('connections_per_address') === 200,
    'all that are too many',
  );
  const url = `http://127.0.0.1:${port}/`;
  expect((await get(url)).text).toBe('here');
  for (const socket of sockets) socket.destroy();
  const again = () =>
    new Promise<number | undefined>((resolve) => {
      const request = http.get(url, { localAddress: '127.0.0.2', agent: false }, (answer) => {
        answer.resume();
        resolve(answer.statusCode);
      });
      request.on('error', () => resolve(undefined));
    });
  await waitFor(async () => (await again()) === 200, 'a place for it');
});
