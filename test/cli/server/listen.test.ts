import dns from 'node:dns';
import { once } from 'node:events';
import net, { type AddressInfo, type Socket } from 'node:net';
import path from 'node:path';
import Fastify, { type FastifyInstance } from 'fastify';
import { pino } from 'pino';
import { expect, onTestFinished, test, vi } from 'vitest';
import WebSocket from 'ws';
import { listen } from '../../../src/cli/server/listen.ts';
import { httpfstream } from '../../../src/server/plugin.ts';
import { createStandaloneServer } from '../../../src/server/standalone.ts';
import { parseAnswer, readHead, readToEnd, writeHead } from '../../support/http/raw.ts';
import { temporaryDirectory } from '../../support/server/server.ts';

const BOTH = [
  { address: '127.0.0.1', family: 4 },
  { address: '::1', family: 6 },
];

vi.mock('node:dns/promises', () => ({ lookup: async () => BOTH }));

const OFFER = ['Upgrade: h2c', 'Connection: Upgrade, HTTP2-Settings', 'HTTP2-Settings: AAMAAABkAAQAoAAA'];
const EXPECT = ['Expect: 100-continue', 'Content-Length: 4'];

const hasIpv6 = await new Promise<boolean>((resolve) => {
  const server = net.createServer().listen({ host: '::1', port: 0 });
  server.once('listening', () => server.close(() => resolve(true))).once('error', () => resolve(false));
});

async function startStandalone(log: string[] = []): Promise<FastifyInstance> {
  const root = path.join(await temporaryDirectory(), 'root');
  const logger = pino({}, { write: (line) => void log.push(line) });
  const app = await createStandaloneServer({ root, logger, closeTimeoutMs: 200 });
  await listen(app, { host: 'localhost', port: 0 });
  onTestFinished(() => app.close());
  return app;
}

async function connect(app: FastifyInstance, host: string): Promise<Socket> {
  const socket = net.connect((app.server.address() as AddressInfo).port, host);
  socket.on('error', () => undefined);
  onTestFinished(() => void socket.destroy());
  await once(socket, 'connect');
  return socket;
}

const statusOf = async (socket: Socket) => parseAnswer(await readHead(socket)).status;

test.skipIf(!hasIpv6).each(['127.0.0.1', '::1'])(
  'on localhost, %s has as few connections as the server may have',
  async (host) => {
    const app = Fastify();
    app.server.maxConnections = 1;
    await listen(app, { host: 'localhost', port: 0 });
    onTestFinished(() => app.close());
    const first = await connect(app, host);
    // Who is cut later, for having asked for nothing, is told so.
    expect(await readToEnd(await connect(app, host))).toHaveLength(0);
    expect(first.readyState).toBe('open');
  },
);

test.skipIf(!hasIpv6).each(['127.0.0.1', '::1'])(
  'on localhost, %s has all that a server does',
  async (host) => {
    const app = await startStandalone();
    const [first, second, reader] = [
      await connect(app, host),
      await connect(app, host),
      await connect(app, host),
    ];
    writeHead(first, 'PUT /f?verb=APPEND HTTP/1.1', EXPECT);
    expect(await statusOf(first)).toBe(100);
    writeHead(second, 'PUT /f?verb=APPEND HTTP/1.1', EXPECT);
    expect(await statusOf(second)).toBe(403);
    first.write('text');
    expect(await statusOf(first)).toBe(201);
    writeHead(first, 'POST /f?verb=APPEND HTTP/1.1', [...OFFER, ...EXPECT]);
    expect(await statusOf(first)).toBe(100);
    first.write('text');
    expect(await statusOf(first)).toBe(200);
    const { port } = app.server.address() as AddressInfo;
    const name = host.includes(':') ? `[${host}]` : host;
    const websocket = new WebSocket(`ws://${name}:${port}/f?verb=APPEND`);
    await once(websocket, 'open');
    websocket.close();
    await once(websocket, 'close');
    writeHead(reader, 'GET /f HTTP/1.1', ['Connection: close']);
    expect(parseAnswer(await readToEnd(reader)).body).toBe('texttext');
  },
);

