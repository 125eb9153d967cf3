import { createHash } from 'node:crypto';
import http from 'node:http';
import { setImmediate as turn } from 'node:timers/promises';
import tls from 'node:tls';
import Fastify from 'fastify';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { httpfstream } from '../../../src/server/plugin.ts';
import { canMakeCertificates, makeCertificate } from '../../support/http/certificate.ts';
import { HANDSHAKE, rawGet, rawHandshake } from '../../support/http/raw.ts';
import { get, send } from '../../support/http/request.ts';
import { startRelay } from '../../support/relay/origin.ts';
import {
  headOf,
  type Script,
  type ScriptedRequest,
  ScriptedServer,
  say,
} from '../../support/relay/scripted.ts';
import { listen, temporaryDirectory } from '../../support/server/server.ts';
import { refusalOf } from '../../support/websocket/v2-peer.ts';

const SUBPROTOCOL = ['X-Verb: FOLLOW', 'Sec-WebSocket-Protocol: httpfstream.v2'];

const FRESH = { 'Cache-Control': 'max-age=60', 'Content-Type': 'text/plain' };

async function pair(script: Script, mount = (url: string) => url) {
  const server = await ScriptedServer.start(script);
  const relay = await startRelay(mount(server.url));
  return { server, relay, lines: () => server.requests.splice(0).map(({ line }) => line) };
}

const sayLine: Script = ({ line }, socket) => say(socket, '200 OK', FRESH, line);

/** Answers as an httpfstream server would: it refuses what is asked for to find that out. */
const asHttpfstream =
  (script: Script): Script =>
  (request, socket) => {
    if (request.headers['x-verb'] !== 'FOLLOW') script(request, socket);
    else say(socket, '404 Not Found', { 'Content-Type': 'application/problem+json' }, '{"code":"HFS_X"}');
  };

function acceptOf({ headers }: ScriptedRequest, more: Readonly<Record<string, string>> = {}): string {
  const key = `${headers['sec-websocket-key']}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`;
  const accept = createHash('sha1').update(key).digest('base64');
  const own = { Upgrade: 'websocket', Connection: 'Upgrade', 'Sec-WebSocket-Accept': accept };
  return headOf('101 Switching Protocols', { ...own, ...more });
}

describe('what the upstream is asked for', () => {
  test('is what was written, and only what everybody writes so is kept', async () => {
    const { relay, lines } = await pair(sayLine, (url) => `/m=${url}/base`);
    const kept = ['/@scope/name', '/a;v=1', '/a=b,c+d', '/%C3%BC%20x', '/a[1]|', "/!$&'()*:~"];
    const passedOn = ['/@scope%2Fname', '/%40scope/name', '/x//y', '/%61', '//x'];
    const asked = (target: string) => `GET /base${target.replace('[1]|', '%5B1%5D%7C')}`;
    for (const target of [...kept, ...passedOn]) {
      for (let i = 0; i < 2; i++) expect((await rawGet(relay.port, `/m${target}`)).body).toBe(asked(target));
    }
    const once = kept.map(asked);
    expect(lines()).toEqual([...once, ...passedOn.map(asked).flatMap((line) => [line, line])]);
  });

  test('is never elsewhere than the paths are that come from there', async () => {
    const { relay, lines } = await pair(sayLine, (url) => `/m=${url}/base`);
    const targets = ['/m/../m/x', '/m/a%2f..%2fx', '/m/%2e%2e%5cx', '/m/..;/x', '/m/.;a=b/x', '/m/a/%2E'];
    for (const target of [...targets, '/m%2Fx', '/m/x/../y']) {
      expect([target, (await rawGet(relay.port, target)).status]).toEqual([target, 400]);
    }
    expect(lines()).toEqual([]);
  });

  test('with a slash at its end is no file', async () => {
    const { relay } = await pair(sayLine);
    expect((await get(relay.url('/x/?verb=FOLLOW'))).text).toBe('GET /x/?verb=FOLLOW');
    expect((await get(relay.url('/x/'), { 'x-verb': 'FOLLOW' })).text).toBe('GET /x/');
    expect((await get(relay.url('/x'))).text).toBe('GET /x');
  });
});

describe('a plain HTTP server', () => {
  test('gets no WebSockets', async () => {
    const { server, relay } = await pair((request, socket) => {
      say(
        socket,
        '200 OK',
        { 'Cache-Control': request.line.includes('/kept') ? 'max-age=60' : 'no-store' },
        'x',
      );
    });
    await get(relay.url('/x'));
    for (const path of ['/x', '/x?hold=5', '/x/', '/other', '/x%41']) {
      expect(await refusalOf(relay.url(path), 'FOLLOW')).toEqual([405, 'HFS_METHOD_NOT_ALLOWED']);
      expect((await rawHandshake(relay.port, path)).status).toBe(405);
    }
    expect(await refusalOf(relay.url('/x'), 'APPEND')).toEqual([405, 'HFS_METHOD_NOT_ALLOWED']);
    expect((await rawHandshake(relay.port, '/kept', SUBPROTOCOL)).status).toBe(101);
    expect(server.requests.filter(({ headers }) => 'upgrade' in headers)).toEqual([]);
  });

  test.each([
    ['which has something at its top', '200 OK', 405],
    ['as far as its errors tell', '404 Not Found', 502],
  ])('%s is written nothing', async (_what, top, status) => {
    const { relay, lines } = await pair(
      ({ line }, socket) => {
        if (line === 'GET /base/') say(socket, top, {}, 'x');
        else say(socket, line.startsWith('GET') ? '403 Forbidden' : '201 Created', {}, 'x');
      },
      (url) => `/m=${url.replace('//', '//user:password@')}/base`,
    );
    for (const method of ['PUT', 'POST']) {
      expect(await send(method, relay.url('/m/x'), { body: 'evil' })).toMatchObject({ status });
    }
    expect((await send('DELETE', relay.url('/m/x'))).status).toBe(status === 405 ? 204 : 502);
    expect((await rawHandshake(relay.port, '/m/x?verb=APPEND')).status).toBe(status);
    expect(new Set(lines())).toEqual(new Set(['GET /base/x', 'GET /base/']));
  });

  test('is not told what is for this one', async () => {
    const secrets = {
      referer: 'http://relay/?token=1',
      'x-api-key': 'secret',
      'x-real-ip': '10.0.0.1',
      'x-forwarded-for': '10.0.0.1',
      'x-forwarded-prefix': '/secret',
      'x-original-url': '/admin',
      'x-rewrite-url': '/admin',
      'x-http-method-override': 'DELETE',
    };
    const { server, relay } = await pair(sayLine);
    await get(relay.url('/x?q'), { ...secrets, 'x-other': 'kept' });
    const [seen] = server.requests;
    expect(seen?.headers).toMatchObject({ 'x-other': 'kept' });
    expect(Object.keys(seen?.headers ?? {}).filter((name) => name in secrets)).toEqual([]);
  });
});

