import { createHash } from 'node:crypto';
import { once } from 'node:events';
import path from 'node:path';
import { finished } from 'node:stream/promises';
import { describe, expect, test } from 'vitest';
import { append, follow, openAppend } from '../../../src/client/index.ts';
import { ChaosProxy, NO_CHAOS } from '../../support/chaos/proxy.ts';
import { pattern } from '../../support/pattern.ts';
import { Random } from '../../support/random.ts';
import { startOrigin, startRelay } from '../../support/relay/origin.ts';
import { headOf, type Script, ScriptedServer, say } from '../../support/relay/scripted.ts';
import { InProcessServer } from '../../support/server/restartable-server.ts';
import { waitFor, waitForSize } from '../../support/wait-for.ts';

const ETAG = { ETag: '"one"' };

const textAt = (url: string, init: RequestInit = {}) => fetch(url, init).then((response) => response.text());

const cacheStatusAt = async (url: string) => {
  const response = await fetch(url);
  await response.arrayBuffer();
  return response.headers.get('cache-status');
};

describe('errors of the origin', () => {
  test('cost each relay of a chain a few requests, not twice as many as the one before', async () => {
    const origin = await startOrigin();
    await append(origin.url('/dir/f'), ['x']);
    let last = origin;
    for (let count = 0; count < 4; count++) last = await startRelay(last.url(''));
    origin.requests.length = 0;
    const listing = await fetch(last.url('/dir'), { redirect: 'manual' });
    expect(listing.status).toBe(301);
    expect(origin.requests.length).toBeLessThanOrEqual(2);
  });

  test('that refuse to be followed go through each relay once', async () => {
    const origin = await startOrigin();
    await append(origin.url('/dir/f'), ['x']);
    let last = origin;
    for (let count = 0; count < 3; count++) last = await startRelay(last.url(''));
    await append(origin.url('/known'), ['y']);
    expect(await textAt(last.url('/known'))).toBe('y');
    const refused = { headers: { 'X-Verb': 'FOLLOW', Accept: 'application/problem+json' } };
    const problem = await (await fetch(origin.url('/dir'), refused)).json();
    expect(problem).toMatchObject({ code: expect.stringMatching(/^HFS_/) });
    origin.requests.length = 0;
    const response = await fetch(last.url('/dir'), refused);
    expect([response.status, await response.json()]).toEqual([409, problem]);
    expect(origin.requests).toHaveLength(1);
  });

  test('are asked for once by who asks', async () => {
    const server = await ScriptedServer.start((_request, socket) => say(socket, '500 No', {}, 'no'));
    const relay = await startRelay(server.url);
    expect(await textAt(relay.url('/f'))).toBe('no');
    expect(server.requests).toHaveLength(1);
  });

  test('of a loop are for those only whose request has come that way', async () => {
    const origin = await startOrigin();
    await append(origin.url('/f'), ['content']);
    const first = await startRelay(origin.url(''));
    const second = await startRelay(first.url(''));
    const name = /httpfstream-[\w-]+/.exec((await fetch(first.url('/dir/'))).headers.get('via') ?? '')?.[0];
    expect(name).toBeDefined();
    const via = `1.1 ${name}`;
    const spoiled = [1, 2, 3].map(() => fetch(second.url('/f'), { headers: { via } }));
    const others = [1, 2, 3].map(() => fetch(second.url('/f')));
    expect((await Promise.all(spoiled)).map(({ status }) => status)).toEqual([508, 508, 508]);
    expect((await Promise.all(others)).map(({ status }) => status)).toEqual([200, 200, 200]);
  });
});

