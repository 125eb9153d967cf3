import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { readFile, stat, truncate, writeFile } from 'node:fs/promises';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import path from 'node:path';
import { afterEach, describe, expect, onTestFinished, test, vi } from 'vitest';
import { runServer } from '../../../src/cli/server/run-server.ts';
import { append, openAppend } from '../../../src/client/index.ts';
import { RootLock } from '../../../src/storage/root/root-lock.ts';
import { canMakeCertificates, makeCertificate } from '../../support/http/certificate.ts';
import { openSocket, parseAnswer, rawRequest, readToEnd, writeHead } from '../../support/http/raw.ts';
import { OriginalAppender, OriginalFollower } from '../../support/original/clients.ts';
import {
  CommandHere,
  portOf,
  RunningCommand,
  run,
  runHere,
  startServerCommand,
  startServerHere,
} from '../../support/programs/command.ts';
import { librariesIn, tellLoaded } from '../../support/programs/loaded-libraries.ts';
import { freePort } from '../../support/programs/ports.ts';
import { temporaryDirectory } from '../../support/server/server.ts';
import { waitFor } from '../../support/wait-for.ts';

const MIB = 1024 * 1024;

afterEach(() => void vi.unstubAllEnvs());

/** Appends through a server that was started in some way, and ends it. */
async function rootIsUsed(
  command: RunningCommand | CommandHere,
  root: string,
  host = '127.0.0.1',
): Promise<void> {
  const appender = await OriginalAppender.connect(`http://${host}:${await portOf(command)}/a`);
  await appender.write('x');
  await appender.close();
  await waitFor(
    () =>
      stat(path.join(root, 'a')).then(
        ({ size }) => size === 1,
        () => false,
      ),
    'the file',
  );
  command.signal('SIGTERM');
  expect(await command.exit).toBe(0);
}

describe('the options', () => {
  test.each([
    [(root: string) => [`-root=${root}`, '-http=127.0.0.1:0']],
    [(root: string) => ['-root', root, '-http', '127.0.0.1:0']],
    [(root: string) => [`--root=${root}`, '--http=localhost:0', '-log-level=info']],
    [(root: string) => ['--root', root, '--http', ':0']],
  ])('may have one dash or two and their value after = or a space (%#)', async (args) => {
    const root = await temporaryDirectory();
    await rootIsUsed(new CommandHere(runServer, args(root)), root, 'localhost');
  });

  test('may come from the environment, and the command line wins', async () => {
    const root = await temporaryDirectory();
    vi.stubEnv('HTTPFSTREAM_ROOT', root);
    vi.stubEnv('HTTPFSTREAM_HTTP', '127.0.0.1:0');
    await rootIsUsed(new CommandHere(runServer, []), root);
    const other = await temporaryDirectory();
    await rootIsUsed(new CommandHere(runServer, [`-root=${other}`]), other);
  });

  test('the root is made if it is missing, and is ./data without an option; no compiler of schemas is loaded, of which no route has any', async () => {
    const cwd = await temporaryDirectory();
    const env = { HTTPFSTREAM_HTTP: '127.0.0.1:0', HTTPFSTREAM_LOG_LEVEL: 'info', ...tellLoaded() };
    const command = new RunningCommand('httpfstream-server', [], { env, cwd });
    await rootIsUsed(command, path.join(cwd, 'data'));
    const libraries = librariesIn(command.stderr);
    expect(libraries).toContain('fastify');
    expect(libraries.filter((name) => /ajv/.test(name))).toEqual([]);
  });

  test.each(['-h', '--help'])(
    '%s names every option and shows examples, on stdout, exit code 0',
    async (option) => {
      const { exit, stdout, stderr } = await runHere(runServer, [option]);
      expect({ exit, stderr }).toEqual({ exit: 0, stderr: '' });
      for (const text of [
        '--root',
        '--http',
        '--long-poll',
        '--cors',
        '--allow-host',
        '--trust-proxy',
        '--index',
        '--admin',
        '--access-log',
        '--log-level',
        '--version',
        '--help',
        'HTTPFSTREAM_ROOT',
        'HTTPFSTREAM_HTTP',
        'HTTPFSTREAM_LONG_POLL',
        'HTTPFSTREAM_CORS',
        'HTTPFSTREAM_ALLOW_HOST',
        'HTTPFSTREAM_TRUST_PROXY',
        'HTTPFSTREAM_INDEX',
        'HTTPFSTREAM_ADMIN',
        'HTTPFSTREAM_ACCESS_LOG',
        'HTTPFSTREAM_LOG_LEVEL',
        ':8080',
        './data',
        'Examples:',
      ]) {
        expect(stdout).toContain(text);
      }
    },
  );

  test('--version shows the version, and loads no server for that', async () => {
    const manifest = JSON.parse(await readFile('package.json', 'utf8')) as { version: string };
    const { exit, stdout, stderr } = await run('httpfstream-server', ['--version'], { env: tellLoaded() });
    expect({ exit, stdout }).toEqual({ exit: 0, stdout: `${manifest.version}\n` });
    expect(librariesIn(stderr)).toEqual(['commander']);
  });

  test.each([
    [['-nonsense']],
    [['--root']],
    [['-http=8080']],
    [['-http', ':99999']],
    [['-log-level=loud']],
    [['-long-poll=soon']],
    [['-long-poll', '0']],
    [['-long-poll', '-1']],
    [['-cors', 'example.com']],
    [['-cors', 'https://example.com/path']],
    [['-cors', 'https://example.com,nonsense']],
    [['-allow-host', 'https://example.com']],
    [['-trust-proxy', 'all']],
    [['-index=perhaps']],
    [['-tls-cert', 'cert.pem']],
    [['-tls-cert', 'a.pem,b.pem', '-tls-key', 'a.key']],
    [['an argument']],
  ])('%j is wrong usage: one line on stderr, exit code 2', async (args) => {
    const { exit, stdout, stderr } = await runHere(runServer, args);
    expect({ exit, stdout }).toEqual({ exit: 2, stdout: '' });
    expect(stderr).toMatch(/^httpfstream-server: [^\n]+\n$/);
  });

  test('a wrong environment variable is wrong usage, too', async () => {
    const env = { HTTPFSTREAM_HTTP: 'nonsense' };
    const { exit, stderr } = await run('httpfstream-server', [], { env, cwd: await temporaryDirectory() });
    expect(exit).toBe(2);
    expect(stderr).toMatch(/^httpfstream-server: [^\n]+\n$/);
  });
});

