import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type DirectoryEntry, entryHref, nameKey } from '../../../src/page/directory/directory-entry.ts';
import { DirectoryModel } from '../../../src/page/directory/directory-model.ts';

function entry(name: string, rest: Partial<DirectoryEntry> = {}): DirectoryEntry {
  return {
    name,
    nameKey: nameKey(name),
    isDirectory: false,
    size: 0,
    modifiedMs: 0,
    state: undefined,
    status: undefined,
    ...rest,
  };
}

function modelOf(entries: readonly DirectoryEntry[]): DirectoryModel {
  const model = new DirectoryModel();
  model.replace(entries);
  return model;
}

const namesOf = (model: DirectoryModel) => model.shown.map(({ name }) => name);

test('names are sorted without case, and numbers in them by what they say', () => {
  const names = ['b10.log', 'B2.log', 'a', 'b2', 'b02.log', '10', '9', '_', 'b.log'];
  expect(namesOf(modelOf(names.map((name) => entry(name))))).toEqual([
    '9',
    '10',
    '_',
    'a',
    'b.log',
    'b2',
    'B2.log',
    'b02.log',
    'b10.log',
  ]);
});

test('a number of any length is compared by its value', () => {
  const digits = fc.bigInt({ min: 0n, max: 10n ** 40n });
  fc.assert(
    fc.property(digits, digits, fc.nat({ max: 3 }), (a, b, zeros) => {
      const [one, other] = [nameKey(`x${'0'.repeat(zeros)}${a}`), nameKey(`x${b}`)];
      expect(Math.sign(Number(one > other) - Number(one < other))).toBe(a < b ? -1 : a > b ? 1 : 0);
    }),
  );
});

test('directories come first, whatever it is sorted by and in which direction', () => {
  const model = modelOf([
    entry('large', { size: 9, modifiedMs: 1 }),
    entry('small', { size: 1, modifiedMs: 2 }),
    entry('d2', { isDirectory: true, size: undefined, modifiedMs: 3 }),
    entry('d1', { isDirectory: true, size: undefined, modifiedMs: 0 }),
  ]);
  model.setOrder({ key: 'size', descending: true });
  expect(namesOf(model)).toEqual(['d1', 'd2', 'large', 'small']);
  model.setOrder({ key: 'modified', descending: true });
  expect(namesOf(model)).toEqual(['d2', 'd1', 'small', 'large']);
});

test('a filter wants all of its words, in any case and order', () => {
  const model = modelOf(['Build-42.log', 'build-43.log', 'test-42.log'].map((name) => entry(name)));
  model.setFilter('  42 BUILD ');
  expect(namesOf(model)).toEqual(['Build-42.log']);
  expect(model.count).toBe(3);
  model.setFilter('');
  expect(namesOf(model)).toHaveLength(3);
});

test('after any changes it shows what it would if it had been given the outcome at once', () => {
  // Few names and values, so that they collide; some changes are large enough to be sorted as a whole.
  const name = fc.constantFrom('a', 'A', 'b1', 'b2', 'b10', 'c');
  const anyEntry = fc.record({
    name,
    isDirectory: fc.boolean(),
    size: fc.option(fc.nat({ max: 2 }), { nil: undefined }),
    modifiedMs: fc.nat({ max: 2 }),
  });
  const change = fc.record({
    changed: fc.array(anyEntry, { maxLength: 4 }),
    gone: fc.array(name, { maxLength: 2 }),
    filler: fc.constantFrom(0, 0, 501),
  });
  const order = fc.record({
    key: fc.constantFrom('name' as const, 'size' as const, 'modified' as const),
    descending: fc.boolean(),
  });
  fc.assert(
    fc.property(
      fc.array(change, { maxLength: 6 }),
      order,
      fc.constantFrom('', 'b', '1'),
      (changes, sort, filter) => {
        const model = new DirectoryModel();
        model.setOrder(sort);
        model.setFilter(filter);
        const outcome = new Map<string, DirectoryEntry>();
        for (const { changed, gone, filler } of changes) {
          const repeated = Array.from({ length: filler }, () => changed.at(-1)).filter(
            (one) => one !== undefined,
          );
          const entries = [...changed, ...repeated].map((one) => entry(one.name, one));
          model.apply(entries, gone);
          for (const each of gone) outcome.delete(each);
          for (const each of entries) outcome.set(each.name, each);
        }
        const expected = new DirectoryModel();
        expected.setOrder(sort);
        expected.replace(outcome.values());
        expected.setFilter(filter);
        expect(model.shown).toEqual(expected.shown);
        for (const [index, { name: each }] of model.shown.entries()) expect(model.indexOf(each)).toBe(index);
      },
    ),
    { numRuns: 60 },
  );
});

test('a link leads to the entry, whatever it is called', () => {
  const names = ['javascript:alert(1)', '//evil.example', '..%2f', 'a?b#c', 'é', '\ud800', '"><img src=x>'];
  const base = new URL('http://host/dir/');
  for (const name of names) {
    const url = new URL(entryHref({ name, isDirectory: false }), base);
    expect(url.origin).toBe(base.origin);
    expect(decodeURIComponent(url.pathname)).toBe(`/dir/${name.replace('\ud800', '\ufffd')}`);
    expect(url.search + url.hash).toBe('');
  }
  expect(entryHref({ name: 'd', isDirectory: true })).toBe('./d/');
});
