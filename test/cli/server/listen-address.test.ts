import { describe, expect, test } from 'vitest';
import {
  formatListenAddress,
  isLoopback,
  localHost,
  parseListenAddress,
} from '../../../src/cli/server/listen-address.ts';

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

describe('what listens on an address', () => {
  test.each([
    [undefined, 'localhost', false],
    ['::', 'localhost', false],
    ['0.0.0.0', 'localhost', false],
    ['localhost', 'localhost', true],
    ['127.0.0.1', '127.0.0.1', true],
    ['127.1.2.3', '127.1.2.3', true],
    ['::1', '::1', true],
    ['192.0.2.1', '192.0.2.1', false],
    ['127.example.com', '127.example.com', false],
  ])('as %s is asked for as %s (for this machine only: %s)', (host, name, isOnlyHere) => {
    const address = host === undefined ? { port: 1 } : { host, port: 1 };
    expect(localHost(address)).toBe(name);
    expect(isLoopback(address)).toBe(isOnlyHere);
  });
});
