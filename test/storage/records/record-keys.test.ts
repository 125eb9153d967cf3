import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  dueFile,
  dueKey,
  fileKey,
  forksKey,
  nameIn,
  rangeDue,
  rangeOf,
  removalKey,
  tombstoneKey,
} from '../../../src/storage/records/record-keys.ts';

const timeMs = fc.double({ min: -1000, max: 9e15, noNaN: true });

/** As the store compares keys. */
const isIn = (key: string, [from, to]: [string, string]) => key >= from && key < to;

test('what is due at a time is what is due by then, to the millisecond', () => {
  fc.assert(
    fc.property(timeMs, timeMs, (dueMs, nowMs) => {
      const clamped = (ms: number) => Math.floor(Math.min(Math.max(ms, 0), 8.64e15));
      expect(isIn(dueKey(dueMs, '12-34'), rangeDue(nowMs))).toBe(clamped(dueMs) <= clamped(nowMs));
    }),
  );
});

test('keys are in their own space only, whatever they name, and the name can be read again', () => {
  const spaces = ['file', 'tombstone', 'forks', 'due', 'removal'] as const;
  fc.assert(
    fc.property(fc.string(), timeMs, (name, ms) => {
      const keys = [fileKey(name), tombstoneKey(name), forksKey(name), dueKey(ms, '1-2'), removalKey(name)];
      for (const [i, key] of keys.entries()) {
        expect(spaces.filter((space) => isIn(key, rangeOf(space)))).toEqual([spaces[i]]);
      }
      expect([nameIn(fileKey(name)), nameIn(tombstoneKey(name)), nameIn(removalKey(name))]).toEqual([
        name,
        name,
        name,
      ]);
      expect(dueFile(dueKey(ms, '1-2'))).toBe('1-2');
    }),
  );
});
