import { describe, expect, it } from 'vitest';
import {
  splitCredentials,
  targetUrl,
  textWithoutCredentials,
  withoutCredentials,
} from '../../../src/client/session/target-url.ts';

describe('a URL that is shown', () => {
  it.each([
    ['http://me:secret@host/path?q#h', 'http://host/path?q#h'],
    ['http://secret@host/', 'http://host/'],
    ['http://:secret@host/', 'http://host/'],
    ['https://me:sec%40ret@host:8443/a', 'https://host:8443/a'],
    ['http://me:sec@ret@host/', 'http://host/'],
    ['http://me:my secret@host/', 'http://host/'],
    ['  http://me:secret@host/', 'http://host/'],
    ['http:me:secret@host/', 'http://host/'],
    ['http:\\\\me:secret@host/', 'http://host/'],
    ['ws://me:secret@host/', 'ws://host/'],
    ['ftp://me:secret@host/', 'ftp://host/'],
    // What is no URL, because of what is in them.
    ['http://me:sec/ret@host/', 'http://host/'],
    ['http://me:sec?ret@host/', 'http://host/'],
    ['http://me:sec#ret@host/', 'http://host/'],
    ['http://me:secret@ho st/', 'http://ho st/'],
    ['http://me:secret@host:port/', 'http://host:port/'],
    ['me:secret@host/', 'host/'],
    ['//me:secret@host/', 'host/'],
  ])('"%s" is "%s"', (typed, shown) => {
    expect(withoutCredentials(typed)).toBe(shown);
  });

  it.each(['http://host', 'http://host/a@b', 'http://host/?mail=a@b', 'HTTP://Host:80/%41', 'foo', ''])(
    '"%s" is as it was typed',
    (typed) => {
      expect(withoutCredentials(typed)).toBe(typed);
    },
  );

  it('is without them in a text, too', () => {
    expect(textWithoutCredentials('from `curl -u x http://me:secret@host/a` to http://host/b@c: no')).toBe(
      'from `curl -u x http://host/a` to http://host/b@c: no',
    );
    expect(textWithoutCredentials('at ftp://me:sec@ret@host:x, and ws://secret@y/')).toBe(
      'at ftp://host:x, and ws://y/',
    );
  });

  it('is found in a long text as fast as in a short one, letter by letter', () => {
    // Of the process alone, and the least: what else the machine does is no matter.
    const leastMicroseconds = (length: number) => {
      const times = Array.from({ length: 3 }, () => {
        const begin = process.cpuUsage();
        for (const text of ['a', 'a:', 'a://', '://', 'a@']) textWithoutCredentials(text.repeat(length));
        const { user, system } = process.cpuUsage(begin);
        return user + system;
      });
      return Math.min(...times);
    };
    const [short, long] = [leastMicroseconds(1000), leastMicroseconds(64_000)];
    // 64 times as long for 64 times as much; 4096 times, which is seconds, if it began anew at each letter.
    expect(long).toBeLessThan(512 * Math.max(short, 1000));
  });

  it.each(['http://me:secret@', 'http://me:sec/ret@host', 'me:secret@host', 'ftp://me:secret@host/'])(
    'is without them in the error that "%s" is',
    (typed) => {
      expect(() => targetUrl(typed)).toThrow();
      expect(() => targetUrl(typed)).not.toThrow(/secret|sec\/ret|me:/);
    },
  );
});

describe('user and password of a URL', () => {
  it.each([
    ['http://me:secret@host/', 'me:secret'],
    ['http://me@host/', 'me:'],
    ['http://me:p%40ss%3Aword@host/', 'me:p@ss:word'],
    ['http://me:100%@host/', 'me:100%'],
    ['http://mé:ü@host/', 'mé:ü'],
  ])('of %s are sent as %s', (text, pair) => {
    const { url, headers } = splitCredentials(new URL(text));
    expect(url.href).toBe('http://host/');
    expect(Buffer.from(headers.authorization?.replace('Basic ', '') ?? '', 'base64').toString()).toBe(pair);
  });

  it('are none where there are none', () => {
    expect(splitCredentials(new URL('http://host/a@b')).headers).toEqual({});
  });
});
