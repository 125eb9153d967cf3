import { Readable } from 'node:stream';
import { text as textOf } from 'node:stream/consumers';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { client, type Fetch, text } from '../../src/http/index.node.ts';
import { rejection, watchedSignal } from '../client/client-server.ts';
import { platformFetch } from '../support/http/fetches.ts';
import { nobody, serve, serveBytes, serveRaw } from '../support/http/servers.ts';
import { waitFor } from '../support/wait-for.ts';

const over = (url: string) => client(url, { fetch: platformFetch });

describe("somebody else's fetch", () => {
  test('is given a stream that it need not keep, one direction at a time', async () => {
    let given: RequestInit & { duplex?: string } = {};
    const spy: Fetch = async (_url, init) => {
      given = init;
      return new Response(await new Response(given.body as ReadableStream).text());
    };
    const response = await client('http://a', { fetch: spy })
      .post('/')
      .body(Readable.from(['a', 'b']))
      .send();
    expect(await text(response)).toBe('ab');
    expect(given).toMatchObject({ duplex: 'half', redirect: 'error' });
    await client('http://a', { fetch: spy }).post('/').body('text').send();
    expect(given).not.toHaveProperty('redirect');
  });

  test('pulls a chunk when it wants one', async () => {
    let pulled = 0;
    const source = async function* () {
      for (;;) yield String(pulled++);
    };
    const spy: Fetch = async (_url, init) => {
      const reader = (init.body as ReadableStream).getReader();
      for (let i = 0; i < 3; i++) await reader.read();
      return new Response('ok');
    };
    await text(await client('http://a', { fetch: spy }).post('/').body(source()).send());
    expect(pulled).toBe(3);
  });

  test.each(['resolves', 'rejects'])(
    'that %s without reading the body does not keep its source',
    async (how) => {
      const source = Readable.from(['abc']);
      const spy: Fetch = async () => {
        if (how === 'rejects') throw new TypeError('fetch failed');
        return new Response('ok');
      };
      await client('http://a', { fetch: spy })
        .post('/')
        .body(source)
        .send()
        .then(text, () => undefined);
      expect(source.destroyed).toBe(true);
    },
  );

  test('that refuses a body ends its source at once, and its answer can be read', async () => {
    let finish = () => {};
    const url = await serve((_request, response) => {
      response.writeHead(413).write('too ');
      finish = () => void response.end('large');
    });
    let isEnded = false;
    const endless = async function* () {
      try {
        for (;;) yield new Uint8Array(65_536);
      } finally {
        isEnded = true;
      }
    };
    const response = await over(url).post('/').body(endless()).send();
    await waitFor(() => isEnded, 'the source to be ended');
    finish();
    expect([response.status, await text(response)]).toEqual([413, 'too large']);
  });

  test('has no listener left at a signal, however the request ends', async () => {
    const { controller, listeners } = watchedSignal();
    const { signal } = controller;
    const url = await serve((request, response) => {
      if (request.url === '/never') response.write('x');
      else response.end('hello');
    });
    await text(await over(url).get('/').signal(signal).send());
    await (await over(url).get('/never').signal(signal).send()).body?.cancel();
    await rejection(
      over(await nobody())
        .get('/')
        .signal(signal)
        .send(),
    );
    await rejection(
      over(await serveBytes('no HTTP\r\n\r\n'))
        .post('/')
        .body(Readable.from(['a']))
        .signal(signal)
        .send(),
    );
    expect(listeners()).toBe(0);
    const failed = rejection(over(url).get('/never').signal(signal).send().then(text));
    await waitFor(() => listeners() === 1, 'the request');
    controller.abort(new Error('enough'));
    expect(await failed).toMatchObject({ message: 'enough' });
    expect(listeners()).toBe(0);
  });

  test('that breaks off is a ConnectionError with its cause', async () => {
    const cut = await serveBytes('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello', 'close');
    const response = await over(cut).get('/').signal(new AbortController().signal).send();
    expect(await rejection(text(response))).toMatchObject({
      code: 'HFS_CONNECTION',
      cause: expect.any(Error),
    });
    const reset = await serveRaw((socket) => socket.resetAndDestroy());
    expect(await rejection(over(reset).get('/').send())).toMatchObject({
      code: 'HFS_CONNECTION',
      cause: expect.any(TypeError),
    });
  });

  test('is not given an expectation, which none fulfils', async () => {
    const url = await serve(async (request, response) =>
      response.end(`${request.headers.expect} ${await textOf(request)}`),
    );
    const response = await over(url)
      .post('/')
      .header('expect', '100-continue')
      .body(Readable.from(['abc']))
      .send();
    expect(await text(response)).toBe('undefined abc');
  });

  test('of a browser that would send the name of a stream is given none', async () => {
    class NamingRequest extends Request {
      constructor(url: string, init: RequestInit) {
        super(url, { ...init, body: String(init.body) });
      }
    }
    vi.stubGlobal('Request', NamingRequest);
    onTestFinished(() => void vi.unstubAllGlobals());
    const source = Readable.from(['abc']);
    let requests = 0;
    const spy: Fetch = async () => {
      requests++;
      return new Response('ok');
    };
    const own = client('http://a', { fetch: spy });
    expect(await rejection(own.post('/').body(source).send())).toMatchObject({ code: 'HFS_INVALID_SOURCE' });
    expect([source.destroyed, requests]).toEqual([true, 0]);
    expect(
      (
        await own
          .post('/')
          .body(new Blob(['abc']))
          .send()
      ).status,
    ).toBe(200);
  });

  test('sends a length that is known', async () => {
    const url = await serve(async (request, response) => {
      response.end(`${request.headers['content-length']} ${(await textOf(request)).length}`);
    });
    const response = await over(url)
      .post('/')
      .body(Readable.from(['abc']))
      .header('content-length', '3')
      .send();
    expect(await text(response)).toBe('3 3');
    const form = over(url)
      .multipart('/')
      .file('a', 'a', Readable.from(['abc']), { size: 3 });
    expect(await text(await form.send())).toMatch(/^(\d+) \1$/);
  });
});
