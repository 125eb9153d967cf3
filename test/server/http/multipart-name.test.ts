import { expect, test } from 'vitest';
import { partName } from '../../../src/server/http/multipart-name.ts';
import { InvalidPathError } from '../../../src/wire/errors.ts';

test.each([
  ['a.txt', 'a.txt'],
  ['dir/a.txt', 'a.txt'],
  ['../../etc/passwd', 'passwd'],
  ['C:\\dir\\a.txt', 'a.txt'],
  ['a/b\\c', 'c'],
  ['a\\b/c', 'c'],
  ['grüße 👋', 'grüße 👋'],
  ['...', '...'],
  [' ', ' '],
])('a part %j is stored as %j', (filename, name) => {
  expect(partName(filename)).toBe(name);
});

test.each(['', 'dir/', 'dir\\', '.', '..', 'a/..', 'a\nb', 'a\u0000', '\u007f', 'gr\ufffde'])(
  'a part %j is not stored',
  (filename) => {
    expect(() => partName(filename)).toThrow(InvalidPathError);
  },
);
