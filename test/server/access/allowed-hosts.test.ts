import { hostname } from 'node:os';
import { describe, expect, it } from 'vitest';
import { AllowedHosts } from '../../../src/server/access/allowed-hosts.ts';

describe('the names that are served', () => {
  it.each([
    '127.0.0.1',
    '192.0.2.1',
    '[::1]',
    '[2001:db8::1]',
    'localhost',
    'app.localhost',
    'server',
    'printer.local',
    'logs.internal',
    'a.b.test',
    'router.home.arpa',
    hostname().toLowerCase(),
    hostname().toLowerCase().split('.', 1)[0] as string,
  ])('%s is among them without being named', (name) => {
    expect(new AllowedHosts([]).has(name)).toBe(true);
  });

  it.each([
    'example.com',
    'evil.example',
    'nothing.invalid',
    'hidden.onion',
    'router.lan',
    'a.home',
    'localhost.example.com',
    'test.com',
    'mytest.com',
    'local.net',
    'home.arpa.net',
    '127.0.0.1.nip.io',
    '1.2.3',
    '256.256.256.256',
  ])('%s is not', (name) => {
    expect(new AllowedHosts([]).has(name)).toBe(false);
  });

  it('can be named, in any case, with a dot at the end', () => {
    const hosts = new AllowedHosts(['Logs.Example.COM', 'example.org.']);
    expect(hosts.has('logs.example.com')).toBe(true);
    expect(hosts.has('example.org')).toBe(true);
    expect(hosts.has('example.com')).toBe(false);
    expect(hosts.has('a.logs.example.com')).toBe(false);
  });

  it('can be all below a name, which is not among them', () => {
    const hosts = new AllowedHosts(['*.example.com']);
    expect(hosts.has('logs.example.com')).toBe(true);
    expect(hosts.has('a.b.example.com')).toBe(true);
    expect(hosts.has('example.com')).toBe(false);
    expect(hosts.has('badexample.com')).toBe(false);
  });

  it('can be all', () => {
    expect(new AllowedHosts(['*']).has('evil.example')).toBe(true);
  });
});
