import { expect, test } from 'vitest';
import { remoteFileName } from '../../../src/cli/append/remote-file-name.ts';

function nameAt(path: string): string | undefined {
  return remoteFileName(new URL(path, 'http://host/'), null);
}

function nameIn(header: string): string | undefined {
  return remoteFileName(new URL('http://host/fallback'), header);
}

test.each([
  ['/a/b.csv', 'b.csv'],
  ['/a/b.csv?c=/d', 'b.csv'],
  ['/gr%C3%BC%C3%9Fe.txt', 'grüße.txt'],
  ['/a%20b', 'a b'],
  ['/a%2Fb', 'b'],
  ['/%2e%2e%2fpasswd', 'passwd'],
  ['/a%5Cb', 'b'],
  ['/a%0Ab', 'ab'],
  ['/%FF', undefined],
  ['/%2E%2E%2F..', undefined],
  ['/', undefined],
  ['/a/', undefined],
])('what is at %s is called %s', (path, name) => {
  expect(nameAt(path)).toBe(name);
});

test.each([
  ['attachment; filename=a.txt', 'a.txt'],
  ['attachment; filename="a b.txt"', 'a b.txt'],
  ['attachment; filename=a b.txt', 'a b.txt'],
  ['attachment; filename=a b.txt; size=3', 'a b.txt'],
  ['attachment; filename="a \\"b\\".txt"', 'a "b".txt'],
  ['inline;FILENAME = "a;b"; size=3', 'a;b'],
  ["attachment; filename=a.txt; filename*=UTF-8''gr%C3%BC%C3%9Fe", 'grüße'],
  ["attachment; filename*=iso-8859-1'de'gr%FC%DFe; filename=a", 'grüße'],
  ["attachment; filename*=UTF-8''%FF; filename=a", 'a'],
  ["attachment; filename*=UTF-8''..; filename=a", 'a'],
  ['attachment; filename="a', 'fallback'],
  ["attachment; filename*=koi8-r''%C1; filename=a", 'a'],
  ['attachment; filename="../../etc/passwd"', 'passwd'],
  ['attachment; filename="C:\\\\dir\\\\a.txt"', 'a.txt'],
  ['attachment; filename=".."', 'fallback'],
  ['attachment; filename=""', 'fallback'],
  ['attachment; notfilename=a', 'fallback'],
  ['attachment', 'fallback'],
  ['', 'fallback'],
])('%s names %s', (header, name) => {
  expect(nameIn(header)).toBe(name);
});