/** Starts a server and makes the stream `/s`; returns its URL. */
async function streamOf(args: readonly string[], env: Record<string, string> = {}): Promise<string> {
  for (const [name, value] of Object.entries(env)) vi.stubEnv(name, value);
  const server = await startServerHere(...args);
  const url = server.url('/s');
  expect((await fetch(url, { method: 'PUT', headers: { 'content-type': 'text/plain' } })).status).toBe(201);
  return url;
}

describe('-long-poll', () => {
  test.each([
    [['-long-poll', '0.2'], {}],
    [[], { HTTPFSTREAM_LONG_POLL: '0.2' }],
    [['--long-poll=0.2'], { HTTPFSTREAM_LONG_POLL: '60' }],
  ])('%j %j is how long a reader waits for bytes', async (args, env) => {
    const poll = '?offset=0000000000000000_0000000000000000&live=long-poll';
    const byDefault = await streamOf([]);
    const longer = fetch(`${byDefault}${poll}`).then(() => 'by default');
    const url = await streamOf(args, env as Record<string, string>);
    const startMs = performance.now();
    const polled = fetch(`${url}${poll}`);
    expect(await Promise.race([longer, polled.then(() => 'as told')])).toBe('as told');
    expect((await polled).status).toBe(204);
    expect(performance.now() - startMs).toBeGreaterThan(150);
  });
});

describe('-cors', () => {
  const ONE = 'https://one.example';
  const OTHER = 'http://other.example:8080';
  const STRANGER = 'https://stranger.example';
  test.each([
    [[], {}, []],
    [['-cors', ONE], {}, [ONE]],
    [['-cors', ONE, `--cors=${OTHER}`], {}, [ONE, OTHER]],
    [['-cors', `${ONE}, ${OTHER}`], {}, [ONE, OTHER]],
    [['-cors', 'HTTPS://One.Example'], {}, [ONE]],
    [[], { HTTPFSTREAM_CORS: `${ONE},${OTHER}` }, [ONE, OTHER]],
    [['-cors', ONE], { HTTPFSTREAM_CORS: OTHER }, [ONE]],
    [[], { HTTPFSTREAM_CORS: '' }, []],
  ])('%j %j allows %j and no other', async (args, env, allowed) => {
    const url = await streamOf(args, env as Record<string, string>);
    const granted = async (origin: string) =>
      (await fetch(url, { headers: { origin } })).headers.get('access-control-allow-origin');
    for (const origin of [ONE, OTHER, STRANGER]) {
      expect(await granted(origin)).toBe((allowed as string[]).includes(origin) ? origin : null);
    }
  });

  test('* allows all', async () => {
    const url = await streamOf(['-cors', '*']);
    const { headers } = await fetch(url, { headers: { origin: STRANGER } });
    expect(headers.get('access-control-allow-origin')).toBe('*');
  });
});

