import { Command } from 'commander';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { limitsOf } from '../../../src/cli/server/limit-options.ts';
import { addServerOptions, type ServerOptions } from '../../../src/cli/server/server-options.ts';

afterEach(() => void vi.unstubAllEnvs());

function parse(...argv: string[]): ServerOptions {
  const command = addServerOptions(new Command())
    .exitOverride()
    .configureOutput({ writeErr: () => undefined });
  return command.parse(argv, { from: 'user' }).opts<ServerOptions>();
}

describe('without options', () => {
  test('only this machine is served, and nobody else is believed', () => {
    expect(parse()).toMatchObject({
      http: { host: 'localhost', port: 8080 },
      cors: [],
      allowHost: [],
      trustProxy: [],
      index: false,
    });
  });
});

describe('--allow-host', () => {
  test.each([
    [['--allow-host', 'logs.example.com'], '', ['logs.example.com']],
    [
      ['--allow-host=A.example,b.example', '--allow-host', '*.c.example.'],
      '',
      ['a.example', 'b.example', '*.c.example.'],
    ],
    [['--allow-host', '*'], '', ['*']],
    [[], 'a.example, b.example', ['a.example', 'b.example']],
    [['--allow-host', 'a.example'], 'b.example', ['a.example']],
    [[], '', []],
  ])('%j and "%s" in the environment are %j', (argv, environment, hosts) => {
    vi.stubEnv('HTTPFSTREAM_ALLOW_HOST', environment);
    expect(parse(...argv).allowHost).toEqual(hosts);
  });

  test.each(['a.example:8080', 'https://a.example', 'a/b', 'a b', '*a.example', 'a.*', '[::1]'])(
    '"%s" is none',
    (name) => {
      expect(() => parse('--allow-host', name)).toThrow();
    },
  );
});

describe('--trust-proxy', () => {
  test.each([
    [['--trust-proxy'], '', ['loopback']],
    [['--trust-proxy', '--index'], '', ['loopback']],
    [
      ['--trust-proxy', '10.0.0.1,uniquelocal', '--trust-proxy=fd00::/8'],
      '',
      ['10.0.0.1', 'uniquelocal', 'fd00::/8'],
    ],
    [[], '192.0.2.0/24', ['192.0.2.0/24']],
    [[], '', []],
  ])('%j and "%s" in the environment are %j', (argv, environment, proxies) => {
    vi.stubEnv('HTTPFSTREAM_TRUST_PROXY', environment);
    expect(parse(...argv).trustProxy).toEqual(proxies);
  });

  test.each([
    'true',
    '*',
    'all',
    'proxy.example',
    '10.0.0.0/33',
    '0.0.0.0/0',
    '::/129',
    '10.0.0.1/',
    '10.0.0',
  ])('"%s" is none: not everybody can be believed', (proxy) => {
    expect(() => parse('--trust-proxy', proxy)).toThrow();
  });
});

describe('--index', () => {
  test.each([
    [['--index'], undefined, true],
    [['--index=true'], undefined, true],
    [['--index=false'], '1', false],
    [[], 'true', true],
    [[], '1', true],
    [[], '0', false],
    [[], 'false', false],
    [[], '', false],
  ])('%j and %j in the environment are %j', (argv, environment, index) => {
    vi.stubEnv('HTTPFSTREAM_INDEX', environment);
    expect(parse(...argv).index).toBe(index);
  });

  test('is nothing else', () => {
    expect(() => parse('--index=perhaps')).toThrow();
  });
});

describe('--file-mode', () => {
  test.each([
    [[], '', 0o644],
    [['--file-mode', '0640'], '', 0o640],
    [['--file-mode=660'], '', 0o660],
    [[], '0600', 0o600],
    [['--file-mode', '0644'], '0600', 0o644],
  ])('%j and "%s" in the environment are %i', (argv, environment, mode) => {
    if (environment !== '') vi.stubEnv('HTTPFSTREAM_FILE_MODE', environment);
    expect(parse(...argv).fileMode).toBe(mode);
  });

  test.each(['0444', '04644', '0o644', '648', 'u+rw', '', '64'])('"%s" is none', (text) => {
    expect(() => parse('--file-mode', text)).toThrow();
  });
});

describe('--upstream', () => {
  test.each([
    [['--upstream', 'http://a:1'], '', ['http://a:1']],
    [
      ['--upstream=http://a:1,/b=https://c/d', '--upstream', '/e=http://f'],
      '',
      ['http://a:1', '/b=https://c/d', '/e=http://f'],
    ],
    [[], 'http://a:1', ['http://a:1']],
    [[], '', []],
  ])('%j and "%s" in the environment are %j', (argv, environment, upstreams) => {
    vi.stubEnv('HTTPFSTREAM_UPSTREAM', environment);
    expect(parse(...argv).upstream).toEqual(upstreams);
  });

  test.each(['a:1', 'ftp://a', '/b=', 'http://a/?q', 'http://a/#f'])('not "%s"', (text) => {
    expect(() => parse(`--upstream=${text}`)).toThrow('It must look like http://host:8080');
  });
});

