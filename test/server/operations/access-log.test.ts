import type { IncomingMessage } from 'node:http';
import { Writable } from 'node:stream';
import { pino } from 'pino';
import { describe, expect, test } from 'vitest';
import { ServerSockets } from '../../../src/server/node/server-sockets.ts';
import { shownTarget } from '../../../src/server/operations/access-log.ts';
import { collectGarbage } from '../../support/collect-garbage.ts';
import { openSocket, rawGet } from '../../support/http/raw.ts';
import { get, send } from '../../support/http/request.ts';
import { startServers } from '../../support/server/server.ts';
import { waitFor } from '../../support/wait-for.ts';
import { sessionOf, V2Peer } from '../../support/websocket/v2-peer.ts';

type Line = Record<string, unknown> & { msg: string };

/** A server that logs; its lines are in `lines`. */
async function start(accessLog = true) {
  const lines: Line[] = [];
  const output = new Writable({
    write: (line, _encoding, callback) => {
      lines.push(JSON.parse(String(line)));
      callback();
    },
  });
  const server = await startServers({ accessLog, logger: pino({}, output) });
  const requests = () => lines.filter(({ msg }) => msg === 'request');
  const logged = async (count: number) => {
    await waitFor(() => requests().length >= count, `${count} lines`);
    expect(requests()).toHaveLength(count);
    return requests();
  };
  return { ...server, lines, logged };
}

describe('each request has one line, when it is over', () => {
  test('that was answered', async () => {
    const { url, logged } = await start();
    await send('PUT', url('/a'), { body: '123' });
    await get(url('/a?offset=-1'));
    const [put, read] = await logged(2);
    expect(put).toMatchObject({
      method: 'PUT',
      target: '/a',
      status: 201,
      address: '127.0.0.1',
    });
    expect(read).toMatchObject({ method: 'GET', target: '/a?offset=-1', status: 200 });
    expect(read!.sent).toBeGreaterThan(3);
    expect(read!.isCut).toBeUndefined();
    expect(read!.durationMs).toBeTypeOf('number');
  });

  test('that was refused: what is wrong is told there, and not twice', async () => {
    const { url, port, lines, logged } = await start();
    await get(url('/none'));
    await rawGet(port, '/none?verb=FOLLOW', ['Sec-WebSocket-Protocol: httpfstream.v2']);
    const refused = await logged(2);
    expect(refused[0]).toMatchObject({ status: 404, code: 'HFS_RESOURCE_NOT_FOUND' });
    await expect(V2Peer.follow(url('/none'))).rejects.toThrow('404');
    expect((await logged(3))[2]).toMatchObject({ status: 404, code: 'HFS_RESOURCE_NOT_FOUND' });
    expect(lines.filter(({ msg }) => msg.startsWith('refused'))).toEqual([]);
  });

  test('that was a WebSocket', async () => {
    const { url, lines, logged } = await start();
    const appender = await V2Peer.append(url('/log'), { session: sessionOf('s') });
    appender.send('12345');
    appender.websocket.close(1000);
    const [line] = await logged(1);
    expect(line).toMatchObject({ method: 'GET', target: '/log?session=***', verb: 'APPEND', status: 101 });
    expect(JSON.stringify(lines)).not.toContain(sessionOf('s'));
  });

  test('that has become a WebSocket, and is not kept for its line', async () => {
    const { app, url } = await start();
    const requests: WeakRef<IncomingMessage>[] = [];
    app.server.on('upgrade', (request) => requests.push(new WeakRef(request)));
    const appenders = await Promise.all([1, 2, 3].map((i) => V2Peer.append(url(`/log${i}`))));
    await waitFor(() => {
      collectGarbage();
      return requests.every((request) => request.deref() === undefined);
    }, 'the requests to be forgotten');
    for (const { websocket } of appenders) websocket.close(1000);
  });

  test('that was cut', async () => {
    const { url, logged } = await start();
    const appender = await V2Peer.append(url('/log'));
    const aborter = new AbortController();
    await fetch(url('/log?verb=FOLLOW'), { signal: aborter.signal });
    aborter.abort();
    expect((await logged(1))[0]).toMatchObject({ target: '/log?verb=FOLLOW', status: 200, isCut: true });
    appender.websocket.terminate();
  });

  test('that was carried out when its client was gone', async () => {
    const { app, url, port, lines, logged } = await start();
    const socket = await openSocket(port);
    const append = 'POST /log?verb=APPEND HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\n123';
    socket.write(`GET /none?verb=FOLLOW&wait=60 HTTP/1.1\r\nHost: x\r\n\r\n${append}`);
    await get(url('/first'));
    socket.resetAndDestroy();
    await waitFor(() => lines.some(({ target }) => target === '/log?verb=APPEND'), 'its line');
    const [, , line] = await logged(3);
    expect(line).toMatchObject({ method: 'POST', status: 201, isCut: true });
    const { answers } = ServerSockets.of(app.server).traffic;
    expect(answers).toContainEqual({ method: 'POST', status: 201, count: 1 });
  });
});

