import type { IncomingMessage } from 'node:http';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { retryAfterOf } from '../../src/client/retry-after.ts';

beforeEach(() => void vi.useFakeTimers({ now: Date.UTC(2026, 0, 2, 3, 4, 5), toFake: ['Date'] }));
afterEach(() => void vi.useRealTimers());

test.each([
  ['0', 0],
  ['7', 7000],
  [' 120 ', 120_000],
  ['Fri, 02 Jan 2026 03:05:05 GMT', 60_000],
  ['Fri, 02 Jan 2026 03:00:00 GMT', 0],
  [undefined, undefined],
  ['', undefined],
  ['-1', undefined],
  ['soon', undefined],
  ['99999', 3_600_000],
  ['9'.repeat(400), 3_600_000],
  ['Fri, 01 Jan 2027 00:00:00 GMT', 3_600_000],
  ['tomorrow GMT', undefined],
])('Retry-After: %s is %s ms', (text, expected) => {
  const response = { headers: { 'retry-after': text } };
  expect(retryAfterOf(response as unknown as IncomingMessage)).toBe(expected);
});
