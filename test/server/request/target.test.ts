import { describe, expect, it } from 'vitest';
import { isBelow, parseHost, parseTarget } from '../../../src/server/request/target.ts';

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

describe('the host of a request', () => {
  it.each([
    ['x', 'x', ''],
    ['x:8080', 'x', '8080'],
    ['Logs.Example.COM.', 'logs.example.com', ''],
    ['x:80', 'x', ''],
    ['x:443', 'x', ''],
    ['x:', 'x', ''],
    ['my_service:1', 'my_service', '1'],
    ['127.0.0.1:8080', '127.0.0.1', '8080'],
    ['[::1]', '[::1]', ''],
    ['[2001:DB8::1]:8080', '[2001:db8::1]', '8080'],
  ])('%s is the name %s and the port "%s"', (text, name, port) => {
    expect(parseHost(text)).toEqual({ name, port });
  });

  it.each([
    '',
    '.',
    'a..b',
    '.a',
    'me@x',
    'me:secret@x',
    'x/y',
    'x?y',
    'x#y',
    'a b',
    'a,b',
    'a, b',
    'x:port',
    'x:1:2',
    'x:123456',
    'x:65536',
    '::1',
    '[::1',
    '[]',
    '[x]',
    '[::1]x',
    'x\\y',
    'ü.test',
    '%61',
    'http://x',
  ])('"%s" is malformed', (text) => {
    expect(parseHost(text)).toBeUndefined();
  });
});
