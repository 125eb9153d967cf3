import { describe, expect, test } from 'vitest';
import { isDirectoryUrl, serverAt } from '../../src/cli/client-command.ts';
import { InvalidUrlError } from '../../src/wire/errors.ts';

test.each([
  ['http://host/', true],
  ['http://host', true],
  ['http://host/a/', true],
  ['http://host/a/?b=c#d', true],
  ['http://host/a', false],
  ['http://host/a?b=/', false],
  ['nonsense/', false],
])('%s names a directory: %s', (url, isDirectory) => {
  expect(isDirectoryUrl(url)).toBe(isDirectory);
});

describe('the server at a URL', () => {
  test('gets user and password in a header, and the URL can be shown', () => {
    expect(serverAt('http://me:secret@host/a?b#c', { headers: { 'x-name': 'value' } })).toEqual({
      url: 'http://host/a?b#c',
      headers: { authorization: 'Basic bWU6c2VjcmV0', 'x-name': 'value' },
    });
  });

  test('gets the header that was given instead', () => {
    const { headers } = serverAt('http://me:secret@host/a', { headers: { authorization: 'Bearer token' } });
    expect(headers).toEqual({ authorization: 'Bearer token' });
  });

  test.each(['ftp://host/a', 'host/a', ''])('"%s" is none', (url) => {
    expect(() => serverAt(url, { headers: {} })).toThrow(InvalidUrlError);
  });
});
