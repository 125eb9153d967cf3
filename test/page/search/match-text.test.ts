import { expect, it } from 'vitest';
import { partsOf, plainText } from '../../../src/page/search/match-text.ts';

it('reads bytes without what a terminal does not show', () => {
  expect(plainText(Buffer.from('a\x1b[1;31mb\x1b]8;;x\x07c\x1b(Bö'))).toBe('abcö');
});

it('finds matches in the text of a row where they are, and behind the one before where they have moved', () => {
  const match = (before: string, matched: string) => ({ before: before.length, matched });
  expect(partsOf('ab ab', [match('', 'ab'), match('ab ', 'ab')])).toEqual([
    { start: 0, end: 2 },
    { start: 3, end: 5 },
  ]);
  // An invalid byte before is shown as four characters.
  expect(partsOf('\\xff ab', [match('\ufffd ', 'ab')])).toEqual([{ start: 5, end: 7 }]);
  // What was written over is not there.
  expect(partsOf('xy ab', [match('', 'gone'), match('gone\r', 'ab')])).toEqual([{ start: 3, end: 5 }]);
});
