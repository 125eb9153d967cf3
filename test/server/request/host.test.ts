import { describe, expect, it } from 'vitest';
import { parseHost } from '../../../src/server/request/host.ts';

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
