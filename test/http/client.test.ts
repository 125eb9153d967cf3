import { Readable } from 'node:stream';
import { text as textOf } from 'node:stream/consumers';
import { describe, expect, test } from 'vitest';
import {
  type Body,
  client,
  type Fetch,
  type Middleware,
  nodeFetch,
  ok,
  StatusError,
  text,
} from '../../src/http/index.node.ts';
import { rejection } from '../client/client-server.ts';
import { answerOf } from '../support/http/answers.ts';
import { FETCHES } from '../support/http/fetches.ts';
import { nobody, serve } from '../support/http/servers.ts';
import { waitFor } from '../support/wait-for.ts';

/** A fetch that tells what it was given, in place of sending it. */
const seen: { url: URL; init: RequestInit & { method: string; headers: Headers } }[] = [];
const spy: Fetch = async (url, init) => {
  seen.push({ url, init });
  return new Response('ok');
};

const sentTo = async (
  base: string,
  path: string,
  set: (request: ReturnType<ReturnType<typeof client>['get']>) => unknown = () => {},
) => {
  const request = client(base, { fetch: spy }).get(path);
  set(request);
  await request.send();
  return seen.at(-1) as (typeof seen)[number];
};

describe('a path is below the base', () => {
  test.each([
    ['http://a/b', '/c', 'http://a/b/c'],
    ['http://a/b/', 'c', 'http://a/b/c'],
    ['http://a', '', 'http://a/'],
    ['http://a/b.txt', '', 'http://a/b.txt'],
    ['http://a/b/', '', 'http://a/b/'],
    ['http://a/b', '/', 'http://a/b/'],
    ['http://a/b?c=d', '/e?f=g', 'http://a/b/e?c=d&f=g'],
    ['http://a/b#c', 'd#e', 'http://a/b/d'],
    ['http://a/b', '//evil.example/x', 'http://a/b//evil.example/x'],
    ['http://a/b', 'http://evil.example/', 'http://a/b/http://evil.example/'],
    ['http://a/b', 'c d/ä', 'http://a/b/c%20d/%C3%A4'],
    ['http://a/b', 'c/../d', 'http://a/b/d'],
  ])('%s and %s: %s', async (base, path, expected) => {
    expect((await sentTo(base, path)).url.href).toBe(expected);
  });

  test.each(['..', '../c', '/../bc', 'c/../../d', '%2e%2e/d', '/c/%2E./..'])(
    'and never leads out of it: %s',
    async (path) => {
      expect(await rejection(sentTo('http://a/b', path))).toBeInstanceOf(TypeError);
    },
  );

  test('and the base is a URL of HTTP', () => {
    for (const base of ['ftp://a', 'a/b', '', 'ws://a']) expect(() => client(base)).toThrow(/base URL/);
  });
});

describe('a parameter of a path', () => {
  test('is escaped, whatever is in it', async () => {
    const { url } = await sentTo('http://a', '/{x}/c/{y}-{x}', (request) =>
      request.pathParam('x', 'a/b?c#d%').pathParam('y', 7),
    );
    expect(url.href).toBe('http://a/a%2Fb%3Fc%23d%25/c/7-a%2Fb%3Fc%23d%25');
  });

  test.each(['', '.', '..'])('cannot be %j, which names another place', (value) => {
    expect(() => client('http://a').get('/{x}').pathParam('x', value)).toThrow(TypeError);
  });

  test('has to be there, and to be filled', async () => {
    expect(() => client('http://a').get('/{x}').pathParam('y', 'a')).toThrow('has no {y}');
    expect(await rejection(sentTo('http://a', '/{x}'))).toMatchObject({
      message: expect.stringContaining('{x}'),
    });
  });
});

