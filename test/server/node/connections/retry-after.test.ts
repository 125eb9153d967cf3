import { expect, test } from 'vitest';
import { retryAfterOf } from '../../../../src/server/node/connections/retry-after.ts';

test.each([
  ['HFS_SERVER_CLOSING', ['1', '2']],
  ['HFS_APPEND_BUSY', ['1', '2']],
  ['HFS_TOO_MANY_REQUESTS', ['4', '5', '6']],
])('after %s some come back after %j seconds each', (code, expected) => {
  const all = Array.from({ length: 1000 }, () => retryAfterOf(code));
  expect([...new Set(all)].sort()).toEqual(expected);
});

test('what is no matter of time is not to be tried again', () => {
  expect(retryAfterOf('HFS_FORBIDDEN_PATH')).toBeUndefined();
});
