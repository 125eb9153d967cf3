import { expect, test } from 'vitest';
import { Watchdog } from '../../../src/client/session/watchdog.ts';

/** What a watchdog has said at each of the ticks of a socket that has read so many bytes by then. */
function ticks(bytesRead: readonly number[], { isPaused = false, hasBegun = true } = {}) {
  const socket = { bytesRead: 0 };
  const watchdog = new Watchdog(socket);
  if (hasBegun) watchdog.messageArrived();
  return bytesRead.map((bytes) => {
    socket.bytesRead = bytes;
    return watchdog.tick(isPaused);
  });
}

const GOOD = undefined;
const SILENT = 'the server has fallen silent';
const NOT_BEGUN = 'the server does not begin';

test('a server that sends nothing for 25 s has fallen silent', () => {
  expect(ticks([1, 1, 1, 1, 1, 1])).toEqual([GOOD, GOOD, GOOD, GOOD, GOOD, SILENT]);
});

test('one byte is a sign of life', () => {
  expect(ticks([1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2])).toEqual([...Array(10).fill(GOOD), SILENT]);
});

test('nothing is expected of a server while its client does not read', () => {
  expect(ticks(Array(20).fill(1), { isPaused: true })).toEqual(Array(20).fill(GOOD));
});

test('a server that sends bytes but no message within 30 s does not begin', () => {
  expect(ticks([1, 2, 3, 4, 5, 6], { hasBegun: false })).toEqual([...Array(5).fill(GOOD), NOT_BEGUN]);
});
