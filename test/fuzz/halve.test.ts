import fc from 'fast-check';
import { expect, test } from 'vitest';
import { halve } from './halve.ts';

test('of a list that fails what makes it fail is left, in its order', async () => {
  const lists = fc
    .array(fc.boolean(), { minLength: 1, maxLength: 200 })
    .filter((marks) => marks.includes(true));
  await fc.assert(
    fc.asyncProperty(lists, async (marks) => {
      const list = [...marks.keys()];
      const guilty = list.filter((i) => marks[i]);
      const fails = async (part: readonly number[]) => guilty.every((i) => part.includes(i));
      expect(await halve(list, fails)).toEqual(guilty);
    }),
  );
});

test('a list that fails only as a whole stays as it is', async () => {
  const list = ['a', 'b', 'c', 'd', 'e'];
  expect(await halve(list, async () => false)).toEqual(list);
});