describe('--upstream-header-file and --upstream-authorization', () => {
  test('name an upstream by its prefix', () => {
    expect(parse('--upstream-header-file', '/etc/a, /b/=/etc/B').upstreamHeaderFile).toEqual([
      { prefix: '', file: '/etc/a' },
      { prefix: '/b', file: '/etc/B' },
    ]);
    expect(parse('--upstream-authorization', '/,/b/').upstreamAuthorization).toEqual(['', '/b']);
    for (const text of ['b', '/\u0000']) {
      expect(() => parse('--upstream-authorization', text)).toThrow('It must be a path');
    }
  });
});

describe('--upstream-keep', () => {
  test('is off without being given', () => {
    expect([parse().upstreamKeep, parse('--upstream-keep').upstreamKeep]).toEqual([false, true]);
  });
});

describe('--upstream-max-bytes', () => {
  test('is a number of bytes', () => {
    expect(parse().upstreamMaxBytes).toBe(Number.MAX_SAFE_INTEGER);
    expect(parse('--upstream-max-bytes', '1000').upstreamMaxBytes).toBe(1000);
  });

  test.each(['1G', '-1', '', '1e3', '99999999999999999999'])('not "%s"', (text) => {
    expect(() => parse(`--upstream-max-bytes=${text}`)).toThrow('It must be a whole number of bytes');
  });
});

describe('limits', () => {
  test('are these by default; what stays free of the disk depends on that', () => {
    const options = parse();
    expect(options).toMatchObject({ quota: [], maxLive: 10_000, maxFollowers: 10_000, rate: 200 });
    expect(options).toMatchObject({
      maxWaiting: 4000,
      maxWaitingPerClient: 256,
      maxConnectionsPerAddress: 1024,
    });
    expect([options.minFree, options.minFreeFiles, options.maxConnections]).toEqual([null, null, null]);
    expect(limitsOf(options)).not.toHaveProperty('minFreeBytes');
  });

  test.each([
    ['0', 0],
    ['1048576', 1_048_576],
    ['1KiB', 1024],
    ['10GiB', 10 * 2 ** 30],
    ['2TiB', 2 * 2 ** 40],
  ])('%s is a number of bytes', (text, bytes) => {
    expect(limitsOf(parse('--min-free', text, '--max-resource', text))).toMatchObject({
      minFreeBytes: bytes,
      maxResourceBytes: bytes,
    });
  });

  test.each(['', '-1', '1.5', '1k', '10GB', '1 GiB', '9007199254740992', '9000TiB'])(
    '"%s" is none',
    (text) => {
      expect(() => parse('--min-free', text)).toThrow();
    },
  );

  test.each([
    [['--quota', '/**=10GiB', '--quota', '/builds/*/**=1'], ''],
    [['--quota', '/**=10GiB,/builds/*/**=1'], ''],
    [[], '/**=10GiB, /builds/*/**=1'],
  ])('%j and "%s" in the environment are two quotas', (argv, environment) => {
    vi.stubEnv('HTTPFSTREAM_QUOTA', environment);
    expect(parse(...argv).quota).toEqual([
      { pattern: '/**', bytes: 10 * 2 ** 30 },
      { pattern: '/builds/*/**', bytes: 1 },
    ]);
  });

  test('--quota of paths that have one is refused', () => {
    expect(() => parse('--quota', '/a/**=1,/b/**=1', '--quota', '/a/**=2')).toThrow(
      'another quota for /a/**',
    );
  });

  test.each(['/**', '/**=', '=1'])('"%s" is told what a quota looks like', (text) => {
    expect(() => parse('--quota', text)).toThrow('It must look like /builds/**=10GiB.');
  });

  test.each(['/**', '/**=', 'a=1', '/a/=1', '/a**=1', '/**=1k', '=1'])('"%s" is no quota', (text) => {
    expect(() => parse('--quota', text)).toThrow();
  });

  test.each(['--max-live', '--max-followers', '--max-connections', '--max-connections-per-address'])(
    '%s is at least 1',
    (option) => {
      expect(() => parse(option, '0')).toThrow();
      expect(() => parse(option, 'many')).toThrow();
      expect(Object.values(limitsOf(parse(option, '7')))).toContain(7);
    },
  );

  test('a rate of 0 is any', () => {
    expect(limitsOf(parse('--rate', '0'))).toMatchObject({ rate: 0 });
  });
});
