import { expect, test } from 'vitest';
import { takeHeldSockets } from '../../../src/cli/server/held-sockets.ts';

test.each([
  [{}, { descriptors: [] }],
  [{ LISTEN_FDS: '1', LISTEN_PID: '7' }, { descriptors: [3] }],
  [{ LISTEN_FDS: '3', LISTEN_PID: '7', LISTEN_FDNAMES: 'a:b:c' }, { descriptors: [3, 4, 5] }],
  [
    { LISTEN_FDS: '1', LISTEN_PID: '6' },
    { descriptors: [], meantFor: 6 },
  ],
  [{ LISTEN_FDS: '0', LISTEN_PID: '7' }, { descriptors: [] }],
  [{ LISTEN_FDS: 'x', LISTEN_PID: '7' }, { descriptors: [] }],
])('%j means %j, and is not inherited', (env, expected) => {
  const left: NodeJS.ProcessEnv = { ...env, HOME: '/' };
  expect(takeHeldSockets(left, 7)).toEqual(expected);
  expect(left).toEqual({ HOME: '/' });
});
