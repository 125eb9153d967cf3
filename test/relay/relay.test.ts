import { once } from 'node:events';
import net, { type AddressInfo } from 'node:net';
import path from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { append, openAppend } from '../../src/client/index.ts';
import { Permit } from '../../src/core/permit.ts';
import type { Readiness } from '../../src/relay/readiness.ts';
import { parseUpstream } from '../../src/relay/upstream/upstream-option.ts';
import { ResourcePath } from '../../src/wire/resource-path.ts';
import { ChaosProxy, NO_CHAOS } from '../support/chaos/proxy.ts';
import { CollectingSink } from '../support/core/harness.ts';
import { Random } from '../support/random.ts';
import { type BareRelay, F, NOBODY, startRelay } from '../support/relay/bare-relay.ts';
import { startOrigin } from '../support/relay/origin.ts';
import { headOf, rangeStart, ScriptedServer, say } from '../support/relay/scripted.ts';
import { waitFor, waitForSize } from '../support/wait-for.ts';

/** Something is being appended to at the origin. */
async function startAppend({ origin }: BareRelay, text = 'one') {
  const appender = openAppend(origin.url('/f'), { contentType: 'text/plain' });
  onTestFinished(() => void appender.on('error', () => undefined).destroy());
  appender.write(text);
  await waitForSize(path.join(origin.root, 'f'), text.length);
}

const isConnected = ({ app }: Awaited<ReturnType<typeof startOrigin>>) =>
  new Promise<boolean>((resolve, reject) => {
    app.server.getConnections((error, count) => (error ? reject(error) : resolve(count > 1)));
  });

function ignore(): void {}

test('who asks while a pull is being stopped, because those before are gone, gets one that goes on', async () => {
  const server = await startRelay();
  // All is here that is there as soon as there is a copy, and is told.
  await startAppend(server, '');
  const { relay, core } = server;
  const { sessions } = core;
  const open = sessions.open.bind(sessions);
  const gone = new AbortController();
  const later: Promise<Readiness>[] = [];
  const opening = vi.spyOn(sessions, 'open').mockImplementationOnce(async (...options) => {
    const lease = await open(...options);
    gone.abort(new Error('gone'));
    await expect(first).rejects.toThrow('gone');
    later.push(relay.ready(F, NOBODY));
    return lease;
  });
  onTestFinished(() => opening.mockRestore());
  const first = relay.ready(F, { ...NOBODY, signal: gone.signal });
  await expect(first).rejects.toThrow('gone');
  await waitFor(() => later.length > 0, 'the next one to ask');
  expect(await later[0]).toMatchObject({ way: 'coming' });
  await turn();
  expect([relay.isFetching(F), opening.mock.calls.length]).toEqual([true, 2]);
});

describe('a relay that closes', () => {
  test('asks nobody any more what a server is', async () => {
    const mute = await ScriptedServer.start(() => undefined);
    const { relay } = await startRelay({ upstreams: [parseUpstream(mute.url)] });
    const refused = expect(relay.kindOf(F, NOBODY)).rejects.toMatchObject({ code: 'HFS_SERVER_CLOSING' });
    await waitFor(() => mute.requests.length === 1, 'it to be asked');
    await relay.close();
    await refused;
  });

  test('waits for no server that does not say whether it keeps a file', async () => {
    const origin = await startOrigin();
    let isMute = false;
    const mute = new Set<net.Socket>();
    const network = net.createServer((socket) => {
      socket.on('error', ignore);
      if (isMute) {
        mute.add(socket.once('close', () => mute.delete(socket)).resume());
        return;
      }
      const there = net.connect(origin.port, '127.0.0.1').on('error', ignore);
      socket.pipe(there).pipe(socket);
      onTestFinished(() => void socket.destroy());
    });
    network.listen(0, '127.0.0.1');
    onTestFinished(() => void network.close());
    await once(network, 'listening');
    const upstream = parseUpstream(`http://127.0.0.1:${(network.address() as AddressInfo).port}`);
    const server = await startRelay({ upstreams: [upstream] });
    const { relay } = server;
    await startAppend({ ...server, origin });
    await relay.ready(F, NOBODY);
    isMute = true;
    const refused = expect(relay.isHeld(F, { holdMs: 300_000 }, NOBODY.signal)).rejects.toMatchObject({
      code: 'HFS_SERVER_CLOSING',
    });
    await waitFor(() => mute.size === 1, 'it to be asked');
    await relay.close();
    await refused;
    await waitFor(() => mute.size === 0, 'the connection to be closed');
  });
});