describe('a request has', () => {
  test('the parameters of its query, escaped and in order', async () => {
    const { url } = await sentTo('http://a', '/b?c=1', (request) =>
      request.query('d', 'e&f=ä').query('e', undefined).query('d', true).query('c', 2),
    );
    expect(url.search).toBe('?c=1&d=e%26f%3D%C3%A4&d=true&c=2');
  });

  test('the type of its own form, whatever the client says', async () => {
    const own = client('http://a', { fetch: spy, headers: { 'content-type': 'application/json' } });
    await own.multipart('/').field('a', 'b').send();
    expect(seen.at(-1)?.init.headers.get('content-type')).toMatch(/^multipart\/form-data; boundary=/);
    for (const form of [new FormData(), new URLSearchParams()]) {
      expect(() => own.post('/').body(form as never)).toThrow('multipart() and form() make forms');
    }
  });

  test('headers of the client, unless it has its own, and cookies', async () => {
    const own = client('http://a', { fetch: spy, headers: { a: '1', b: '2', cookie: 'x=0' } });
    await own.get('/').header('B', '3').cookie('y', '1').cookie('z', '2').send();
    expect(Object.fromEntries(seen.at(-1)?.init.headers ?? [])).toEqual({
      a: '1',
      b: '3',
      cookie: 'x=0; y=1; z=2',
    });
    await own.get('/').send();
    expect(Object.fromEntries(seen.at(-1)?.init.headers ?? [])).toEqual({ a: '1', b: '2', cookie: 'x=0' });
    for (const [name, value] of [
      ['a b', 'c'],
      ['a', 'b; c=d'],
      ['a', 'b\r\nc'],
      ['', 'a'],
    ] as const) {
      expect(() => own.get('/').cookie(name, value)).toThrow(TypeError);
    }
  });

  test('the user and password of the base, of which nothing is in the URL', async () => {
    const { url, init } = await sentTo('http://me:w%C3%B6rd@a/b', '/c');
    expect([url.href, init.headers.get('authorization')]).toEqual([
      'http://a/b/c',
      `Basic ${Buffer.from('me:wörd').toString('base64')}`,
    ]);
    const other = await sentTo('http://me:word@a', '/', (request) =>
      request.header('authorization', 'Bearer x'),
    );
    expect(other.init.headers.get('authorization')).toBe('Bearer x');
  });

  test('one body, and none for GET and HEAD', async () => {
    expect(() => client('http://a').post('/').body('a').json(1)).toThrow(TypeError);
    expect(() => client('http://a').post('/').form('a', 'b').body('a')).toThrow(TypeError);
    expect(() => client('http://a').post('/').json(undefined)).toThrow(TypeError);
    for (const method of ['GET', 'HEAD']) {
      expect(
        await rejection(client('http://a', { fetch: spy }).request(method, '/').body('a').send()),
      ).toBeInstanceOf(TypeError);
    }
    for (const body of [1, {}, null, [1], new ArrayBuffer(1)] as unknown as Body[]) {
      expect(() => client('http://a').post('/').body(body)).toThrow(
        expect.objectContaining({ code: 'HFS_INVALID_SOURCE' }),
      );
    }
  });

  test('limits that are numbers', () => {
    for (const ms of [-1, Number.NaN]) {
      expect(() => client('http://a').get('/').timeout(ms)).toThrow(RangeError);
      expect(() => client('http://a').get('/').idleTimeout(ms)).toThrow(RangeError);
    }
  });

  test('one answer: it is sent once', async () => {
    const request = client('http://a', { fetch: spy }).get('/');
    await request.send();
    expect(await rejection(request.send())).toBeInstanceOf(TypeError);
  });
});

describe('middleware', () => {
  const noting =
    (name: string, notes: string[]): Middleware =>
    (next) =>
    async (url, init) => {
      notes.push(`${name} before`);
      const response = await next(url, init);
      notes.push(`${name} after`);
      return response;
    };

  test('wraps in the order in which it was given, and leaves the client as it was', async () => {
    const notes: string[] = [];
    const plain = client('http://a', { fetch: spy });
    const wrapped = plain.use(noting('1', notes), noting('2', notes));
    await plain.get('/').send();
    expect(notes).toEqual([]);
    await wrapped.use(noting('3', notes)).get('/').use(noting('4', notes)).send();
    expect(notes).toEqual([
      '1 before',
      '2 before',
      '3 before',
      '4 before',
      '4 after',
      '3 after',
      '2 after',
      '1 after',
    ]);
  });

  test.each(['never goes on', 'goes on later'])(
    'that %s does not keep who aborts, nor what was to be sent',
    async (how) => {
      let goOn = () => {};
      const waiting = new Promise<void>((resolve) => {
        goOn = resolve;
      });
      const { response, state } = answerOf(['late']);
      const late: Middleware = () => async () => {
        await waiting;
        return response;
      };
      const source = Readable.from(['a']);
      const controller = new AbortController();
      const own = client('http://a', { fetch: spy }).use(late);
      const failed = rejection(own.post('/').body(source).signal(controller.signal).send());
      await new Promise((resolve) => setImmediate(resolve));
      controller.abort(new Error('enough'));
      expect(await failed).toMatchObject({ message: 'enough' });
      expect(source.destroyed).toBe(true);
      if (how === 'never goes on') return;
      goOn();
      await waitFor(() => state.isCancelled, 'the late answer to be cancelled');
    },
  );

  test('that fails ends what was to be sent', async () => {
    let isEnded = false;
    const body = new ReadableStream<Uint8Array>({
      cancel: () => {
        isEnded = true;
      },
    });
    const failing: Middleware = () => async () => {
      throw new Error('no');
    };
    expect(
      await rejection(client('http://a', { fetch: spy }).use(failing).post('/').body(body).send()),
    ).toMatchObject({ message: 'no' });
    expect(isEnded).toBe(true);
  });
});

