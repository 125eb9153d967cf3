import { describe, expect, it } from 'vitest';
import { isBelow, parseTarget } from '../../../src/server/request/target.ts';

describe('the target of a request', () => {
  it.each([
    ['/a/b?x=1', undefined, '/a/b', '?x=1', true],
    ['/', undefined, '/', '', true],
    ['/?', undefined, '/', '?', true],
    ['/path/http://y/?http://z/', undefined, '/path/http://y/', '?http://z/', true],
    ['http://x:8080/path?http://y/', 'x:8080', '/path', '?http://y/', true],
    ['https://x', 'x', '/', '', true],
    ['HTTP://x?q', 'x', '/', '?q', true],
    ['http:///f', '', '/f', '', false],
    ['ftp://x/f', 'x', '/f', '', false],
    ['*', undefined, '*', '', false],
    ['', undefined, '/', '', false],
    ['/f#fragment?x', undefined, '/f', '', false],
    ['/f?x#fragment', undefined, '/f', '?x', false],
    ['http://x#y/f', 'x', '/', '', false],
  ])(
    '%s names the host %s, the path %s and the query "%s"',
    (url, authority, path, queryString, isResource) => {
      expect(parseTarget(url)).toEqual({ authority, path, queryString, isResource });
    },
  );

  it('is below a prefix in whatever form it comes', () => {
    for (const url of ['/logs/', '/logs/f?x', 'http://x/logs/f']) expect(isBelow('/logs', url)).toBe(true);
    for (const url of ['/logs', '/logs#/', '/logsf', '/?/logs/f', 'http://logs/f', '*']) {
      expect(isBelow('/logs', url)).toBe(false);
    }
    expect(isBelow('', '/f')).toBe(true);
  });
});