test.skipIf(!hasIpv6).each(['127.0.0.1', '::1'])(
  'closing takes the connections of %s along, and says so when they are gone',
  async (host) => {
    const app = await startStandalone();
    const [idle, follower, appender] = [
      await connect(app, host),
      await connect(app, host),
      await connect(app, host),
    ];
    writeHead(idle, 'GET / HTTP/1.1');
    expect(await statusOf(idle)).toBe(200);
    writeHead(appender, 'PUT /f?verb=APPEND HTTP/1.1', [
      'Transfer-Encoding: chunked',
      'Expect: 100-continue',
    ]);
    expect(await statusOf(appender)).toBe(100);
    writeHead(follower, 'GET /f?verb=FOLLOW HTTP/1.1');
    expect(await statusOf(follower)).toBe(200);
    const { port } = app.server.address() as AddressInfo;
    const gone = Promise.all([idle, follower, appender].map((socket) => once(socket.resume(), 'close')));
    await app.close();
    await gone;
    const late = net.connect(port, host);
    await expect(once(late, 'connect')).rejects.toThrow();
  },
);

/** What listens for an application, or in place of it, at the port that it has. */
function entrancesOf(app: FastifyInstance): net.Server[] {
  const { port } = app.server.address() as AddressInfo;
  const active = (process as unknown as { _getActiveHandles(): unknown[] })._getActiveHandles();
  const servers = active.filter((handle) => handle instanceof net.Server);
  return servers.filter((server) => (server.address() as AddressInfo | null)?.port === port);
}

test.skipIf(!hasIpv6)(
  'a connection that cannot be accepted, at whichever address, is told in the log and closes nothing',
  async () => {
    const log: string[] = [];
    const app = await startStandalone(log);
    const entrances = entrancesOf(app);
    expect(entrances).toHaveLength(2);
    for (const entrance of entrances) {
      entrance.emit(
        'error',
        Object.assign(new Error('accept ENFILE'), { code: 'ENFILE', syscall: 'accept' }),
      );
    }
    expect(log.filter((line) => line.includes('accept ENFILE'))).toHaveLength(2);
    for (const host of ['127.0.0.1', '::1']) {
      const socket = await connect(app, host);
      writeHead(socket, 'GET / HTTP/1.1');
      expect(await statusOf(socket)).toBe(200);
    }
  },
);

test.skipIf(!hasIpv6)('an address that is taken is left out', async () => {
  const other = net.createServer().listen({ host: '::1', port: 0 });
  await once(other, 'listening');
  onTestFinished(() => void other.close());
  const root = path.join(await temporaryDirectory(), 'root');
  const app = await createStandaloneServer({ root, logger: pino({ level: 'silent' }) });
  onTestFinished(() => app.close());
  await listen(app, { host: 'localhost', port: (other.address() as AddressInfo).port });
  const socket = await connect(app, '127.0.0.1');
  writeHead(socket, 'GET / HTTP/1.1');
  expect(await statusOf(socket)).toBe(200);
});

test.skipIf(!hasIpv6)(
  "an application's second server for localhost, which Fastify opens, ignores upgrades, too",
  async () => {
    const lookup = vi.spyOn(dns, 'lookup').mockImplementation(((host: string, ...rest: unknown[]) => {
      const done = rest.at(-1) as (...answer: unknown[]) => void;
      const isAll = (rest[0] as { all?: boolean }).all === true;
      const all = host === 'localhost' ? BOTH : BOTH.filter(({ address }) => address === host);
      setImmediate(() => (isAll ? done(null, all) : done(null, all[0]?.address, all[0]?.family)));
    }) as never);
    onTestFinished(() => lookup.mockRestore());
    const app = Fastify();
    await app.register(httpfstream, { root: await temporaryDirectory(), closeTimeoutMs: 200 });
    await app.listen({ host: 'localhost', port: 0 });
    onTestFinished(() => app.close());
    expect(app.addresses()).toHaveLength(2);
    const socket = await connect(app, '::1');
    for (const status of [201, 200]) {
      writeHead(socket, 'PUT /f?verb=APPEND HTTP/1.1', [...OFFER, 'Content-Length: 4']);
      socket.write('text');
      expect(await statusOf(socket)).toBe(status);
    }
  },
);
