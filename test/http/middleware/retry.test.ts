import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { afterEach, beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest';
import { type Body, bearer, client, type Fetch, retry, text } from '../../../src/http/index.node.ts';
import { rejection } from '../../client/client-server.ts';
import { nobody, serve, serveRaw } from '../../support/http/servers.ts';
import { waitFor } from '../../support/wait-for.ts';

/** Answers with these statuses, and then with what it was sent. */
async function serveStatuses(...statuses: number[]) {
  const bodies: string[] = [];
  const url = await serve(async (request, response) => {
    bodies.push(String(await buffer(request)));
    response.writeHead(statuses.shift() ?? 200, { 'retry-after': '0' }).end(bodies.at(-1));
  });
  return { url, bodies };
}

describe('another attempt is made', () => {
  test.each([408, 425, 429, 500, 502, 503, 504])('after an answer %d', async (status) => {
    const { url, bodies } = await serveStatuses(status, status);
    expect((await client(url).use(retry()).get('/').send()).status).toBe(200);
    expect(bodies).toHaveLength(3);
  });

  test.each<[string, () => Body]>([
    ['text', () => 'abc'],
    ['a Blob', () => new Blob(['abc'])],
    [
      'what a function makes',
      () =>
        async function* () {
          yield 'abc';
        },
    ],
  ])('with the same body: %s', async (_what, body) => {
    const { url, bodies } = await serveStatuses(503);
    expect(await text(await client(url).use(retry()).put('/').body(body()).send())).toBe('abc');
    expect(bodies).toEqual(['abc', 'abc']);
    const form = client(url).use(retry()).multipart('/', 'PUT').field('a', 'b').file('c', 'd', body());
    expect(await text(await form.send())).toContain('abc');
  });

  test('after a minute at most, however often there was none', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    onTestFinished(() => void vi.useRealTimers());
    let attempts = 0;
    const down: Fetch = async () => {
      attempts++;
      return new Response('', { status: 503 });
    };
    const answer = client('http://a', { fetch: down })
      .use(retry({ times: 20 }))
      .get('/')
      .send();
    for (let count = 1; count <= 20; count++) {
      await vi.advanceTimersByTimeAsync(60_000);
    }
    expect([(await answer).status, attempts]).toEqual([503, 21]);
  });

  test('when the connection was lost, or nothing came in time', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    onTestFinished(() => void vi.useRealTimers());
    let requests = 0;
    const url = await serveRaw((socket) => {
      requests++;
      if (requests === 1) socket.resetAndDestroy();
      else if (requests === 3) socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok');
    });
    const answer = client(url).use(retry()).get('/').timeout(60_000).send().then(text);
    await waitFor(async () => {
      // The waits between attempts, and the limit of the second one.
      if (requests < 3) await vi.advanceTimersByTimeAsync(1000);
      return requests === 3;
    }, 'the third request');
    expect(await answer).toBe('ok');
  });

  test('and asks for a token again', async () => {
    const { url, bodies } = await serveStatuses(503);
    let tokens = 0;
    await client(url)
      .use(
        retry(),
        bearer(() => String(++tokens)),
      )
      .get('/')
      .send();
    expect([tokens, bodies.length]).toEqual([2, 2]);
  });
});

describe('no other attempt is made', () => {
  test('than there are to be', async () => {
    const { url, bodies } = await serveStatuses(503, 503, 503, 503, 503);
    expect(
      (
        await client(url)
          .use(retry({ times: 1 }))
          .get('/')
          .send()
      ).status,
    ).toBe(503);
    expect(bodies).toHaveLength(2);
    expect(
      await rejection(
        client(await nobody())
          .use(retry({ times: 1 }))
          .get('/')
          .send(),
      ),
    ).toMatchObject({ code: 'HFS_CONNECTION' });
  });

  test.each(['POST', 'PATCH'])('of %s, which is not idempotent', async (method) => {
    const { url, bodies } = await serveStatuses(503);
    expect((await client(url).use(retry()).request(method, '/').body('a').send()).status).toBe(503);
    expect(bodies).toHaveLength(1);
  });

  test('of a body that can be sent only once', async () => {
    const { url, bodies } = await serveStatuses(503);
    expect(
      (
        await client(url)
          .use(retry())
          .put('/')
          .body(Readable.from(['a']))
          .send()
      ).status,
    ).toBe(503);
    expect(bodies).toHaveLength(1);
  });

  test.each([400, 401, 404, 409, 413, 501])('after an answer %d', async (status) => {
    const { url, bodies } = await serveStatuses(status);
    expect((await client(url).use(retry()).get('/').send()).status).toBe(status);
    expect(bodies).toHaveLength(1);
  });

  test('after an abort, also while it is waited for', async () => {
    const { url, bodies } = await serveStatuses();
    const failing: Fetch = async () => new Response('', { status: 503, headers: { 'retry-after': '30' } });
    const controller = new AbortController();
    const waiting = rejection(
      client(url, { fetch: failing }).use(retry()).get('/').signal(controller.signal).send(),
    );
    setTimeout(() => controller.abort(new Error('enough')), 20);
    expect(await waiting).toMatchObject({ message: 'enough' });
    expect(bodies).toHaveLength(0);
  });

  test('of what the application itself has broken', async () => {
    let made = 0;
    const body = async function* () {
      made++;
      yield 'a';
      throw new TypeError('mine');
    };
    const { url } = await serveStatuses();
    expect(await rejection(client(url).use(retry()).put('/').body(body).send())).toMatchObject({
      message: 'mine',
    });
    expect(made).toBe(1);
  });
});

describe('the wait', () => {
  beforeEach(() => {
    vi.useFakeTimers({ now: new Date('2026-01-01T00:00:00Z') });
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  /** How long is waited after such an answer, in milliseconds; undefined when the answer is given back. */
  async function waitAfter(retryAfter: string | undefined): Promise<number | undefined> {
    let attempts = 0;
    const fetch: Fetch = async () => {
      attempts++;
      return attempts > 1
        ? new Response('')
        : new Response('', { status: 503, ...(retryAfter && { headers: { 'retry-after': retryAfter } }) });
    };
    const begun = Date.now();
    let status = 0;
    const sending = client('http://a', { fetch })
      .use(retry())
      .get('/')
      .send()
      .then((response) => {
        status = response.status;
      });
    await vi.runAllTimersAsync();
    await sending;
    return status === 503 ? undefined : Date.now() - begun;
  }

  test('is what the answer says, up to a minute', async () => {
    expect(await waitAfter('7')).toBe(7000);
    expect(await waitAfter('0')).toBe(0);
    expect(await waitAfter(new Date(Date.now() + 5000).toUTCString())).toBe(5000);
    expect(await waitAfter(new Date(Date.now() - 5000).toUTCString())).toBe(0);
    expect(await waitAfter('61')).toBeUndefined();
  });

  test('is short and random when it says nothing', async () => {
    for (const said of [undefined, 'soon', '-1', '1.5', 'in 3 days']) {
      const waitMs = (await waitAfter(said)) as number;
      expect(waitMs).toBeGreaterThanOrEqual(125);
      expect(waitMs).toBeLessThanOrEqual(250);
    }
  });
});
