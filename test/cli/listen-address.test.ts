import { describe, expect, test } from 'vitest';
import { formatListenAddress, parseListenAddress } from '../../src/cli/listen-address.ts';

describe('parseListenAddress', () => {
  test.each([
    [':8080', { port: 8080 }],
    [':0', { port: 0 }],
    [':65535', { port: 65_535 }],
    ['localhost:80', { host: 'localhost', port: 80 }],
    ['127.0.0.1:9000', { host: '127.0.0.1', port: 9000 }],
    ['[::1]:8080', { host: '::1', port: 8080 }],
    ['[::]:8080', { host: '::', port: 8080 }],
    ['logs.example.org:443', { host: 'logs.example.org', port: 443 }],
  ])('understands %s, and writes it the same way', (text, address) => {
    expect(parseListenAddress(text)).toEqual(address);
    expect(formatListenAddress(address)).toBe(text);
  });

  test.each([
    '',
    '8080',
    'localhost',
    ':',
    ':http',
    ':-1',
    ':65536',
    ':123456',
    '::1:8080',
    '[::1]',
    '[]:80',
    'a:b:80',
    ':80 ',
  ])('refuses "%s"', (text) => {
    expect(parseListenAddress(text)).toBeUndefined();
  });
});
