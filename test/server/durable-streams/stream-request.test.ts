import { describe, expect, it } from 'vitest';
import { isAhead, nextCursor } from '../../../src/server/durable-streams/stream-request.ts';

describe('a cursor', () => {
  it('that is ahead is followed by a higher one', () => {
    const ahead = String(Number(nextCursor(undefined)) + 1000);
    expect(isAhead(ahead)).toBe(true);
    expect(Number(nextCursor(ahead))).toBeGreaterThan(Number(ahead));
  });

  it.each(['', 'x', '1e12', '0x7fffffffffff', ' 999999999999', '999999999999.5', '-1', '9'.repeat(17)])(
    'that none has been told is as good as none: "%s"',
    (cursor) => {
      expect(isAhead(cursor)).toBe(false);
      expect(nextCursor(cursor)).toBe(nextCursor(undefined));
    },
  );
});