test('what was written through a relay is there for who asks afterwards, whatever was being asked for meanwhile', async () => {
  /** Of the first request for the file: whether it is there was looked at before it was written. */
  let answerLate = () => {};
  let isWritten = false;
  let isLate = false;
  const missing: Script = (_request, socket) => {
    const problem = '{"code":"HFS_RESOURCE_NOT_FOUND"}';
    say(socket, '404 Not Found', { 'Content-Type': 'application/problem+json' }, problem);
  };
  const server = await ScriptedServer.start((request, socket) => {
    const { line, headers } = request;
    if (line.startsWith('PUT')) {
      isWritten = true;
      socket.write(headOf('201 Created', { 'Content-Length': 0, 'X-Content-Type-Options': 'nosniff' }));
    } else if (headers['x-verb'] === undefined && headers.upgrade === undefined && isWritten) {
      say(socket, '200 OK', { 'Stream-Generation': 1 }, 'written');
    } else if (line === 'GET /f' && !isLate) {
      answerLate = () => missing(request, socket);
    } else if (line === 'GET /f') {
      const problem = '{"code":"HFS_PATH_CONFLICT"}';
      say(socket, '409 Conflict', { 'Content-Type': 'application/problem+json' }, problem);
    } else missing(request, socket);
  });
  const relay = await startRelay(server.url);
  expect((await fetch(relay.url('/known'))).status).toBe(404);
  const early = fetch(relay.url('/f'));
  await waitFor(() => server.requests.some(({ line }) => line === 'GET /f'), 'it to be asked for');
  expect((await fetch(relay.url('/f'), { method: 'PUT' })).status).toBe(201);
  expect(await textAt(relay.url('/f'))).toBe('written');
  isLate = true;
  answerLate();
  expect((await early).status).toBe(404);
  expect(await textAt(relay.url('/f'))).toBe('written');
});

describe('while the origin is away', () => {
  test('what is here of what still comes is not told to be all', async () => {
    const origin = await startOrigin();
    const network = await ChaosProxy.start(origin.port, new Random(1), NO_CHAOS);
    const relay = await startRelay(network.url(''));
    const appender = openAppend(origin.url('/f'));
    appender.write('part');
    await waitForSize(path.join(origin.root, 'f'), 4);
    expect(await textAt(relay.url('/f'))).toBe('part');
    network.refuse(true);
    network.resetAll();
    await waitFor(async () => {
      const response = await fetch(relay.url('/f'));
      await response.text();
      return response.status === 502;
    }, 'an error');
    network.refuse(false);
    appender.end(' and the rest');
    await waitFor(
      async () => (await textAt(relay.url('/f')).catch(() => '')) === 'part and the rest',
      'all of it',
    );
  });

  test('what has ended is read from here, without waiting for that each time', async () => {
    const origin = await startOrigin();
    await append(origin.url('/f'), ['content']);
    const relay = await InProcessServer.start({ upstreams: [origin.url('')] });
    expect(await textAt(relay.url('/f'))).toBe('content');
    const { port } = new URL(origin.url(''));
    await relay.stop();
    await origin.app.close();
    const mute = await ScriptedServer.start(() => undefined, Number(port));
    await relay.start();
    expect(await textAt(relay.url('/f'))).toBe('content');
    const asked = mute.requests.length;
    for (let times = 0; times < 20; times++) expect(await textAt(relay.url('/f'))).toBe('content');
    // It is looked at behind.
    expect(mute.requests.length).toBeLessThanOrEqual(asked + 1);
  });
});

