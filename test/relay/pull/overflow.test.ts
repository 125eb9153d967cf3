import { expect, test } from 'vitest';
import { Overflow } from '../../../src/relay/pull/overflow.ts';
import type { OpenAnswer } from '../../../src/relay/upstream/open-answer.ts';

test('what nobody wants is let go, and nobody is given it afterwards', () => {
  let isLetGo = false;
  const cancel = () => {
    isLetGo = true;
  };
  const overflow = new Overflow();
  overflow.put({ cancel } as OpenAnswer, 10);
  expect(isLetGo).toBe(true);
  overflow.wantedUntil(new AbortController().signal);
  expect(overflow.from(10)).toBeUndefined();
});
