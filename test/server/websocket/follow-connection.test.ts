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
import { V2Peer } from '../../support/websocket/v2-peer.ts';

test('a follower without a resource is told that the server closes when it has its WebSocket, should that come later', async () => {
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
    follows.shutDown();
    websockets.handleUpgrade(request, stream, head, (websocket) => connection.start(websocket));
  });
  server.listen({ host: '127.0.0.1', port: 0 });
  onTestFinished(() => void server.close());
  await once(server, 'listening');
  const peer = await V2Peer.follow(`http://127.0.0.1:${(server.address() as AddressInfo).port}/none`);
  await peer.closed();
  expect(peer.story).toEqual(['waiting', 'end']);
  expect(peer.ending).toEqual(['shutdown', 1012]);
});
