import { expect, test } from 'vitest';
import { shownLocation } from '../../src/http/shown-location.ts';

test.each([
  ['https://me:secret@new.example/a?token=b#c', 'https://new.example/a'],
  ['//secret@new.example/a', '//new.example/a'],
  ['https:\\\\me:sec@ret@new.example\\a', 'https:\\\\new.example\\a'],
  ['https://new.example#secret', 'https://new.example'],
  ['/login?next=/a@b', '/login'],
  ['?secret', ''],
  ['a@b/c@d', 'a@b/c@d'],
  ['http://[', 'http://['],
])('of the location %s is shown: %s', (location, shown) => {
  expect(shownLocation(location)).toBe(shown);
});
