import { Agent } from 'node:http';
import { buffer } from 'node:stream/consumers';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { requestResource } from '../../../src/cli/resource-request.ts';
import { append, follow } from '../../../src/client/index.ts';
import { proxyAgentFor } from '../../../src/http/node/proxy-agent.ts';
import { ConnectProxy } from '../../support/http/connect-proxy.ts';
import { startServer } from '../../support/server/server.ts';
import { waitFor } from '../../support/wait-for.ts';
import { readingError, rejection } from '../client-server.ts';

/** A name that nobody but the proxy knows. */
const FILE = 'http://files/a';

beforeEach(() => {
  for (const name of ['http_proxy', 'https_proxy', 'all_proxy', 'no_proxy']) {
    vi.stubEnv(name, '');
    vi.stubEnv(name.toUpperCase(), '');
  }
});

afterEach(() => {
  vi.unstubAllEnvs();
});

describe('through the proxy that the environment names', () => {
  test.each(['http_proxy', 'HTTP_PROXY', 'ALL_PROXY'])(
    'in %s, clients append and follow',
    async (variable) => {
      const proxy = await ConnectProxy.start((await startServer()).port);
      vi.stubEnv(variable, proxy.url.replace('//', '//me:secret%20word@'));
      await append(FILE, 'hello');
      expect(String(await buffer(follow(FILE.replace('http', 'ws'))))).toBe('hello');
      const authorization = `Basic ${Buffer.from('me:secret word').toString('base64')}`;
      expect(proxy.asked).toEqual([
        { target: 'files:80', authorization },
        { target: 'files:80', authorization },
      ]);
      await waitFor(() => proxy.sockets.size === 0, 'the tunnels to be closed');
    },
  );

  test('commands ask for what they need to know', async () => {
    const server = await startServer();
    await append(server.url('/a'), 'hello');
    const proxy = await ConnectProxy.start(server.port);
    vi.stubEnv('HTTP_PROXY', proxy.url);
    const { status, headers } = await requestResource(FILE, { method: 'HEAD', headers: {} });
    expect({ status, length: headers.get('content-length') }).toEqual({ status: 200, length: '5' });
    expect(proxy.asked).toHaveLength(1);
  });

  test('nobody connects who has an agent of his own', async () => {
    const server = await startServer();
    const proxy = await ConnectProxy.start(server.port);
    vi.stubEnv('HTTP_PROXY', proxy.url);
    const agent = new Agent({
      host: '127.0.0.1',
      lookup: (_name, _options, found) => found(null, '127.0.0.1', 4),
    });
    await append(`http://files:${server.port}/a`, 'hello', { agent });
    expect(proxy.asked).toEqual([]);
  });
});

describe('a proxy', () => {
  test('that refuses is told by its status', async () => {
    const proxy = await ConnectProxy.start(1, 'HTTP/1.1 407 Who Are You\r\nContent-Length: 0\r\n\r\n');
    vi.stubEnv('HTTP_PROXY', proxy.url);
    expect(await rejection(append(FILE, 'x'))).toMatchObject({ code: 'HFS_UNEXPECTED_STATUS', status: 407 });
    await waitFor(() => proxy.sockets.size === 0, 'the connection to be closed');
  });

  test('that says nothing is let go of with the stream', async () => {
    const proxy = await ConnectProxy.start(1, '');
    vi.stubEnv('HTTP_PROXY', proxy.url);
    const readable = follow(FILE);
    const failed = readingError(readable);
    await waitFor(() => proxy.asked.length === 1, 'the request');
    const enough = new Error('enough');
    readable.destroy(enough);
    expect(await failed).toBe(enough);
    await waitFor(() => proxy.sockets.size === 0, 'the connection to be closed');
  });

  test('that is not there is a connection that failed', async () => {
    vi.stubEnv('HTTP_PROXY', 'http://127.0.0.1:1');
    expect(await readingError(follow(FILE))).toMatchObject({ code: 'HFS_CONNECTION' });
  });

  test.each(['socks5://me:secret@127.0.0.1:1080', 'http://me:secret@:x'])(
    'that is none (%s) is told at once, without its password',
    async (proxy) => {
      vi.stubEnv('HTTP_PROXY', proxy);
      const message = 'the proxy that the environment names is no http or https URL';
      expect(() => follow(FILE)).toThrow(new TypeError(message));
      expect(await rejection(append(FILE, 'x'))).toEqual(new TypeError(message));
    },
  );
});

describe('the way to a server', () => {
  const signal = new AbortController().signal;
  const hasProxy = (url: string) => proxyAgentFor(new URL(url), signal) !== undefined;

  test('is the proxy of its scheme, that of WebSockets being that of HTTP', () => {
    vi.stubEnv('HTTPS_PROXY', 'proxy.example:3128');
    expect(['https://a.example/', 'wss://a.example/'].map(hasProxy)).toEqual([true, true]);
    expect(['http://a.example/', 'ws://a.example/'].map(hasProxy)).toEqual([false, false]);
  });

  test('is direct for what NO_PROXY has', () => {
    vi.stubEnv('ALL_PROXY', 'http://proxy.example');
    vi.stubEnv('NO_PROXY', 'files,.inside.example,other.example:8080');
    const direct = [
      'http://files/',
      'ws://files:81/',
      'https://a.inside.example/',
      'ws://other.example:8080/',
    ];
    expect(direct.filter(hasProxy)).toEqual([]);
    const others = [
      'http://file/',
      'http://inside.example/',
      'http://other.example/',
      'http://a.other.example:8080/',
    ];
    expect(others.filter(hasProxy)).toEqual(others);
  });

  test('is direct to this machine, whatever is set', () => {
    vi.stubEnv('ALL_PROXY', 'http://proxy.example');
    const here = [
      'http://localhost:1/',
      'http://a.localhost/',
      'ws://127.0.0.1/',
      'https://127.9.9.9/',
      'http://[::1]:8080/',
    ];
    expect(here.filter(hasProxy)).toEqual([]);
    const others = [
      'http://localhost.example/',
      'http://128.0.0.1/',
      'http://127.0.0.1.example/',
      'http://[::2]/',
    ];
    expect(others.filter(hasProxy)).toEqual(others);
  });
});
