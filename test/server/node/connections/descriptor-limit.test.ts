import { once } from 'node:events';
import net from 'node:net';
import { describe, expect, it, onTestFinished, test } from 'vitest';
import {
  descriptorLimit,
  firstReservedDescriptor,
  liveResourcesWithin,
  openStreamsWithin,
} from '../../../../src/server/node/connections/descriptor-limit.ts';
import { openSocket, parseAnswer, readToEnd } from '../../../support/http/raw.ts';
import { temporaryDirectory } from '../../../support/server/server.ts';
import { ServerProcess } from '../../../support/server/server-process.ts';
import { waitFor } from '../../../support/wait-for.ts';
import { Peer } from '../../../support/websocket/peer.ts';

test.each([
  [64, 32],
  [256, 192],
  [1024, 768],
  [1_048_576, 1_047_552],
  [Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY],
])('of %d descriptors %d are for connections', (limit, first) => {
  expect(firstReservedDescriptor(limit)).toBe(first);
});

test.each([
  [16, 0],
  [1024, 245],
  [20_000, 6314],
  [31_056, 10_000],
  [Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY],
])('%d descriptors are enough for %d live resources', (limit, resources) => {
  expect(liveResourcesWithin(limit)).toBe(resources);
});

test.each([
  [4, 1],
  [256, 32],
  [1024, 128],
  [8192, 1000],
  [Number.POSITIVE_INFINITY, 1000],
])('of %d descriptors %d are for streams to which nobody appends', (limit, streams) => {
  expect(openStreamsWithin(limit)).toBe(streams);
});

test('the limit of this process is known', () => {
  expect(descriptorLimit()).toBeGreaterThan(16);
});

describe('a server with few descriptors', () => {
  it('refuses connections before it has none left, and those who are there are served', async () => {
    const root = await temporaryDirectory();
    const server = await ServerProcess.start(root, ['-log-level', 'info'], { descriptors: 256 });
    const appender = await Peer.connect(server.url('/log'), 'APPEND');
    const idle: net.Socket[] = [];
    onTestFinished(() => {
      for (const socket of idle) socket.destroy();
    });
    let refused = 0;
    for (let at = 0; at < 400; at++) {
      const socket = net.connect(server.port, '127.0.0.1');
      socket.on('error', () => undefined).on('data', () => refused++);
      await once(socket, 'connect');
      idle.push(socket);
    }
    await waitFor(() => refused > 0, 'the first refusal');
    expect(server.descriptorCount()).toBeLessThan(230);
    const late = await openSocket(server.port);
    const answer = parseAnswer(await readToEnd(late));
    expect(answer).toMatchObject({ status: 503, headers: { connection: 'close' } });
    expect(answer.headers['retry-after']).toMatch(/^[456]$/);
    expect(answer.body).toContain('HFS_SERVER_BUSY');
    // What they need is to be had.
    await appender.send('text');
    await appender.finish();
    const first = idle[0] as net.Socket;
    first.removeAllListeners('data');
    const read = readToEnd(first);
    first.write('GET /log HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n');
    expect(parseAnswer(await read).body).toBe('text');
    for (const socket of idle) socket.destroy();
    await waitFor(async () => {
      const again = await fetch(server.url('/log')).catch(() => undefined);
      return again?.status === 200;
    }, 'the next connection');
  });
});
