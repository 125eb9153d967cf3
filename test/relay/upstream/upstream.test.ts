import { describe, expect, test } from 'vitest';
import { Upstream } from '../../../src/relay/upstream/upstream.ts';
import { parseUpstream } from '../../../src/relay/upstream/upstream-option.ts';
import { ResourcePath } from '../../../src/wire/resource-path.ts';

const upstreamOf = (option: string) => new Upstream(parseUpstream(option));
const path = (text: string) => ResourcePath.parse(text);

describe('where a path comes from', () => {
  test.each([
    ['http://h', '/a/b', 'http://h/a/b'],
    ['http://h/', '/a/b/', 'http://h/a/b/'],
    ['http://h/base/', '/', 'http://h/base/'],
    ['/p=http://h', '/p/x', 'http://h/x'],
    ['/p=http://h', '/p/', 'http://h/'],
    ['/p/q/=http://h/base', '/p/q/a b%?#', 'http://h/base/a%20b%25%3F%23'],
    ['/ä ö=http://h', '/ä ö/ü', 'http://h/%C3%BC'],
    ['http://h', "/@a;b=c,d+$&e:f!'()*", "http://h/@a;b=c,d+$&e:f!'()*"],
  ])('%s has %s at %s', (option, local, remote) => {
    expect(upstreamOf(option).covers(path(local))).toBe(true);
    expect(upstreamOf(option).urlOf(path(local), '?q=1').href).toBe(`${remote}?q=1`);
  });

  test.each([
    ['/p=http://h', '/'],
    ['/p=http://h', '/pq/x'],
    ['/p/q=http://h', '/p/x'],
  ])('%s does not have %s', (option, local) => {
    expect(upstreamOf(option).covers(path(local))).toBe(false);
  });

  test.each([
    ['http://h', 'http://h/a?b', '/a?b'],
    ['/p q=http://h:1/base', 'http://h:1/base/a', '/p%20q/a'],
    ['/p=http://h:1/base', 'http://h:1/based', undefined],
    ['/p=http://h:1', 'http://h/a', undefined],
    ['http://h', './a/', undefined],
    ['/p=http://h:1/base', 'http://h:1/base', '/p'],
    ['http://h:1', 'http://h:1', '/'],
  ])('with %s what is at %s is at %s here', (option, remote, local) => {
    expect(upstreamOf(option).localPathOf(remote)).toBe(local);
  });
});

test.each(['h:1', 'ftp://h', '/p', '/p=h', 'http://h?x', 'http://h#x', 'http://', 'p=http://h'])(
  '"%s" is no upstream, and the error does not repeat it: it may have a password',
  (text) => {
    expect(() => parseUpstream(text)).toThrow('an upstream must look like');
  },
);

describe('what an upstream is told besides', () => {
  test('is said over user and password in its URL, and not told when it cannot be sent', () => {
    const url = 'http://me:secret@h';
    expect(parseUpstream(url).headers).toEqual({ authorization: expect.stringMatching(/^Basic /) });
    const headers = { Authorization: 'Bearer a', 'X-One': '1' };
    expect(parseUpstream({ url, headers }).headers).toEqual({ authorization: 'Bearer a', 'x-one': '1' });
    for (const wrong of [{ 'a b': 'secret' }, { a: 'secret\n' }] as Record<string, string>[]) {
      expect(() => parseUpstream({ url, headers: wrong })).toThrow(/^(?!.*secret)/);
    }
  });

  test('is not what users say of themselves, unless that was named', () => {
    expect(parseUpstream('http://h').passesAuthorization).toBe(false);
    expect(parseUpstream({ url: 'http://h', passAuthorization: true }).passesAuthorization).toBe(true);
  });
});

test('what was found to be an httpfstream server stays one, whatever is in front of it answers for a while', () => {
  const upstream = upstreamOf('http://h');
  upstream.kind = 'http';
  expect(upstream.kind).toBe('http');
  upstream.kind = 'httpfstream';
  upstream.kind = 'http';
  expect(upstream.kind).toBe('httpfstream');
});