test('without the option refusals are logged, as they always were', async () => {
  const { url, lines } = await start(false);
  await get(url('/none'));
  await waitFor(() => lines.some(({ msg }) => msg.startsWith('refused')), 'the refusal');
  expect(lines.filter(({ msg }) => msg === 'request')).toEqual([]);
});

test('all lines of a request have its number and its trace, if they are sane', async () => {
  const { url, lines, logged } = await start();
  const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
  const headers = { 'x-request-id': 'build-7/3', traceparent };
  const answer = await send('PUT', url('/a?verb=APPEND'), { headers, body: 'x' });
  expect(answer.headers['x-request-id']).toBe('build-7/3');
  await get(url('/a'), { 'x-request-id': 'x"\u00e9', traceparent: 'none' });
  const [, insane] = await logged(2);
  const own = lines.filter(({ reqId }) => reqId === 'build-7/3');
  expect(own.map(({ msg }) => msg)).toEqual(['append opened', 'append closed', 'request']);
  for (const line of own) expect(line).toMatchObject({ traceparent });
  expect(insane!.reqId).toMatch(/^[\da-f-]{36}$/);
  expect(insane).not.toHaveProperty('traceparent');
});

describe('what lets in whoever knows it is hidden', () => {
  test.each([
    ['/a', '/a'],
    ['/a?lines=3&from=1', '/a?lines=3&from=1'],
    ['/a?session=secret&verb=APPEND', '/a?session=***&verb=APPEND'],
    ['/a?%73ession=secret', '/a?%73ession=***'],
    ['/a?Token=secret&access_token=secret&share=secret', '/a?Token=***&access_token=***&share=***'],
    ['/a?+token=secret', '/a?+token=***'],
    ['/a?token', '/a?token'],
    ['http://user:secret@host/a?token=secret#token=secret', '/a?token=***'],
    ['/.httpfstream/page/1.secret/a/b.html?x', '/.httpfstream/page/***/a/b.html?x'],
  ])('%s', (url, shown) => {
    expect(shownTarget(url)).toBe(shown);
  });

  test.each([true, false])(
    'of what cannot be decoded, too (with a log of accesses: %j)',
    async (accessLog) => {
      const { port, lines } = await start(accessLog);
      const { status, body } = await rawGet(port, '/%zz?session=secret');
      expect({ status, body }).toEqual({ status: 400, body: expect.not.stringContaining('secret') });
      await waitFor(() => lines.some(({ path }) => path === '/%zz'), 'the refusal');
      expect(JSON.stringify(lines)).not.toContain('secret');
    },
  );

  test('where a refusal is told alone, too', async () => {
    const { url, lines } = await start(false);
    await get(url('/.httpfstream/page/1.secret/a/b.html'));
    await waitFor(() => lines.some(({ msg }) => msg.startsWith('refused')), 'the refusal');
    expect(lines.find(({ msg }) => msg.startsWith('refused'))).toMatchObject({
      path: '/.httpfstream/page/***/a/b.html',
    });
  });
});
