import { once } from 'node:events';
import http from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { pino } from 'pino';
import { expect, onTestFinished, test } from 'vitest';
import { WebSocketServer } from 'ws';
import { ReadNumbers } from '../../../src/core/numbers.ts';
import { ActiveConnections } from '../../../src/server/active-connections.ts';
import { v2Dialect } from '../../../src/server/websocket/dialects.ts';
import { FollowConnection } from '../../../src/server/websocket/follow-connection.ts';
import { StorageError } from '../../../src/wire/errors.ts';
import { V2Peer } from '../../support/websocket/v2-peer.ts';

/** Follows nothing yet. @param made is given the connection before it has its WebSocket */
async function follow(made: (connection: FollowConnection, follows: ActiveConnections) => void) {
  const follows = new ActiveConnections(10_000);
  const websockets = new WebSocketServer({ noServer: true });
  const server = http.createServer().on('upgrade', (request, stream, head) => {
    const connection = new FollowConnection(
      follows,
      pino({ level: 'silent' }),
      v2Dialect,
      stream as Socket,
      new ReadNumbers('websocket'),
    );
    made(connection, follows);
    websockets.handleUpgrade(request, stream, head, (websocket) => connection.start(websocket));
  });
  server.listen({ host: '127.0.0.1', port: 0 });
  onTestFinished(() => void server.close());
  await once(server, 'listening');
  return V2Peer.follow(`http://127.0.0.1:${(server.address() as AddressInfo).port}/none`);
}

test('a follower without a resource is told that the server closes when it has its WebSocket, should that come later', async () => {
  const peer = await follow((_connection, follows) => follows.shutDown());
  await peer.closed();
  expect(peer.story).toEqual(['waiting', 'end']);
  expect(peer.ending).toEqual(['shutdown', 1012]);
});

test('a follower is told the beginning of why it cannot be served, however much there is to say', async () => {
  let connection: FollowConnection | undefined;
  const peer = await follow((made) => {
    connection = made;
  });
  const error = new StorageError(`no ${'€'.repeat(1000)}`);
  connection?.fail(error);
  await peer.closed();
  expect(peer.ending).toEqual(['interrupted', 1011]);
  expect([peer.end?.detail, peer.closeReason]).toEqual([`no ${'€'.repeat(169)}`, `no ${'€'.repeat(40)}`]);
});
