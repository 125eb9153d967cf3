import { expect, test } from 'vitest';
import { entryOf, listingOf } from '../../../src/page/directory/listing.ts';

test('a row is an entry, and what is null is not known', () => {
  expect(entryOf(['42.log', 1234, 5, 'finished', 3])).toMatchObject({
    name: '42.log',
    isDirectory: false,
    size: 1234,
    modifiedMs: 5,
    state: 'finished',
    status: 3,
  });
  expect(entryOf(['old/', null, 5, null])).toMatchObject({ name: 'old', isDirectory: true, size: undefined });
});

test('a list has its entries, and says whether there are more', () => {
  const listing = listingOf({ path: '/', rows: [['a', 0, 0, null]], truncated: true });
  expect(listing).toMatchObject({ entries: [{ name: 'a' }], isTruncated: true });
});
