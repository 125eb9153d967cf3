import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { chmod, open, rename, rm, writeFile } from 'node:fs/promises';
import type { IncomingMessage } from 'node:http';
import https from 'node:https';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import { buffer } from 'node:stream/consumers';
import tls from 'node:tls';
import { type Logger, pino } from 'pino';
import { beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import {
  append,
  ForbiddenRightError,
  follow,
  openAppend,
  UnauthorizedError,
} from '../../src/client/index.ts';
import { TlsCertificates } from '../../src/server/node/connections/tls-certificates.ts';
import { ServerSockets } from '../../src/server/node/server-sockets.ts';
import { createStandaloneServer, type StandaloneOptions } from '../../src/server/standalone.ts';
import { type Certificate, canMakeCertificates, makeCertificate } from '../support/http/certificate.ts';
import { openSocket, parseAnswer, readHead, readToEnd, writeHead } from '../support/http/raw.ts';
import { send } from '../support/http/request.ts';
import { bridgeToTls } from '../support/http/tls-bridge.ts';
import { lendReserve } from '../support/server/reserves.ts';
import { RuleAccess } from '../support/server/rule-access.ts';
import { temporaryDirectory } from '../support/server/server.ts';
import { waitFor } from '../support/wait-for.ts';
import { Peer } from '../support/websocket/peer.ts';
import { V2Peer } from '../support/websocket/v2-peer.ts';

const MIB = 1024 * 1024;

let first: Certificate;
let other: Certificate;

beforeAll(async () => {
  if (canMakeCertificates)
    [first, other] = await Promise.all([makeCertificate('a.test'), makeCertificate('*.b.test')]);
});

/** Files of a certificate; written anew as a program does that renews it, one after the other. */
class Files {
  readonly cert: string;
  readonly key: string;

  constructor(directory: string, name: string) {
    this.cert = path.join(directory, `${name}.cert`);
    this.key = path.join(directory, `${name}.key`);
  }

  async write(certificate: Certificate, which: readonly ('cert' | 'key')[] = ['cert', 'key']): Promise<void> {
    for (const kind of which) {
      await writeFile(`${this[kind]}.new`, certificate[kind]);
      await rename(`${this[kind]}.new`, this[kind]);
    }
  }
}

/** The standalone server with two certificates. Its logger keeps what it was told. */
async function startSecure(options: Pick<StandaloneOptions, 'access' | 'maxConnections'> = {}) {
  const directory = await temporaryDirectory();
  const root = path.join(directory, 'root');
  await lendReserve(root);
  const log: string[] = [];
  const logger: Logger = pino({}, { write: (line) => void log.push(line) });
  const files = [new Files(directory, 'a'), new Files(directory, 'b')] as const;
  await files[0].write(first);
  await files[1].write(other);
  const certificates = await TlsCertificates.load(files, logger);
  const app = await createStandaloneServer({
    root,
    logger,
    closeTimeoutMs: 200,
    certificates,
    ...options,
  });
  await app.listen({ host: '127.0.0.1', port: 0 });
  onTestFinished(() => app.close());
  const { port } = app.server.address() as AddressInfo;
  return {
    app,
    root,
    port,
    log,
    files,
    certificates,
    url: (name: string) => `https://127.0.0.1:${port}${name}`,
  };
}

/** The names that a server's certificate has for whoever asks for a name. */
async function namesShown(port: number, servername?: string): Promise<string> {
  const socket = tls.connect({
    port,
    host: '127.0.0.1',
    rejectUnauthorized: false,
    ...(servername !== undefined && { servername }),
  });
  onTestFinished(() => void socket.destroy());
  await once(socket, 'secureConnect');
  const { subjectaltname = '' } = socket.getPeerCertificate();
  socket.destroy();
  return subjectaltname;
}

describe.runIf(canMakeCertificates)('over TLS', () => {
  test('clients append and follow, by WebSocket and by HTTP, as they do without', async () => {
    const server = await startSecure();
    const options = { ca: first.cert };
    const appender = openAppend(server.url('/live'), options);
    await once(appender, 'open');
    appender.write('one\n');
    const follower = follow(server.url('/live'), options);
    const all = buffer(follower);
    const port = await bridgeToTls(server.port);
    const reader = await openSocket(port);
    writeHead(reader, 'GET /live?verb=FOLLOW HTTP/1.1', ['Connection: close']);
    expect(parseAnswer(await readHead(reader)).status).toBe(200);
    const rest = readToEnd(reader);
    appender.write(Buffer.alloc(MIB, 'x'));
    await appender.close();
    expect((await all).length).toBe(MIB + 4);
    expect(/\r\n0\r\n(?:.+\r\n)*\r\n$/.test((await rest).toString())).toBe(true);
    const upload = await openSocket(port);
    writeHead(upload, 'PUT /put?verb=APPEND HTTP/1.1', [
      'Transfer-Encoding: chunked',
      'Expect: 100-continue',
    ]);
    expect(parseAnswer(await readHead(upload)).status).toBe(100);
    upload.write('4\r\ntext\r\n0\r\n\r\n');
    expect(parseAnswer(await readHead(upload)).status).toBe(201);
    const legacy = await Peer.connect(`http://127.0.0.1:${port}/legacy`, 'APPEND');
    await legacy.send(Buffer.from('text'));
    await legacy.finish();
    const sizes = await Promise.all(
      ['/live', '/put', '/legacy'].map(async (name) => {
        const request = https.get(server.url(name), { ca: first.cert, agent: false });
        const [response] = (await once(request, 'response')) as [IncomingMessage];
        return (await buffer(response)).length;
      }),
    );
    expect(sizes).toEqual([MIB + 4, 4, 4]);
  });

  test('what is cut looks cut: to clients of HTTP/1.0, too, which go by the end of the connection', async () => {
    const server = await startSecure();
    await append(server.url('/f'), 'text', { ca: first.cert });
    const appender = openAppend(server.url('/f'), { ca: first.cert });
    await once(appender, 'open');
    onTestFinished(() => void appender.on('error', () => {}).destroy());
    const socket = tls.connect({ port: server.port, host: '127.0.0.1', rejectUnauthorized: false });
    await once(socket, 'secureConnect');
    socket.write('GET /f?verb=FOLLOW HTTP/1.0\r\nHost: x\r\n\r\n');
    await once(socket, 'data');
    ServerSockets.of(server.app.server).cut();
    const [error] = await once(socket, 'error');
    expect(error).toMatchObject({ code: 'ECONNRESET' });
  });

  test('who loses a right is told so, cut, or refused, as without', async () => {
    const access = new RuleAccess({ t: { rules: { '/**': ['follow', 'append'] } } });
    const server = await startSecure({ access });
    const port = await bridgeToTls(server.port);
    const headers = { authorization: 'Bearer t' };
    const options = { ca: first.cert, token: 't' };
    const appender = openAppend(server.url('/f'), options);
    await once(appender, 'open');
    appender.write('text');
    const peer = await V2Peer.follow(`http://127.0.0.1:${port}/f`, {}, { headers });
    await peer.until(() => peer.text === 'text', 'the bytes');
    const reader = await openSocket(port);
    writeHead(reader, 'GET /f?verb=FOLLOW HTTP/1.0', ['Authorization: Bearer t']);
    await once(reader, 'data');
    const cut = once(reader, 'error');
    const waiting = send('GET', `http://127.0.0.1:${port}/missing?verb=FOLLOW&wait=60`, { headers });
    const refused = once(appender, 'error');
    // By then it waits.
    await expect(append(server.url('/g'), 'text', options)).resolves.toBeDefined();
    access.change({});
    expect(await refused).toEqual([expect.any(ForbiddenRightError)]);
    await peer.until(() => peer.closeCode !== undefined, 'the close');
    expect([peer.end, peer.closeCode]).toEqual([undefined, 3003]);
    expect(await cut).toMatchObject([{ code: 'ECONNRESET' }]);
    expect((await waiting).status).toBe(401);
    await expect(append(server.url('/f'), 'text', options)).rejects.toThrow(UnauthorizedError);
  });

  test('who says nothing counts among the connections, too', async () => {
    const server = await startSecure({ maxConnections: 2 });
    const silent = await Promise.all([openSocket(server.port), openSocket(server.port)]);
    const isAppended = () =>
      append(server.url('/f'), 'text', { ca: first.cert }).then(
        () => true,
        () => false,
      );
    expect(await isAppended()).toBe(false);
    silent[0].destroy();
    await waitFor(isAppended, 'its place');
  });

  test('who says nothing, or no TLS, holds up no close', async () => {
    const server = await startSecure();
    const sockets = await Promise.all([openSocket(server.port), openSocket(server.port)]);
    sockets[0].write('\x16\x03\x01');
    const ends = Promise.all(
      sockets.map((socket) => new Promise((resolve) => socket.resume().once('close', resolve))),
    );
    const startMs = performance.now();
    await server.app.close();
    await ends;
    // The limit for a handshake is 10 s.
    expect(performance.now() - startMs).toBeLessThan(9000);
  });
});

describe.runIf(canMakeCertificates)('of several certificates', () => {
  test('a client gets the one that has the name for which it asks, else the first', async () => {
    const { port } = await startSecure();
    expect(await namesShown(port, 'a.test')).toContain('a.test');
    expect(await namesShown(port, 'x.b.test')).toContain('*.b.test');
    expect(await namesShown(port, 'unknown.test')).toContain('a.test');
    expect(await namesShown(port)).toContain('a.test');
  });

  test('new ones are for new connections, and those that are open stay', async () => {
    const server = await startSecure();
    const appender = openAppend(server.url('/f'), { ca: first.cert });
    await once(appender, 'open');
    appender.write('before\n');
    await server.files[0].write(await makeCertificate('renewed.test'));
    await server.files[1].write(await makeCertificate('*.c.test'));
    await server.certificates.reload();
    expect(await namesShown(server.port)).toContain('renewed.test');
    expect(await namesShown(server.port, 'x.c.test')).toContain('*.c.test');
    expect(await namesShown(server.port, 'x.b.test')).toContain('renewed.test');
    appender.write('after\n');
    expect(await appender.close()).toMatchObject({ bytes: 13 });
  });

  test('as long as one is half replaced all stay, and it is looked at again', async () => {
    const server = await startSecure();
    const renewed = await makeCertificate('renewed.test');
    await server.files[0].write(renewed, ['cert']);
    await server.certificates.reload();
    expect(server.log.at(-1)).toMatch(/"level":50.*are no certificate and its key.*looked at again/);
    expect(await namesShown(server.port)).toContain('a.test');
    await server.files[0].write(renewed, ['key']);
    await waitFor(async () => (await namesShown(server.port)).includes('renewed.test'), 'the new one');
  });

  test('what was there last counts, though it was read faster than what was there before', async () => {
    const server = await startSecure();
    const [{ cert }] = server.files;
    await rm(cert);
    execFileSync('mkfifo', [cert]);
    const slow = server.certificates.reload();
    const pipe = await open(cert, 'w');
    await server.files[0].write(await makeCertificate('renewed.test'));
    const fast = server.certificates.reload();
    // By then it is read, if it is read at once.
    for (let i = 0; i < 3; i++) await TlsCertificates.load(server.files, pino({ level: 'silent' }));
    await pipe.writeFile(first.cert);
    await pipe.close();
    await Promise.all([slow, fast]);
    expect(await namesShown(server.port)).toContain('renewed.test');
  });

  test('it is told if everybody can read a key', async () => {
    const { files } = await startSecure();
    const log: string[] = [];
    const load = () => TlsCertificates.load(files, pino({}, { write: (line) => void log.push(line) }));
    await Promise.all(files.map(({ key }) => chmod(key, 0o640)));
    await load();
    expect(log).toEqual([]);
    await chmod(files[1].key, 0o644);
    await load();
    expect(log.map((line) => JSON.parse(line))).toMatchObject([{ level: 40, key: files[1].key }]);
  });

  test('one that is none, or has another key, keeps the server from starting, and the files are named', async () => {
    const directory = await temporaryDirectory();
    const files = new Files(directory, 'a');
    const load = () => TlsCertificates.load([files], pino({ level: 'silent' }));
    await expect(load()).rejects.toThrow(files.cert);
    await files.write({ cert: first.cert, key: other.key });
    await expect(load()).rejects.toThrow(
      /a\.cert and .*a\.key are no certificate and its key: key values mismatch/,
    );
    await files.write({ cert: 'text', key: first.key });
    await expect(load()).rejects.toThrow('are no certificate and its key');
  });
});
