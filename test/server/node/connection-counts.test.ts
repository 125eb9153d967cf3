import type { Socket } from 'node:net';
import { expect, test } from 'vitest';
import { ConnectionCounts } from '../../../src/server/node/connection-counts.ts';

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