describe.each(FETCHES)('over %s', (_name, fetch) => {
  async function start() {
    const url = await serve(async (request, response) => {
      const { headers, method, url: path } = request;
      response.writeHead(path === '/400' ? 400 : 200, { 'x-a': 'b', 'content-type': 'application/json' });
      response.end(
        JSON.stringify({
          method,
          path,
          type: headers['content-type'],
          coding: headers['content-encoding'],
          body: await textOf(request),
        }),
      );
    });
    return client(url, { fetch });
  }

  const told = async (sending: Promise<Response>) => JSON.parse(await text(await ok(await sending)));

  test('each kind of body arrives, with its type', async () => {
    const own = await start();
    const made = async function* () {
      yield 'h';
      yield new TextEncoder().encode('ällo');
    };
    const whole = () => new Blob(['hällo']);
    const bodies: [Body, string | undefined][] = [
      ['hällo', 'text/plain;charset=UTF-8'],
      [new TextEncoder().encode('hällo'), undefined],
      [new Blob(['hällo'], { type: 'text/x' }), 'text/x'],
      [new Response('hällo', { headers: { 'content-type': 'text/y' } }), 'text/y'],
      [new Blob(['hällo']).stream() as ReadableStream<Uint8Array>, undefined],
      [made(), undefined],
      [made, undefined],
      [whole, undefined],
    ];
    for (const [body, type] of bodies)
      expect(await told(own.post('/').body(body).send())).toMatchObject({
        body: 'hällo',
        ...(type && { type }),
      });
    expect(await told(own.post('/').body(made(), 'text/z').send())).toMatchObject({
      body: 'hällo',
      type: 'text/z',
    });
    expect(await told(own.post('/').json({ a: 'ä' }).send())).toMatchObject({
      body: '{"a":"ä"}',
      type: 'application/json',
    });
    const form = own.post('/').form('a', 'b c').form('a', 'ä');
    expect(await told(form.send())).toMatchObject({
      body: 'a=b+c&a=%C3%A4',
      type: 'application/x-www-form-urlencoded',
    });
  });

  test.each(['GET', 'PUT', 'POST', 'PATCH', 'DELETE'])('%s has its method', async (name) => {
    const own = await start();
    const method = name.toLowerCase() as 'get' | 'put' | 'post' | 'patch' | 'delete';
    expect(await told(own[method]('/a').send())).toMatchObject({ method: name, path: '/a', body: '' });
    expect((await own.head('/a').send()).headers.get('x-a')).toBe('b');
  });

  test('a method is written in capitals, whoever asks', async () => {
    const own = await start();
    expect(await told(own.request('patch', '/').body('x').send())).toMatchObject({ method: 'PATCH' });
    expect(await rejection(own.request('get', '/').body('x').send())).toBeInstanceOf(TypeError);
    expect(await text(await own.request('head', '/').send())).toBe('');
  });

  test('an answer of any status is one, and says where it came from', async () => {
    const response = await (await start())
      .get('/400')
      .progress(() => {})
      .send();
    expect(response).toBeInstanceOf(Response);
    expect([response.status, new URL(response.url).pathname, response.redirected]).toEqual([
      400,
      '/400',
      false,
    ]);
    expect(await rejection(ok(response))).toBeInstanceOf(StatusError);
  });

  test('what fails in the source of a body is what the request fails with', async () => {
    const failing = async function* () {
      yield 'a';
      throw new Error('the source has failed');
    };
    for (const request of [
      (await start()).post('/').body(failing()),
      (await start()).post('/').body(failing()).gzip(),
    ]) {
      expect(await rejection(request.send())).toMatchObject({ message: 'the source has failed' });
    }
    const numbers = (async function* () {
      yield 1 as unknown as string;
    })();
    expect(await rejection((await start()).post('/').body(numbers).send())).toMatchObject({
      code: 'HFS_INVALID_SOURCE',
    });
  });

  test('a signal that has aborted sends nothing, and ends the source', async () => {
    let isEnded = false;
    const body = new ReadableStream<Uint8Array>({
      cancel: () => {
        isEnded = true;
      },
    });
    const signal = AbortSignal.abort(new Error('before'));
    expect(await rejection((await start()).post('/').body(body).signal(signal).send())).toMatchObject({
      message: 'before',
    });
    expect(isEnded).toBe(true);
  });

  test('nobody there is a ConnectionError with its cause', async () => {
    const error = await rejection(
      client(await nobody(), { fetch })
        .get('/')
        .send(),
    );
    expect(error).toMatchObject({
      code: 'HFS_CONNECTION',
      message: expect.stringContaining('ECONNREFUSED'),
      cause: expect.any(Error),
    });
  });
});

test('clients over one transport share its connections', async () => {
  const ports = new Set<number | undefined>();
  const url = await serve(({ socket }, response) => {
    ports.add(socket.remotePort);
    response.end('x');
  });
  const fetch = nodeFetch();
  for (let i = 0; i < 3; i++) await client(url, { fetch }).get('/').send().then(text);
  fetch.close();
  expect(ports.size).toBe(1);
});
