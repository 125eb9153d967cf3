import { describe, expect, test } from 'vitest';
import { namedTarget } from '../../../src/cli/append/run-append.ts';
import { InvalidUrlError } from '../../../src/wire/errors.ts';

describe('what is appended to', () => {
  test.each([
    ['http://host/a', 'b', 'http://host/a'],
    ['http://host/a/', 'b', 'http://host/a/b'],
    ['http://host', 'b', 'http://host/b'],
    ['http://host/a/?token=t', 'b', 'http://host/a/b?token=t'],
    ['http://host/', 'a b?c#d/e%f', 'http://host/a%20b%3Fc%23d%2Fe%25f'],
    ['http://host/', 'grüße', 'http://host/gr%C3%BC%C3%9Fe'],
  ])('at %s from a file %s is %s', (url, fileName, target) => {
    expect(namedTarget(url, fileName)).toBe(target);
  });

  test('cannot be told when the name is not known', () => {
    expect(() => namedTarget('http://host/', undefined)).toThrow(InvalidUrlError);
  });
});
