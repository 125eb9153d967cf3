import fc from 'fast-check';
import { expect, test } from 'vitest';
import { closeReasonOf, isStatus, statusOfCloseReason } from '../../src/wire/protocol.ts';

test.each([0, 1, 137, 255])('%d is an exit status', (value) => {
  expect(isStatus(value)).toBe(true);
});

test.each([-1, 256, 0.5, Number.NaN, '0', null, undefined, {}])('%s is not an exit status', (value) => {
  expect(isStatus(value)).toBe(false);
});

test('an appender that closes tells its status, and one without tells nothing', () => {
  for (let status = 0; status <= 255; status++)
    expect(statusOfCloseReason(closeReasonOf(status))).toBe(status);
  expect(closeReasonOf(undefined)).toBe('');
  expect(statusOfCloseReason('')).toBeUndefined();
});

test.each(['null', '17', '[]', '{', '{"status":"0"}', '{"status":256}', 'good-bye'])(
  'a close reason of %s tells no status',
  (reason) => {
    expect(statusOfCloseReason(reason)).toBeUndefined();
  },
);

test('whatever a client closes with, it is read without an error', () => {
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.json()), (reason) => {
      const status = statusOfCloseReason(reason);
      expect(status === undefined || isStatus(status)).toBe(true);
    }),
  );
});
