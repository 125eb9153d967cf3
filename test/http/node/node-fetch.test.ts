import http from 'node:http';
import https from 'node:https';
import type { Socket } from 'node:net';
import { Readable } from 'node:stream';
import { text as textOf } from 'node:stream/consumers';
import { afterEach, beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest';
import { client, nodeFetch, ok, text } from '../../../src/http/index.node.ts';
import { rejection } from '../../client/client-server.ts';
import { collectGarbage } from '../../support/collect-garbage.ts';
import { CopiedBuild } from '../../support/copied-build.ts';
import { canMakeCertificates, makeCertificate } from '../../support/http/certificate.ts';
import { ConnectProxy } from '../../support/http/connect-proxy.ts';
import { serve, serveRaw, serveTls } from '../../support/http/servers.ts';
import { runSuccessfully } from '../../support/programs/program.ts';
import { waitFor } from '../../support/wait-for.ts';

const HEAD = 'HTTP/1.1 200 OK\r\n';

/** Tells of each request what it was. */
function serveEcho(): Promise<string> {
  return serve(async (request, response) => {
    const { method, url, headers } = request;
    response.end(JSON.stringify({ method, url, headers, body: await textOf(request) }));
  });
}

const told = async (sending: Promise<Response>) => JSON.parse(await text(await ok(await sending)));

describe('a request', () => {
  test.each(['DELETE', 'OPTIONS', 'POST', 'QUERY'])(
    'with the method %s has a body with an end',
    async (method) => {
      const { headers, body } = await told(
        client(await serveEcho())
          .request(method, '/')
          .body(Readable.from(['a', 'b']))
          .send(),
      );
      expect({ body, coding: headers['transfer-encoding'] }).toEqual({ body: 'ab', coding: 'chunked' });
    },
  );

  test.each([
    ['text', 'äöü', '6'],
    ['bytes', new Uint8Array(70_000), '70000'],
    ['a Blob', new Blob(['äö', 'ü']), '6'],
    ['nothing', '', '0'],
  ])('declares the length of %s', async (_what, body, length) => {
    const { headers } = await told(
      client(await serveEcho())
        .post('/')
        .body(body)
        .send(),
    );
    expect([headers['content-length'], headers['transfer-encoding']]).toEqual([length, undefined]);
  });

  test('declares the length of a stream as the application does, and keeps to it', async () => {
    const url = await serveEcho();
    const send = (length: string) =>
      client(url)
        .post('/')
        .body(Readable.from(['abc']))
        .header('content-length', length)
        .send();
    expect(await told(send('3'))).toMatchObject({ body: 'abc', headers: { 'content-length': '3' } });
    for (const length of ['2', '4'])
      expect(await rejection(send(length))).toMatchObject({ code: 'HFS_BODY_LENGTH' });
    expect(await rejection(send('3, 3'))).toBeInstanceOf(TypeError);
    const source = Readable.from(['abc']);
    const refused = client(url).post('/').body(source).header('content-length', 'three').send();
    expect(await rejection(refused)).toBeInstanceOf(TypeError);
    expect(source.destroyed).toBe(true);
  });

  test('has no header that would change where it ends', async () => {
    const request = client(await serveEcho())
      .post('/')
      .body('abc');
    for (const [name, value] of [
      ['transfer-encoding', 'chunked'],
      ['connection', 'close'],
      ['te', 'trailers'],
      ['content-length', '1'],
    ] as const) {
      request.header(name, value);
    }
    const { headers, body } = await told(request.send());
    expect(body).toBe('abc');
    expect(headers).toMatchObject({ 'content-length': '3', connection: 'keep-alive' });
    expect(headers).not.toHaveProperty('te');
  });

  test('is not sent with what is no header, no method or no HTTP', async () => {
    const url = new URL(await serveEcho());
    const init = { method: 'GET', headers: new Headers() };
    expect(await rejection(nodeFetch()(new URL('ftp://localhost/'), init))).toBeInstanceOf(TypeError);
    expect(await rejection(nodeFetch()(url, { ...init, method: 'NO METHOD' }))).toBeInstanceOf(TypeError);
    url.username = 'me';
    expect(await rejection(nodeFetch()(url, init))).toBeInstanceOf(TypeError);
  });

  test('can have any body that the platform knows', async () => {
    const url = new URL(await serveEcho());
    const init = { method: 'POST', headers: new Headers() };
    const form = await told(nodeFetch()(url, { ...init, body: new URLSearchParams({ a: 'b' }) }));
    expect(form).toMatchObject({
      body: 'a=b',
      headers: { 'content-type': expect.stringContaining('urlencoded'), 'content-length': '3' },
    });
    expect(
      await told(nodeFetch()(url, { ...init, body: new TextEncoder().encode('abc').buffer })),
    ).toMatchObject({ body: 'abc', headers: { 'content-length': '3' } });
    const file = new FormData();
    file.append('a', new Blob(['of a file']), 'a.txt');
    expect((await told(nodeFetch()(url, { ...init, body: file }))).body).toContain('of a file');
    const blob = new Blob(['x']).stream() as ReadableStream;
    expect(await told(nodeFetch()(url, { ...init, body: blob }))).toMatchObject({ body: 'x' });
  });

  test('is answered before a slow source has made a byte', async () => {
    const url = await serve((request, response) => {
      response.flushHeaders();
      request.pipe(response);
    });
    const body = new TransformStream<Uint8Array, Uint8Array>();
    const response = await client(url).post('/').body(body.readable).send();
    const writer = body.writable.getWriter();
    await writer.write(new TextEncoder().encode('later'));
    await writer.close();
    expect(await text(response)).toBe('later');
  });
});

describe('with Expect: 100-continue the body', () => {
  const send = (url: string, source: Readable) =>
    client(url).put('/').header('expect', '100-continue').body(source).send();

  test('is sent when the server says so', async () => {
    let isAsked = false;
    const server = http.createServer();
    server.on('checkContinue', async (request, response) => {
      isAsked = true;
      response.writeContinue();
      response.end(await textOf(request));
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    onTestFinished(() => void server.close().closeAllConnections());
    const { port } = server.address() as { port: number };
    expect(await text(await send(`http://127.0.0.1:${port}`, Readable.from(['abc'])))).toBe('abc');
    expect(isAsked).toBe(true);
  });

  test('is not asked for when the server refuses it', async () => {
    const url = await serveRaw((socket) => socket.write('HTTP/1.1 401 No\r\nContent-Length: 0\r\n\r\n'));
    let isPulled = false;
    const source = new Readable({
      read() {
        isPulled = true;
        this.push(null);
      },
    });
    expect((await send(url, source)).status).toBe(401);
    expect(source.destroyed).toBe(true);
    expect(isPulled).toBe(false);
  });

  test('is sent after a while when the server says nothing', async () => {
    const url = await serveRaw((socket) => {
      socket.on('data', (chunk: Buffer) => {
        if (chunk.includes('0\r\n\r\n')) socket.write(`${HEAD}Content-Length: 2\r\n\r\nok`);
      });
    });
    expect(await text(await send(url, Readable.from(['abc'])))).toBe('ok');
  });
});

describe('connections', () => {
  test('are used again, also after answers without a body that nobody has read', async () => {
    const sockets = new Set<Socket>();
    const url = await serve(({ socket, url, method }, response) => {
      sockets.add(socket);
      if (url === '/204') response.writeHead(204).end();
      else if (url === '/empty') response.writeHead(200, { 'content-length': 0 }).end();
      else response.writeHead(200, { 'content-length': 5 }).end(method === 'HEAD' ? undefined : 'hello');
    });
    const fetch = nodeFetch();
    onTestFinished(() => fetch.close());
    const own = client(url, { fetch });
    for (const path of ['/204', '/empty', '/body', '/204']) {
      const response = await own.get(path).send();
      if (path === '/body') await text(response);
      await own.head('/').send();
    }
    await own.post('/').body('x').send().then(text);
    expect(sockets.size).toBe(1);
  });

  test('that were closed while they were idle are no error for what can be repeated', async () => {
    const heads: string[] = [];
    const url = await serveRaw((socket, head) => {
      heads.push(/[A-Z]+(?= \/)/.exec(head)?.[0] ?? '');
      // Each serves one request, and is cut when the next one comes: the client cannot know.
      if (socket.bytesWritten > 0) socket.resetAndDestroy();
      else socket.write(`${HEAD}Content-Length: 2\r\n\r\nok`);
    });
    const fetch = nodeFetch();
    const own = client(url, { fetch });
    await own.get('/').send().then(text);
    expect(await text(await own.put('/').body('abc').send())).toBe('ok');
    expect(await text(await own.delete('/').send())).toBe('ok');
    expect(await rejection(own.post('/').body('abc').send())).toMatchObject({ code: 'HFS_CONNECTION' });
    await own.get('/').send().then(text);
    const once = own
      .put('/')
      .body(Readable.from(['abc']))
      .send();
    expect(await rejection(once)).toMatchObject({ code: 'HFS_CONNECTION' });
    expect(heads.filter((head) => head !== '').join()).toBe('GET,PUT,PUT,DELETE,DELETE,POST,GET,PUT');
  });

  test('are closed by close, also those in use', async () => {
    const url = await serveRaw((socket) => socket.write(`${HEAD}Content-Length: 9\r\n\r\nhello`));
    const fetch = nodeFetch();
    const reading = client(url, { fetch }).get('/').send().then(text);
    const failed = rejection(reading);
    await client(url, { fetch }).get('/').send();
    fetch.close();
    expect(await failed).toMatchObject({ code: 'HFS_CONNECTION' });
  });

  test('of answers that nobody can read any more are closed', async () => {
    const sockets = new Set<Socket>();
    const url = await serve(({ socket }, response) => {
      sockets.add(socket);
      response.write('endless');
    });
    for (let i = 0; i < 5; i++) {
      await client(url).get('/').send();
      await client(url)
        .get('/')
        .progress(() => {})
        .send();
    }
    expect(sockets.size).toBe(10);
    await waitFor(() => {
      collectGarbage();
      return [...sockets].every(({ destroyed }) => destroyed);
    }, 'the connections to be closed');
  });

  test('of bodies that are still read stay, though the answer itself is gone', async () => {
    const url = await serve((_request, response) => {
      response.write('first');
      setTimeout(() => response.end(' last'), 200);
    });
    const bodies = await Promise.all(
      Array.from(
        { length: 3 },
        async () => (await client(url).get('/').send()).body as ReadableStream<Uint8Array>,
      ),
    );
    const timer = setInterval(collectGarbage, 50);
    onTestFinished(() => clearInterval(timer));
    const texts = bodies.map(async (body) => {
      const chunks: Uint8Array[] = [];
      for await (const chunk of body as unknown as AsyncIterable<Uint8Array>) chunks.push(chunk);
      return Buffer.concat(chunks).toString();
    });
    expect(await Promise.all(texts)).toEqual(['first last', 'first last', 'first last']);
  });

  test('that are idle do not keep the process', async () => {
    const url = await serve((_request, response) => response.end('hello'));
    const script = `
      import { client, text } from ${JSON.stringify(new URL('../../../build/src/http/index.node.js', import.meta.url).href)};
      const idle = await text(await client('${url}').get('/').send());
      process.on('exit', () => console.log(idle, Math.round(performance.now())));
    `;
    const [said, ms] = (await runSuccessfully('node', ['--input-type=module', '-e', script])).split(' ');
    expect(said).toBe('hello');
    // Idle connections are kept for 4 s.
    expect(Number(ms)).toBeLessThan(4000);
  });
});

test('what makes requests is loaded by the next one, if the first could not load it', async () => {
  const url = await serve((_request, response) => response.end('hello'));
  const build = await CopiedBuild.make();
  const module =
    await build.import<typeof import('../../../src/http/node/node-fetch.ts')>('http/node/node-fetch');
  const fetch = module.nodeFetch();
  const first = await build.without('http/node/transport', () => rejection(fetch(url)));
  expect(first).toMatchObject({ code: 'ERR_MODULE_NOT_FOUND' });
  expect(await text(await fetch(url))).toBe('hello');
  fetch.close();
});

test('close ends also a request that has only just begun', async () => {
  let asked = 0;
  const silent = await serve(() => asked++);
  const fetch = nodeFetch();
  let isEnded = false;
  const body = new ReadableStream({
    cancel() {
      isEnded = true;
    },
  });
  const failed = rejection(fetch(new URL(silent), { method: 'PUT', headers: new Headers(), body }));
  fetch.close();
  expect(await failed).toMatchObject({ code: 'HFS_CONNECTION' });
  expect(asked).toBe(0);
  expect(isEnded).toBe(true);
});

describe.runIf(canMakeCertificates)('over TLS', () => {
  test('a server is trusted when its certificate is, and no other', async () => {
    const certificate = await makeCertificate('localhost');
    const url = await serveTls(certificate, (request, response) => request.pipe(response));
    const agent = new https.Agent({ ca: certificate.cert, keepAlive: true });
    onTestFinished(() => agent.destroy());
    const fetch = nodeFetch({ agents: { https: agent } });
    const body = 'x'.repeat(300_000);
    expect(
      await text(
        await client(url, { fetch })
          .post('/')
          .body(Readable.from([body]))
          .send(),
      ),
    ).toBe(body);
    expect(await rejection(client(url).get('/').send())).toMatchObject({ code: 'HFS_CONNECTION' });
    // Agents that were given are their owner's.
    fetch.close();
    expect(await text(await client(url, { fetch }).post('/').body('more').send())).toBe('more');
  });

  test('a redirect to another scheme is one to another origin', async () => {
    const certificate = await makeCertificate('localhost');
    const plain = await serveEcho();
    const url = await serveTls(certificate, (_request, response) =>
      response.writeHead(302, { location: plain }).end(),
    );
    const agent = new https.Agent({ ca: certificate.cert });
    const fetch = nodeFetch({ agents: { https: agent } });
    const { headers } = await told(client(url, { fetch }).get('/').header('authorization', 'secret').send());
    expect(headers).not.toHaveProperty('authorization');
  });
});

describe('through the proxy that the environment names', () => {
  beforeEach(() => {
    for (const name of ['http_proxy', 'https_proxy', 'all_proxy', 'no_proxy']) {
      vi.stubEnv(name, '');
      vi.stubEnv(name.toUpperCase(), '');
    }
  });
  afterEach(() => {
    vi.unstubAllEnvs();
  });

  test('requests are sent, and no connection is left', async () => {
    const proxy = await ConnectProxy.start(Number(new URL(await serveEcho()).port));
    vi.stubEnv('http_proxy', proxy.url.replace('//', '//me:word@'));
    expect(
      await told(
        client('http://files')
          .post('/a')
          .body(Readable.from(['abc']))
          .send(),
      ),
    ).toMatchObject({ body: 'abc' });
    expect(proxy.asked).toEqual([{ target: 'files:80', authorization: `Basic ${btoa('me:word')}` }]);
    await waitFor(() => proxy.sockets.size === 0, 'the tunnel to be closed');
  });

  test('which never answers, a request can be aborted', async () => {
    const proxy = await ConnectProxy.start(1, '');
    vi.stubEnv('http_proxy', proxy.url);
    const controller = new AbortController();
    const source = Readable.from(['abc']);
    const failed = rejection(client('http://files').post('/a').body(source).signal(controller.signal).send());
    await waitFor(() => proxy.asked.length === 1, 'the proxy to be asked');
    controller.abort(new Error('enough'));
    expect(await failed).toMatchObject({ message: 'enough' });
    await waitFor(() => proxy.sockets.size === 0, 'the connection to be closed');
    expect(source.destroyed).toBe(true);
  });

  test('which is open, a request is ended by close', async () => {
    const endless = await serve((_request, response) => response.write('endless'));
    const proxy = await ConnectProxy.start(Number(new URL(endless).port));
    vi.stubEnv('http_proxy', proxy.url);
    const fetch = nodeFetch();
    const response = await client('http://files', { fetch }).get('/a').send();
    fetch.close();
    expect(await rejection(text(response))).toMatchObject({ code: 'HFS_CONNECTION' });
    await waitFor(() => proxy.sockets.size === 0, 'the tunnel to be closed');
  });

  test.each(['in the same turn', 'when the proxy is asked'])(
    'a request is ended by close %s',
    async (when) => {
      const proxy = await ConnectProxy.start(1, '');
      vi.stubEnv('http_proxy', proxy.url);
      const fetch = nodeFetch();
      // What is loaded for each of them is there.
      await rejection(fetch(new URL('http://127.0.0.1:1/'), { method: 'GET', headers: new Headers() }));
      const failed = rejection(client('http://files', { fetch }).get('/a').send());
      if (when !== 'in the same turn') await waitFor(() => proxy.asked.length === 1, 'the proxy to be asked');
      else await Promise.resolve();
      fetch.close();
      expect(await failed).toMatchObject({ code: 'HFS_CONNECTION' });
      await waitFor(() => proxy.sockets.size === 0, 'the connection to be closed');
    },
  );

  test.runIf(canMakeCertificates)('a server is spoken to over TLS, and must be trusted', async () => {
    const tls = await serveTls(await makeCertificate('files'), (_request, response) => response.end());
    const proxy = await ConnectProxy.start(Number(new URL(tls).port));
    vi.stubEnv('https_proxy', proxy.url);
    const { message } = (await rejection(client('https://files').get('/a').send())) as Error;
    expect(message).toMatch(/self-signed certificate|unable to verify/);
    expect(proxy.asked.map(({ target }) => target)).toEqual(['files:443']);
  });

  test('which refuses, its answer is given', async () => {
    const proxy = await ConnectProxy.start(1, 'HTTP/1.1 403 No\r\n\r\n');
    vi.stubEnv('http_proxy', proxy.url);
    expect((await client('http://files').get('/a').send()).status).toBe(403);
  });
});