test('-allow-host, -trust-proxy and -index reach the server', async () => {
  const server = await startServerHere('-allow-host=logs.example', '-trust-proxy', '-index');
  await writeFile(server.file('index.html'), 'index');
  const ask = (...headers: string[]) =>
    rawRequest(
      server.port,
      'GET / HTTP/1.1',
      headers.map((header) => `X-Forwarded-${header}`),
    );
  expect(await ask('Host: logs.example')).toMatchObject({ status: 200, body: 'index' });
  expect(await ask('Host: evil.example')).toMatchObject({ status: 421 });
});

describe('what makes it impossible to run', () => {
  test('an address for its own pages that is in use is told before anybody is let in', async () => {
    const other = createServer().listen(0, '127.0.0.1');
    onTestFinished(() => void other.close());
    await once(other, 'listening');
    const admin = `127.0.0.1:${(other.address() as AddressInfo).port}`;
    const root = await temporaryDirectory();
    for (const wait of ['0', '1']) {
      const args = ['-root', root, '-http', '127.0.0.1:0', '-admin', admin, '-wait-root', wait];
      const { exit, stdout, stderr } = await runHere(runServer, args);
      expect({ exit, stderr }).toMatchObject({
        exit: 1,
        stderr: expect.stringContaining(`${admin}: the port`),
      });
      expect(stdout).not.toContain('listening at');
    }
  });

  test('a port in use is one line on stderr, exit code 1', async () => {
    const blocker = createServer();
    await new Promise<void>((resolve) => blocker.listen(0, '127.0.0.1', resolve));
    onTestFinished(() => {
      blocker.close();
    });
    const address = `127.0.0.1:${(blocker.address() as AddressInfo).port}`;
    const root = await temporaryDirectory();
    const { exit, stderr } = await runHere(runServer, [`-root=${root}`, `-http=${address}`]);
    expect({ exit, stderr }).toEqual({
      exit: 1,
      stderr: `httpfstream-server: cannot listen on ${address}: the port is in use: stop what listens there, or choose another one (-http)\n`,
    });
  });

  test('a host that this machine has not is one line on stderr, exit code 1', async () => {
    const root = await temporaryDirectory();
    const { exit, stderr } = await runHere(runServer, [`-root=${root}`, '-http=192.0.2.1:0']);
    expect(exit).toBe(1);
    expect(stderr).toMatch(/^httpfstream-server: cannot listen on 192\.0\.2\.1:0: [^\n]+\n$/);
  });

  test('a root that is a file is one line on stderr that names it, exit code 1', async () => {
    const root = path.join(await temporaryDirectory(), 'file');
    await writeFile(root, '');
    const { exit, stderr } = await runHere(runServer, [`-root=${root}`, '-http=127.0.0.1:0']);
    expect(exit).toBe(1);
    expect(stderr).toMatch(/^httpfstream-server: [^\n]+\n$/);
    expect(stderr).toContain(root);
  });
});

