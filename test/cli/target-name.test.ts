import { describe, expect, test } from 'vitest';
import { isDirectoryUrl, namedTarget } from '../../src/cli/target-name.ts';
import { InvalidUrlError } from '../../src/wire/errors.ts';

test.each([
  ['http://host/', true],
  ['http://host', true],
  ['http://host/a/', true],
  ['http://host/a/?b=c#d', true],
  ['http://host/a', false],
  ['http://host/a?b=/', false],
  ['nonsense/', false],
])('%s is the place for a resource: %s', (url, isDirectory) => {
  expect(isDirectoryUrl(url)).toBe(isDirectory);
});

describe('what is appended to', () => {
  test.each([
    ['http://host/a', 'b', 'http://host/a'],
    ['http://host/a/', 'b', 'http://host/a/b'],
    ['http://host', 'b', 'http://host/b'],
    ['http://host/a/?token=t', 'b', 'http://host/a/b?token=t'],
    ['http://host/', 'a b?c#d/e%f', 'http://host/a%20b%3Fc%23d%2Fe%25f'],
    ['http://host/', 'grüße', 'http://host/gr%C3%BC%C3%9Fe'],
  ])('at %s from a file %s is %s', (url, fileName, target) => {
    expect(namedTarget(url, { hasName: true, fileName })).toBe(target);
  });

  test('is what was typed when the source can have no name', () => {
    expect(namedTarget('http://host/a/', { hasName: false, fileName: undefined })).toBe('http://host/a/');
  });

  test('cannot be told when the name is not known', () => {
    expect(() => namedTarget('http://host/', { hasName: true, fileName: undefined })).toThrow(
      InvalidUrlError,
    );
  });
});