describe('a pull', () => {
  test('that nobody reads is stopped after a while, and goes on with the next one who asks', async () => {
    const server = await startRelay({ idleMs: 1 });
    await startAppend(server);
    const { relay, root, origin, core } = server;
    expect(await relay.ready(F, NOBODY)).toMatchObject({ way: 'coming', fetched: { committed: 3, size: 3 } });
    await waitFor(() => !relay.isFetching(F), 'it to be stopped');
    await waitFor(async () => !(await isConnected(origin)), 'the connection to be closed');
    // As after a crash: what is here is known as a part.
    await waitForSize(path.join(root, 'f'), 3);
    expect(await relay.ready(F, NOBODY)).toMatchObject({ fetched: { committed: 3 } });
    const sink = new CollectingSink();
    const reader = await core.followers.follow(Permit.own(F), {}, sink, NOBODY.signal);
    reader.drained();
    await waitFor(() => sink.bytes.toString() === 'one', 'what is here');
    reader.leave();
  });

  test('of which nothing comes is stopped when those who wait for it may be gone, and not while one is there', async () => {
    const mute = await ScriptedServer.start(() => undefined);
    const { relay } = await startRelay({ upstreams: [parseUpstream(mute.url)], idleMs: 1 });
    const left = AbortSignal.abort();
    const there = new AbortController();
    const reader = expect(relay.ready(F, { ...NOBODY, signal: there.signal })).rejects.toThrow('aborted');
    const stopped = { code: 'HFS_UNREAD' };
    const joined = expect(relay.ready(F, { ...NOBODY, left })).rejects.toMatchObject(stopped);
    await expect(relay.ready(ResourcePath.parse('/g'), { ...NOBODY, left })).rejects.toMatchObject(stopped);
    expect(relay.isFetching(F)).toBe(true);
    there.abort();
    await reader;
    await joined;
    expect(mute.requests.map(({ line }) => line).sort()).toEqual(['GET /f', 'GET /g']);
  });

  test('goes on for nobody, when that is wanted, unless there is nothing', async () => {
    const server = await startRelay({ idleMs: 1, goesOnForNobody: true });
    await startAppend(server);
    const { relay } = server;
    const missing = ResourcePath.parse('/missing');
    const client = new AbortController();
    await relay.ready(F, NOBODY);
    await relay.ready(missing, { via: undefined, waitMs: 600_000, signal: client.signal });
    client.abort();
    await waitFor(() => !relay.isFetching(missing), 'what is not there to be waited for no more');
    expect(relay.isFetching(F)).toBe(true);
  });

  test('waits until there are not too many, and nobody who reads gives way', async () => {
    const server = await startRelay({ maxPulls: 1, idleMs: 600_000 });
    await startAppend(server);
    const { relay, core } = server;
    const other = ResourcePath.parse('/other');
    await relay.ready(F, NOBODY);
    const reader = await core.followers.follow(Permit.own(F), {}, new CollectingSink(), NOBODY.signal);
    const refused = () => relay.ready(other, NOBODY).then(String, ({ code }) => code);
    expect(await refused()).toBe('HFS_STORAGE_BUSY');
    reader.leave();
    await waitFor(async () => (await refused()) === 'HFS_RESOURCE_NOT_FOUND', 'room to be made');
    expect(relay.isFetching(F)).toBe(false);
  });

  test('of a server that does not answer leaves places to those of others', async () => {
    const mute = await ScriptedServer.start(() => undefined);
    const origin = await startOrigin();
    const upstreams = [`/mute=${mute.url}`, origin.url('')].map((url) => parseUpstream(url));
    const { relay } = await startRelay({ upstreams, maxPulls: 4 });
    const client = new AbortController();
    onTestFinished(() => client.abort());
    const ready = (name: string) =>
      relay
        .ready(ResourcePath.parse(name), { ...NOBODY, signal: client.signal })
        .then(String, ({ code }) => code);
    void ready('/mute/a');
    void ready('/mute/b');
    expect(await ready('/mute/c')).toBe('HFS_STORAGE_BUSY');
    expect(await ready('/f')).toBe('HFS_RESOURCE_NOT_FOUND');
    await append(origin.url('/g'), ['one']);
    expect(await relay.ready(ResourcePath.parse('/g'), NOBODY)).toMatchObject({ way: 'stored' });
  });

  test('leaves its place among those without an answer when the head has come', async () => {
    const brief = await ScriptedServer.start((_request, socket) => {
      socket.write(`${headOf('200 OK', { 'Content-Length': 1000, 'Cache-Control': 'max-age=60' })}x`);
    });
    const missing = await ScriptedServer.start((_request, socket) => say(socket, '404 Not Found', {}, ''));
    const upstreams = [`/brief=${brief.url}`, missing.url].map((url) => parseUpstream(url));
    const { relay, lines } = await startRelay({ upstreams, maxPulls: 4 });
    for (const name of ['/brief/a', '/brief/b']) relay.ready(ResourcePath.parse(name), NOBODY).catch(ignore);
    await waitFor(() => lines.filter((line) => line.startsWith('pull opened')).length === 2, 'both heads');
    relay.ready(ResourcePath.parse('/brief/c'), NOBODY).catch(ignore);
    await waitFor(() => brief.requests.length === 3, 'the third one to be asked for');
  });

  test('without an answer that nobody waits for makes room among them', async () => {
    const mute = await ScriptedServer.start(() => undefined);
    const upstreams = [`/mute=${mute.url}`, 'http://127.0.0.1:1'].map((url) => parseUpstream(url));
    const { relay } = await startRelay({ upstreams, maxPulls: 4, idleMs: 600_000 });
    const left = AbortSignal.abort();
    for (const name of ['/mute/a', '/mute/b']) {
      relay.ready(ResourcePath.parse(name), { ...NOBODY, left }).catch(ignore);
    }
    await waitFor(() => mute.requests.length === 2, 'both to be asked for');
    const third = () => relay.ready(ResourcePath.parse('/mute/c'), { ...NOBODY, left });
    await expect(third()).rejects.toMatchObject({ code: 'HFS_STORAGE_BUSY' });
    await waitFor(() => {
      third().catch(ignore);
      return mute.requests.length > 2;
    }, 'room to be made');
  });

  test('says why it is: nothing was here, or a part, or something else', async () => {
    const sockets: net.Socket[] = [];
    const server = await ScriptedServer.start(({ number }, socket) => {
      sockets.push(socket);
      const head = { ETag: number < 3 ? '"one"' : '"two"', 'Content-Length': 100_000 };
      const rest = { 'Content-Range': 'bytes 1000-99999/100000', 'Content-Length': 99_000 };
      if (number === 1) say(socket, '403 Forbidden', {}, '');
      else if (number === 2) socket.write(headOf('206 Partial Content', { ...head, ...rest }));
      else socket.write(headOf('200 OK', head) + 'x'.repeat(1000));
    });
    const { relay } = await startRelay({ upstreams: [parseUpstream(server.url)] });
    const expectWhy = async (why: string) => {
      relay.changed(F);
      expect(await relay.ready(F, NOBODY)).toMatchObject({ cacheStatus: `fwd=${why}; stored` });
    };
    const isOver = () => !relay.isFetching(F);
    await expectWhy('uri-miss');
    sockets[0]?.end();
    await waitFor(isOver, 'the rest to be refused');
    await expectWhy('partial');
    sockets[2]?.write('x'.repeat(99_000));
    await waitFor(isOver, 'the rest');
    await expectWhy('stale');
  });

  test('is told in the log, with who joined it and how much came', async () => {
    const server = await startRelay();
    await startAppend(server);
    const { relay, origin, lines } = server;
    await relay.ready(F, NOBODY);
    await relay.ready(F, NOBODY);
    await relay.close();
    const of = JSON.stringify({ resource: '/f', upstream: origin.url('') }).slice(0, -1);
    expect(lines).toEqual([
      `pull opened ${of},"position":0}`,
      `pull joined ${of}}`,
      expect.stringContaining(
        `pull closed ${of},"reason":"HFS_SERVER_CLOSING","detail":"the server is shutting down","bytes":3,"joined":1,"kept":true,`,
      ),
    ]);
  });

  test('that goes on after a cut is told in the log, with where', async () => {
    const etag = { ETag: '"a"' };
    const server = await ScriptedServer.start((request, socket) => {
      const start = rangeStart(request);
      const range = { 'Content-Range': `bytes ${start}-6/7` };
      if (request.number > 0)
        say(socket, '206 Partial Content', { ...etag, ...range }, 'content'.slice(start));
      else socket.end(`${headOf('200 OK', { ...etag, 'Content-Length': 7 })}cont`);
    });
    const { relay, lines } = await startRelay({ upstreams: [parseUpstream(server.url)] });
    await relay.ready(F, NOBODY);
    await waitFor(() => lines.length === 3, 'all lines');
    expect(lines[1]).toMatch(/^pull resumed .*"position":[04]}$/);
    expect(lines[2]).toContain('"reason":"finished","bytes":7,"joined":0,"kept":true,');
  });

  test('of what is not kept is told in the log, with why', async () => {
    const { relay, origin, lines } = await startRelay({ maxBytes: 3 });
    await fetch(origin.url('/f?verb=APPEND'), { method: 'PUT', body: 'four' });
    expect(await relay.ready(F, NOBODY)).toEqual({ way: 'pass' });
    await waitFor(() => lines.length === 1, 'the line');
    expect(lines[0]).toContain(
      '"reason":"passed on","bytes":0,"joined":0,"kept":false,"why":"longer than may be kept"',
    );
  });

  test('is given up when the server does not answer in time', async () => {
    const { relay } = await startRelay({
      headTimeoutMs: 50,
      upstreams: [parseUpstream(await silentServer())],
    });
    await expect(relay.ready(F, NOBODY)).rejects.toMatchObject({ code: 'HFS_UPSTREAM_TIMEOUT' });
    // And not asked again at once.
    await expect(relay.ready(F, NOBODY)).rejects.toMatchObject({ code: 'HFS_UPSTREAM_TIMEOUT' });
  });

  test('breaks for its readers when nothing comes for too long', async () => {
    const server = await ScriptedServer.start((_request, socket) => {
      socket.write(`${headOf('200 OK', { 'Content-Length': 100_000 })}${'x'.repeat(600)}`);
    });
    const { relay, core, lines } = await startRelay({
      silenceMs: 100,
      upstreams: [parseUpstream(server.url)],
    });
    await relay.ready(F, NOBODY);
    const sink = new CollectingSink();
    (await core.followers.follow(Permit.own(F), {}, sink, NOBODY.signal)).drained();
    await waitFor(() => sink.endReason !== undefined, 'the end');
    expect(sink.endReason).toBe('interrupted');
    await expect(relay.ready(F, NOBODY)).rejects.toMatchObject({ code: 'HFS_UPSTREAM_TIMEOUT' });
    const stalled = '"reason":"HFS_UPSTREAM_TIMEOUT","detail":"the answer has stalled","bytes":600,';
    await waitFor(() => lines.at(-1)?.includes(stalled) === true, 'the line about its end');
    expect(lines.at(-1)).toContain('"kept":false,"why":"nothing tells the rest of it"');
  });

  test('is not waited for by who has gone', async () => {
    const { relay } = await startRelay({ upstreams: [parseUpstream(await silentServer())] });
    const client = new AbortController();
    const ready = relay.ready(F, { ...NOBODY, signal: client.signal });
    client.abort();
    await expect(ready).rejects.toMatchObject({ name: 'AbortError' });
    // Nor is it fetched for nobody.
    await waitFor(() => !relay.isFetching(F), 'it to be stopped');
  });

  test('of what is waited for begins anew for those who wait when what is in front of its server refuses it', async () => {
    const origin = await startOrigin();
    const refusing = await ScriptedServer.start((_request, socket) => say(socket, '403 No', {}, 'not now'));
    const network = await ChaosProxy.start(origin.port, new Random(1), NO_CHAOS);
    const { relay } = await startRelay({ upstreams: [parseUpstream(network.url(''))] });
    const client = new AbortController();
    onTestFinished(() => client.abort());
    const waiter = { via: undefined, waitMs: 600_000, signal: client.signal };
    expect(await relay.ready(F, waiter)).toEqual({ way: 'missing' });
    network.targetPort = Number(new URL(refusing.url).port);
    network.resetAll();
    await waitFor(() => !relay.isFetching(F), 'the pull to end');
    origin.requests.length = 0;
    network.targetPort = origin.port;
    await fetch(origin.url('/f?verb=APPEND'), { method: 'PUT', body: 'here' });
    // Nobody asks again: it is waited for.
    await waitFor(() => origin.requests.some((line) => line.startsWith('GET')), 'another pull');
  });

  test('of what is waited for ends when nobody waits any more', async () => {
    const { relay, origin } = await startRelay({ idleMs: 1 });
    const client = new AbortController();
    expect(await relay.ready(F, { via: undefined, waitMs: 600_000, signal: client.signal })).toEqual({
      way: 'missing',
    });
    await expect(relay.ready(F, NOBODY)).rejects.toMatchObject({ code: 'HFS_RESOURCE_NOT_FOUND' });
    client.abort();
    await waitFor(async () => !(await isConnected(origin)), 'the connection to be closed');
  });
});

describe('a request that has come by way of', () => {
  test('others is passed on with their names and its own', async () => {
    const { relay } = await startRelay();
    expect(relay.viaOf(undefined)).toMatch(/^1\.1 httpfstream-[\w-]+$/);
    expect(relay.viaOf('1.0 fred, 1.1 p.example')).toMatch(/^1\.0 fred, 1\.1 p\.example, 1\.1 httpfstream-/);
  });

  test('itself, or of too many, is refused', async () => {
    const { relay } = await startRelay();
    const loop = { code: 'HFS_RELAY_LOOP' };
    expect(() => relay.viaOf(`1.1 a, ${relay.viaOf('1.1 b')}`)).toThrow(expect.objectContaining(loop));
    expect(() => relay.viaOf('1.1 a,'.repeat(40))).toThrow(expect.objectContaining(loop));
    expect(() => relay.viaOf(`1.1 ${'a'.repeat(5000)}`)).toThrow(expect.objectContaining(loop));
  });
});

/** URL of a server that takes connections, and says nothing. */
async function silentServer(): Promise<string> {
  const server = net.createServer((socket) => socket.on('error', () => undefined));
  server.listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  onTestFinished(() => void server.close());
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}