describe('the end', () => {
  test.each([
    ['SIGTERM', startServerCommand],
    ['SIGINT', startServerHere],
  ] as const)(
    '%s closes in order: followers are told, files are whole, exit code 0',
    async (signal, start) => {
      const server = await start();
      const bytes = randomBytes(MIB);
      const appender = await OriginalAppender.connect(server.url('/a'));
      const follower = await OriginalFollower.connect(server.url('/a'));
      await appender.write(bytes);
      await waitFor(() => follower.byteCount === bytes.length, 'the bytes');
      server.command.signal(signal);
      expect(await follower.outcome).toMatchObject({ exitCode: 1, closeCode: 1011 });
      expect(await server.command.exit).toBe(0);
      expect((await readFile(server.file('a'))).equals(bytes)).toBe(true);
      expect(server.command.stderr).toBe('');
    },
  );

  test('SIGHUP closes in order at a terminal, which has gone then', async () => {
    const root = await temporaryDirectory();
    const args = [`-root=${root}`, '-http=127.0.0.1:0', '-log-level=info'];
    const command = new CommandHere(runServer, args, { isTTY: true });
    await portOf(command);
    command.signal('SIGHUP');
    expect(await command.exit).toBe(0);
  });

  test.runIf(canMakeCertificates)(
    'SIGHUP without one reads certificates again, and closes nothing',
    async () => {
      const directory = await temporaryDirectory();
      const [cert, key] = [path.join(directory, 'cert'), path.join(directory, 'key')];
      const renew = async () => {
        const made = await makeCertificate();
        await Promise.all([writeFile(cert, made.cert), writeFile(key, made.key)]);
        return made.cert;
      };
      const before = await renew();
      const server = await startServerHere('-tls-cert', cert, '-tls-key', key);
      const url = `https://127.0.0.1:${server.port}/a`;
      const appender = openAppend(url, { ca: before });
      await once(appender, 'open');
      const after = await renew();
      server.command.signal('SIGHUP');
      await waitFor(() => server.command.stdout.includes('certificates were loaded'), 'them to be read');
      await append(`${url}/../b`, 'text', { ca: after });
      appender.write('text');
      expect(await appender.close()).toMatchObject({ bytes: 4 });
    },
  );

  test('who comes is refused by the system from then on, and who is connected is answered', async () => {
    const adminPort = await freePort();
    const server = await startServerHere('-drain=60', '-admin', `127.0.0.1:${adminPort}`);
    const socket = await openSocket(server.port);
    const isReady = async () => {
      const { status } = await rawRequest(adminPort, 'GET /-/health/ready HTTP/1.1', ['Connection: close']);
      return status;
    };
    expect(await isReady()).toBe(200);
    server.command.signal('SIGTERM');
    await expect(openSocket(server.port)).rejects.toMatchObject({ code: 'ECONNREFUSED' });
    // Whoever runs it comes to the pages that are for him, over new connections, too.
    expect(await isReady()).toBe(503);
    const metrics = await rawRequest(adminPort, 'GET /-/metrics HTTP/1.1', ['Connection: close']);
    expect(metrics.status).toBe(200);
    writeHead(socket, 'GET / HTTP/1.1');
    const { status, headers } = parseAnswer(await readToEnd(socket));
    expect({ status, connection: headers.connection }).toEqual({ status: 200, connection: 'close' });
    expect(await server.command.exit).toBe(0);
    await expect(openSocket(adminPort)).rejects.toMatchObject({ code: 'ECONNREFUSED' });
  });

  test('SIGHUP in the first moments, while nothing is there that could be read again, ends nothing', async () => {
    const root = await temporaryDirectory();
    // Sent to itself as soon as anything of it is loaded.
    const hook = `const { on } = process;
      process.on = function (name, ...rest) {
        on.call(this, name, ...rest);
        if (name === 'exit') process.kill(process.pid, 'SIGHUP');
        return this;
      };`;
    const env = { NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(hook)}` };
    const args = [`-root=${root}`, '-http=127.0.0.1:0', '-drain=0'];
    const command = new RunningCommand('httpfstream-server', args, { env });
    await portOf(command);
    expect(command.stdout.toString()).toContain('reloading');
    command.signal('SIGTERM');
    expect(await command.exit).toBe(0);
  });

  test('the first signal ends it at once while it starts', async () => {
    const starting = vi.spyOn(RootLock, 'acquire');
    onTestFinished(() => starting.mockRestore());
    let giveUp = (_error: Error) => {};
    starting.mockReturnValue(new Promise((_, reject) => (giveUp = reject)));
    const root = await temporaryDirectory();
    const command = new CommandHere(runServer, [`-root=${root}`, '-http=127.0.0.1:0']);
    onTestFinished(() => giveUp(new Error('the test is over')));
    await waitFor(() => starting.mock.calls.length > 0, 'the start');
    expect(() => command.signal('SIGTERM')).toThrow('it would have ended this process: SIGTERM');
    expect(() => command.signal('SIGTERM')).toThrow('nothing listens to SIGTERM');
  });

  test('a second signal ends it at once, and does not make what is cut look finished', async () => {
    const server = await startServerCommand();
    // It never reads that it is to go, so that the server waits for it.
    const appender = await OriginalAppender.connect(server.url('/a'));
    await appender.write(Buffer.from('half\n'));
    const outcomes = await Promise.all(
      ['HTTP/1.0', 'HTTP/1.1'].map(async (version) => {
        const follower = await openSocket(server.port);
        const outcome = new Promise((resolve) => {
          follower.once('error', resolve).once('end', () => resolve('finished'));
        });
        writeHead(follower, `GET /a?verb=FOLLOW ${version}`);
        let text = '';
        follower.on('data', (chunk: Buffer) => {
          text += chunk;
        });
        await waitFor(() => text.includes('half'), 'the beginning');
        return { version, outcome };
      }),
    );
    server.command.signal('SIGTERM');
    await waitFor(() => server.command.stdout.includes('"closing"'), 'the closing to begin');
    server.command.signal('SIGTERM');
    for (const { version, outcome } of outcomes) {
      expect(await outcome, version).toMatchObject({ code: 'ECONNRESET' });
    }
    expect(await server.command.exit).toBe('SIGTERM');
  });

  test('a peer that does not react holds it up for a bounded time', async () => {
    const server = await startServerHere();
    const appender = await OriginalAppender.connect(server.url('/a'));
    const stalled = await OriginalFollower.connect(server.url('/a'), { stalled: true });
    await appender.write(randomBytes(16 * MIB));
    server.command.signal('SIGTERM');
    expect(await server.command.exit).toBe(0);
    stalled.resume();
    expect((await stalled.outcome).closeCode).not.toBe(1000);
  });

  const HANDSHAKE =
    'Host: x\r\nUpgrade: websocket\r\nConnection: upgrade\r\nSec-WebSocket-Version: 13\r\n' +
    `Sec-WebSocket-Key: ${Buffer.alloc(16).toString('base64')}\r\n\r\n`;

  /** Connects, sends a request, and reads no more than the beginning of the answer. */
  async function stalledRequest(port: number, head: string): Promise<Socket> {
    const socket = connect({ port, host: '127.0.0.1' });
    socket.on('error', () => undefined);
    onTestFinished(() => {
      socket.destroy();
    });
    socket.write(head);
    await once(socket, 'readable');
    return socket;
  }

  test.each([
    ['a handshake with a malformed escape', `GET /%zz HTTP/1.1\r\n${HANDSHAKE}`],
    ['a handshake with a method that it does not know', `LINK /a HTTP/1.1\r\n${HANDSHAKE}`],
    ['a handshake for what does not exist', `GET /none HTTP/1.1\r\n${HANDSHAKE}`],
    ['a handshake for an idle file, of which the answer is not read', `GET /idle HTTP/1.1\r\n${HANDSHAKE}`],
    ['a download that is not read', 'GET /idle HTTP/1.1\r\nHost: x\r\n\r\n'],
  ])('%s does not hold it up: exit code 0', async (_, head) => {
    const server = await startServerHere();
    await writeFile(server.file('idle'), '');
    await truncate(server.file('idle'), 64 * MIB);
    await stalledRequest(server.port, head);
    server.command.signal('SIGTERM');
    await waitFor(() => server.command.hasExited, 'the exit');
    expect(await server.command.exit).toBe(0);
    expect(server.command.stderr).toBe('');
  });

  test('clients that were refused and have left do not matter', async () => {
    const server = await startServerHere();
    for (const target of ['/%zz', '/none', '/']) {
      const socket = await stalledRequest(server.port, `GET ${target} HTTP/1.1\r\n${HANDSHAKE}`);
      socket.destroy();
    }
    await fetch(server.url('/'));
    server.command.signal('SIGTERM');
    expect(await server.command.exit).toBe(0);
  });

  test('a client that sends half a request does not hold it up', async () => {
    const server = await startServerHere();
    const socket = connect({ port: server.port, host: '127.0.0.1' });
    socket.on('error', () => undefined);
    onTestFinished(() => {
      socket.destroy();
    });
    await new Promise<void>((resolve) => socket.write('GET / HTTP/1.1\r\nHost:', () => resolve()));
    await fetch(server.url('/'));
    server.command.signal('SIGTERM');
    await waitFor(() => server.command.hasExited, 'the exit');
    expect(await server.command.exit).toBe(0);
  });
});