describe('of what is kept', () => {
  test('a reader who wants what is there by now gets that, also while it is fresh', async () => {
    let body = 'one';
    const server = await ScriptedServer.start(({ headers }, socket) => {
      const etag = `"${body}"`;
      if (headers['if-none-match'] === etag) socket.write(headOf('304 Not Modified', { ETag: etag }));
      else say(socket, '200 OK', { ETag: etag, 'Cache-Control': 'max-age=600' }, body);
    });
    const relay = await startRelay(server.url);
    expect(await textAt(relay.url('/f'))).toBe('one');
    body = 'two';
    expect(await textAt(relay.url('/f'))).toBe('one');
    // What was fetched a moment ago is what is there by now.
    await waitFor(
      async () => (await textAt(relay.url('/f'), { headers: { 'cache-control': 'no-cache' } })) === 'two',
      'what is there',
    );
    expect(await textAt(relay.url('/f'))).toBe('two');
    expect(server.requests).toHaveLength(2);
  });

  test('what says that it is to be looked at each time is', async () => {
    const server = await ScriptedServer.start(({ headers }, socket) => {
      if (headers['if-none-match'] !== undefined) socket.write(headOf('304 Not Modified', ETAG));
      else say(socket, '200 OK', { ...ETAG, 'Cache-Control': 'no-cache' }, 'content');
    });
    const relay = await startRelay(server.url);
    for (let times = 0; times < 3; times++) expect(await textAt(relay.url('/f'))).toBe('content');
    expect(server.requests).toHaveLength(3);
  });

  test('it is told how it has come to be here', async () => {
    let control = 'max-age=600';
    let answer = () => {};
    const server = await ScriptedServer.start(({ headers }, socket) => {
      answer = () => {
        if (headers['if-none-match'] !== undefined) socket.write(headOf('304 Not Modified', ETAG));
        else say(socket, '200 OK', { ...ETAG, 'Cache-Control': control }, 'content');
      };
      if (control !== 'max-age=600') answer();
    });
    const relay = await startRelay(server.url);
    const both = [cacheStatusAt(relay.url('/f')), cacheStatusAt(relay.url('/f'))];
    await waitFor(() => server.requests.length === 1 && relay.requests.length === 2, 'both to ask');
    answer();
    control = 'no-cache';
    expect((await Promise.all(both)).sort()).toEqual([
      'httpfstream; fwd=uri-miss; fwd-status=200; stored',
      'httpfstream; fwd=uri-miss; fwd-status=200; stored; collapsed',
    ]);
    expect(await cacheStatusAt(relay.url('/f'))).toBe('httpfstream; hit');
    await cacheStatusAt(relay.url('/g'));
    expect(await cacheStatusAt(relay.url('/g'))).toBe('httpfstream; fwd=stale; fwd-status=304');
  });
});

test('what was appended by way of a relay is there for who asks after that, also while it is followed', async () => {
  const origin = await startOrigin();
  const relay = await startRelay(origin.url(''));
  await fetch(relay.url('/s'), { method: 'PUT', headers: { 'Content-Type': 'text/plain' } });
  const appender = openAppend(relay.url('/s'));
  appender.write('one');
  await waitForSize(path.join(origin.root, 's'), 3);
  const follower = follow(relay.url('/s'));
  await once(follower, 'data');
  appender.end('two');
  await finished(appender);
  await waitFor(async () => {
    origin.requests.length = 0;
    await textAt(relay.url('/s'));
    return origin.requests.includes('GET /s');
  }, 'the origin to be asked');
  expect(await textAt(relay.url('/s'))).toBe('onetwo');
  follower.destroy();
});

test('a download that is joined has the tag that it has later, by which it goes on', async () => {
  const origin = await startOrigin();
  const size = 3_000_000;
  const appender = openAppend(origin.url('/f'));
  appender.write(pattern(0, size));
  await waitForSize(path.join(origin.root, 'f'), size);
  const relay = await startRelay(origin.url(''));
  const joined = await fetch(relay.url('/f'));
  const etag = joined.headers.get('etag') as string;
  const date = joined.headers.get('last-modified') as string;
  expect(Date.parse(date)).toBeLessThan(Date.now());
  const hash = createHash('sha256')
    .update(Buffer.from(await joined.arrayBuffer()))
    .digest('hex');
  expect(hash).toBe(createHash('sha256').update(pattern(0, size)).digest('hex'));
  appender.end();
  await once(appender, 'close');
  await waitFor(async () => {
    const known = await fetch(relay.url('/f'), { headers: { 'if-none-match': etag } });
    await known.arrayBuffer();
    return known.status === 304;
  }, 'it to be known');
  // It was still coming: nobody takes what there was then for all of it.
  const since = await fetch(relay.url('/f'), { headers: { 'if-modified-since': date } });
  expect(since.status).toBe(200);
  await since.arrayBuffer();
  const part = await fetch(relay.url('/f'), {
    headers: { range: `bytes=${size - 4}-`, 'if-range': etag },
  });
  expect(part.status).toBe(206);
  expect(Buffer.from(await part.arrayBuffer()).equals(pattern(size - 4, 4))).toBe(true);
});