test('where something is, is said as it is by way of this server', async () => {
  const references: [string, string][] = [
    ['/base/there?q#f', 'RELAY/m/there?q#f'],
    ['ORIGIN/base/there', 'RELAY/m/there'],
    ['ORIGIN/base', 'RELAY/m'],
    ['./there/', './there/'],
    ['../x', '../x'],
    ['?page=2', '?page=2'],
    ['/login', 'ORIGIN/login'],
    ['../../../login', 'ORIGIN/login'],
    ['/based', 'ORIGIN/based'],
    ['http://other/x', 'http://other/x'],
    ['http://[', 'http://['],
  ];
  for (const [said, wanted] of references) {
    const { server, relay } = await pair(
      ({ line }, socket) => {
        const reference = said.replace('ORIGIN', server.url);
        const isKept = line.endsWith('kept');
        if (isKept) say(socket, '200 OK', { ...FRESH, 'Content-Location': reference }, 'x');
        else say(socket, '302 Found', { Location: reference, 'Content-Location': reference }, '');
      },
      (url) => `/m=${url}/base`,
    );
    const location = wanted.replace('ORIGIN', server.url).replace('RELAY', relay.url(''));
    const moved = await get(relay.url('/m/dir/x?q'));
    expect(moved.headers).toMatchObject({ location, 'content-location': location });
    expect((await get(relay.url('/m/dir/kept'))).headers).toMatchObject({ 'content-location': location });
  }
});

test('a connection becomes a tunnel only for who has asked for a WebSocket', async () => {
  const { relay } = await pair((request, socket) => socket.write(acceptOf(request)));
  const upgrades = ['Connection: Upgrade', 'Upgrade: h2c'];
  for (const headers of [['Connection: close'], upgrades]) {
    expect((await rawGet(relay.port, '/x?q', headers)).status).toBe(502);
  }
});

test('an answer to a handshake sets nothing for this server, and each value has a line of its own', async () => {
  const { relay } = await pair(
    asHttpfstream((request, socket) => {
      const head = acceptOf(request, { 'Clear-Site-Data': '"*"', 'X-Own': 'yes' });
      socket.write(head.replace('X-Own', 'Set-Cookie: a=1\r\nSet-Cookie: b=2\r\nX-Own'));
    }),
  );
  const { status, headers } = await rawHandshake(relay.port, '/x?verb=APPEND');
  expect([status, headers['x-own']]).toEqual([101, 'yes']);
  expect(headers).not.toHaveProperty('set-cookie');
  expect(headers).not.toHaveProperty('clear-site-data');
});

test.each([
  ['/x/?verb=FOLLOW&hold=10&wait=45', 75],
  ['/x/?offset=now&live=long-poll', 50],
  ['/x?q', 30],
])('what %s waits for is added to the time in which it must be answered', async (target, limit) => {
  const { server, relay } = await pair(() => undefined);
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  onTestFinished(() => void vi.useRealTimers());
  let status: number | undefined;
  http.get(relay.url(target), { agent: false }, (answer) => {
    status = answer.resume().statusCode;
  });
  const turns = async (isOver: () => boolean) => {
    for (let i = 0; i < 20 || !isOver(); i++) await turn();
  };
  await turns(() => server.requests.length > 0);
  let seconds = 0;
  for (; status === undefined; seconds++) {
    vi.advanceTimersByTime(1000);
    await turns(() => true);
  }
  expect([status, limit <= seconds && seconds < limit + 5]).toEqual([504, true]);
});

test.runIf(canMakeCertificates)('a WebSocket over TLS that is cut on the other side is cut', async () => {
  const server = await ScriptedServer.start(
    asHttpfstream((request, socket) => socket.write(acceptOf(request), () => socket.resetAndDestroy())),
  );
  const app = Fastify({ https: await makeCertificate('localhost') });
  await app.register(httpfstream, { root: await temporaryDirectory(), upstreams: [server.url] });
  const { port } = await listen(app);
  const socket = tls.connect({ port, host: '127.0.0.1', rejectUnauthorized: false });
  const head = ['GET /x?verb=APPEND HTTP/1.1', 'Host: localhost', ...HANDSHAKE, '', ''];
  socket.on('error', () => undefined).resume();
  socket.write(head.join('\r\n'));
  // Whether it is told of the cut as an error depends on the version of Node.
  await new Promise((resolve) => socket.once('close', resolve));
});
