import type { Socket } from 'node:net';
import { Readable } from 'node:stream';
import { buffer, text as textOf } from 'node:stream/consumers';
import { describe, expect, test } from 'vitest';
import { client, nodeFetch, text } from '../../../src/http/index.node.ts';
import { rejection } from '../../client/client-server.ts';
import { serve, serveRaw } from '../../support/http/servers.ts';
import { waitFor } from '../../support/wait-for.ts';

/** Redirects `/STATUS` to `target`, and tells of every other request what it was. */
function serveRedirects(target = '/end'): Promise<string> {
  return serve(async (request, response) => {
    const status = Number(/^\/(\d+)$/.exec(request.url ?? '')?.[1]);
    if (status) {
      response.writeHead(status, { location: target }).end('see there');
      return;
    }
    const { method, url, headers } = request;
    response.end(JSON.stringify({ method, url, headers, body: await textOf(request) }));
  });
}

async function told(sending: Promise<Response>) {
  const response = await sending;
  return { ...JSON.parse(await text(response)), redirected: response.redirected, address: response.url };
}

describe('a redirect is followed as the Fetch standard says', () => {
  test.each([301, 302, 303, 307, 308])('GET after %d', async (status) => {
    const url = await serveRedirects();
    const answer = await told(client(url).get(`/${status}`).send());
    expect(answer).toMatchObject({ method: 'GET', url: '/end', redirected: true, address: `${url}/end` });
  });

  test.each([
    ['POST', 301, 'GET'],
    ['POST', 302, 'GET'],
    ['PUT', 303, 'GET'],
    ['PUT', 302, 'PUT'],
    ['POST', 307, 'POST'],
    ['PATCH', 308, 'PATCH'],
  ])('%s after %d becomes %s', async (method, status, then) => {
    const answer = await told(
      client(await serveRedirects())
        .request(method, `/${status}`)
        .json({ a: 1 })
        .send(),
    );
    expect(answer).toMatchObject({ method: then, body: then === 'GET' ? '' : '{"a":1}' });
    expect(answer.headers['content-type']).toBe(then === 'GET' ? undefined : 'application/json');
    expect(answer.headers['content-length']).toBe(then === 'GET' ? undefined : '7');
  });

  test('to an address that is written in UTF-8', async () => {
    const url = await serveRaw((socket, head) => {
      const isEnd = head.startsWith('GET /%C3%A4%E2%82%AC ');
      const answer = isEnd ? '200 OK' : '302 Found\r\nLocation: /ä€';
      socket.write(`HTTP/1.1 ${answer}\r\nContent-Length: 0\r\n\r\n`);
    });
    expect((await client(url).get('/').send()).status).toBe(200);
  });

  test.each([
    ['text', () => 'the body'],
    ['a Blob', () => new Blob(['the ', 'body'])],
    [
      'what a function makes',
      () =>
        async function* () {
          yield 'the ';
          yield 'body';
        },
    ],
  ])('with a body that can be sent again: %s', async (_what, body) => {
    const answer = await told(
      client(await serveRedirects())
        .put('/307')
        .body(body())
        .send(),
    );
    expect(answer.body).toBe('the body');
  });

  test('with a form whose parts can be made again', async () => {
    const make = async function* () {
      yield 'made';
    };
    const answer = await told(
      client(await serveRedirects())
        .multipart('/308')
        .file('a', 'a.txt', make)
        .send(),
    );
    expect(answer.body).toContain('made');
  });
});

test('a body that can be sent once is not redirected: the error has the place', async () => {
  const url = await serveRedirects('/end?token=1');
  const source = Readable.from(['once']);
  const error = await rejection(client(url).put('/307').body(source).send());
  expect(error).toMatchObject({ code: 'HFS_REDIRECT', status: 307, location: '/end?token=1' });
  expect(source.destroyed).toBe(true);
});

test('a redirect that comes while the body is sent ends its source, and the next one is a new one', async () => {
  let made = 0;
  let ended = 0;
  const url = await serve(async (request, response) => {
    if (request.url === '/first') response.writeHead(307, { location: '/second', 'content-length': 0 }).end();
    else response.end(String((await buffer(request)).length));
  });
  const body = async function* () {
    const isFirst = made++ === 0;
    try {
      for (let i = 0; isFirst || i < 3; i++) yield new Uint8Array(65_536);
    } finally {
      ended++;
    }
  };
  expect(
    await text(
      await client(url)
        .post('/first')
        .body(() => body())
        .send(),
    ),
  ).toBe(String(3 * 65_536));
  expect({ made, ended }).toEqual({ made: 2, ended: 2 });
});

describe('to another origin', () => {
  const SECRETS = {
    authorization: 'Bearer x',
    cookie: 'a=b',
    'x-api-key': 'secret',
    'proxy-authorization': 'y',
  };

  test('nothing that may be a secret is told, nor on the way back', async () => {
    const home = await serveRedirects();
    const other = await serveRedirects(`${home}/end`);
    const first = await serve((_request, response) =>
      response.writeHead(302, { location: `${other}/302` }).end(),
    );
    for (const base of [other, first]) {
      const request = client(base)
        .get(base === first ? '/' : '/302')
        .header('accept', 'text/plain')
        .header('range', 'bytes=1-');
      for (const [name, value] of Object.entries(SECRETS)) request.header(name, value);
      const { headers } = await told(request.send());
      expect(headers).toMatchObject({ accept: 'text/plain', range: 'bytes=1-' });
      for (const name of Object.keys(SECRETS)) expect(headers).not.toHaveProperty(name);
    }
  });

  test('of the same origin they are', async () => {
    const request = client(await serveRedirects()).get('/302');
    for (const [name, value] of Object.entries(SECRETS)) request.header(name, value);
    expect((await told(request.send())).headers).toMatchObject(SECRETS);
  });
});

describe('a redirect is refused', () => {
  test.each([
    ['that goes round in circles', '/302', 'too many redirects'],
    ['out of HTTP', 'file:///etc/passwd', 'out of HTTP'],
    ['to what is no URL', 'http://[', 'malformed'],
    ['with credentials', 'http://me:word@127.0.0.1/', 'credentials'],
  ])('%s', async (_what, location, words) => {
    const error = await rejection(
      client(await serveRedirects(location))
        .get('/302')
        .send(),
    );
    expect(error).toMatchObject({ code: 'HFS_REDIRECT', location, message: expect.stringContaining(words) });
  });

  test('when the request says so, or is given back', async () => {
    const url = new URL('/302', await serveRedirects());
    const fetch = nodeFetch();
    const init = { method: 'GET', headers: new Headers() };
    expect(await rejection(fetch(url, { ...init, redirect: 'error' }))).toMatchObject({
      code: 'HFS_REDIRECT',
    });
    const response = await fetch(url, { ...init, redirect: 'manual' });
    expect([response.status, response.headers.get('location'), await text(response)]).toEqual([
      302,
      '/end',
      'see there',
    ]);
  });

  test('not without a place: it is an answer', async () => {
    const url = await serve((_request, response) => response.writeHead(302).end('nowhere'));
    expect((await client(url).get('/').send()).status).toBe(302);
  });
});

test('an answer that is let go for a redirect leaves no connection behind', async () => {
  const sockets = new Set<Socket>();
  const target = await serveRedirects();
  const url = await serve(({ socket }, response) => {
    sockets.add(socket);
    response.writeHead(302, { location: `${target}/end` }).write('endless');
  });
  expect((await client(url).get('/').send()).status).toBe(200);
  await waitFor(() => [...sockets].every(({ destroyed }) => destroyed), 'the connection to be closed');
  expect(sockets.size).toBe(1);
});
