import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Bag, type Bagged } from '../../src/server/bag.ts';

test('has what a set has, whatever comes and goes', () => {
  const change = fc.record({ which: fc.nat({ max: 9 }), isAdded: fc.boolean() });
  fc.assert(
    fc.property(fc.array(change, { maxLength: 60 }), (changes) => {
      const items = Array.from({ length: 10 }, (): Bagged => ({ bagIndex: undefined }));
      const bag = new Bag<Bagged>();
      const set = new Set<Bagged>();
      for (const { which, isAdded } of changes) {
        const item = items[which] as Bagged;
        if (!isAdded) expect(bag.delete(item)).toBe(set.delete(item));
        else if (!set.has(item)) {
          bag.add(item);
          set.add(item);
        }
        expect(bag.size).toBe(set.size);
        expect(items.filter((each) => bag.has(each))).toEqual(items.filter((each) => set.has(each)));
        expect(new Set(bag)).toEqual(set);
      }
    }),
  );
});

test('takes nothing out that is in another one', () => {
  const [one, other] = [new Bag<Bagged>(), new Bag<Bagged>()];
  const [item, another]: Bagged[] = [{ bagIndex: undefined }, { bagIndex: undefined }];
  one.add(item as Bagged);
  other.add(another as Bagged);
  expect([one.has(another as Bagged), one.delete(another as Bagged)]).toEqual([false, false]);
  expect([...one, ...other]).toEqual([item, another]);
});
