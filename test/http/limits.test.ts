import type { Socket } from 'node:net';
import { Readable } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { type Body, client, type Progress, text } from '../../src/http/index.node.ts';
import { rejection } from '../client/client-server.ts';
import { FETCHES } from '../support/http/fetches.ts';
import { serve } from '../support/http/servers.ts';
import { NEVER_MS } from '../support/patience.ts';
import { waitFor } from '../support/wait-for.ts';

const LIMIT_MS = 300;

describe.each(FETCHES)('over %s', (_name, fetch) => {
  /** Answers when its body has come, after a while, byte by byte; `/never` never, `/stops` in the middle. */
  const start = async () => {
    const sockets = new Set<Socket>();
    const url = await serve(async (request, response) => {
      sockets.add(request.socket);
      for await (const _ of request);
      if (request.url === '/never') return;
      response.writeHead(200, { 'content-length': 8 });
      for (let i = 0; i < (request.url === '/stops' ? 2 : 8); i++) {
        response.write('x');
        await delay(LIMIT_MS / 6);
      }
      if (request.url !== '/stops') response.end();
    });
    return { own: client(url, { fetch }), areClosed: () => [...sockets].every(({ destroyed }) => destroyed) };
  };

  test('timeout is the time to the head', async () => {
    const { own, areClosed } = await start();
    expect(await rejection(own.get('/never').timeout(LIMIT_MS).send())).toMatchObject({
      code: 'HFS_TIMEOUT',
    });
    await waitFor(areClosed, 'the connection to be closed');
    expect(
      await text(
        await own
          .get('/')
          .timeout(10 * LIMIT_MS)
          .send(),
      ),
    ).toBe('xxxxxxxx');
  });

  test('timeout counts from the end of an upload, however long that takes', async () => {
    const { own } = await start();
    const slow = async function* () {
      for (let i = 0; i < 4; i++) {
        yield 'x';
        await delay(LIMIT_MS / 2);
      }
    };
    const response = await own.post('/').body(slow()).timeout(LIMIT_MS).send();
    expect(await text(response)).toBe('xxxxxxxx');
    const never = own.post('/never').body(slow()).timeout(LIMIT_MS).send();
    expect(await rejection(never)).toMatchObject({ code: 'HFS_TIMEOUT' });
  });

  test('timeout is over with the head: a body may take longer', async () => {
    const { own } = await start();
    const response = await own
      .get('/')
      .timeout(LIMIT_MS / 2 + 20)
      .send();
    expect(await text(response)).toBe('xxxxxxxx');
  });

  test('idleTimeout is the time without a byte, of the head and of the body', async () => {
    const { own, areClosed } = await start();
    expect(await text(await own.get('/').idleTimeout(LIMIT_MS).send())).toBe('xxxxxxxx');
    const stops = await own.get('/stops').idleTimeout(LIMIT_MS).send();
    expect(await rejection(text(stops))).toMatchObject({
      code: 'HFS_TIMEOUT',
      message: `not a byte for ${LIMIT_MS} ms`,
    });
    expect(await rejection(own.get('/never').idleTimeout(LIMIT_MS).send())).toMatchObject({
      code: 'HFS_TIMEOUT',
    });
    await waitFor(areClosed, 'the connections to be closed');
  });

  test('idleTimeout leaves time to a source, and to a reader', async () => {
    const { own } = await start();
    const slow = async function* () {
      yield 'x';
      await delay(2 * LIMIT_MS);
      yield 'y';
    };
    const response = await own.post('/').body(slow()).idleTimeout(LIMIT_MS).send();
    await delay(2 * LIMIT_MS);
    expect(await text(response)).toBe('xxxxxxxx');
  });

  test('idleTimeout ends an upload that nobody takes, and its source', async () => {
    const url = await serve(() => undefined);
    let isEnded = false;
    const endless = async function* () {
      try {
        for (;;) yield new Uint8Array(65_536);
      } finally {
        isEnded = true;
      }
    };
    const failed = rejection(client(url, { fetch }).post('/').body(endless()).idleTimeout(LIMIT_MS).send());
    expect(await failed).toMatchObject({ code: 'HFS_TIMEOUT' });
    await waitFor(() => isEnded, 'the source to be ended');
  });

  test('each attempt tells how far it has come', async () => {
    const url = await serve(async (request, response) => {
      for await (const _ of request);
      response.writeHead(200, { 'content-length': 100_000 }).end(Buffer.alloc(100_000));
    });
    for (const body of [
      'x'.repeat(200_000),
      Readable.from(['x'.repeat(150_000), 'x'.repeat(50_000)]),
    ] as Body[]) {
      const told: Progress[] = [];
      const request = client(url, { fetch })
        .post('/')
        .body(body)
        .progress((progress) => told.push(progress));
      await (await request.send()).arrayBuffer();
      expect(told.at(-1)).toEqual({ sentBytes: 200_000, receivedBytes: 100_000, totalBytes: 100_000 });
      for (const [i, { sentBytes, receivedBytes }] of told.entries()) {
        expect(sentBytes).toBeGreaterThanOrEqual(told[i - 1]?.sentBytes ?? 0);
        expect(receivedBytes).toBeGreaterThanOrEqual(told[i - 1]?.receivedBytes ?? 0);
      }
    }
  });

  test('what is thrown there ends the request, and its answer', async () => {
    const url = await serve(async (request, response) => {
      for await (const _ of request);
      response.end('hello');
    });
    const fail = () => {
      throw new Error('no more');
    };
    const source = Readable.from(['abc']);
    expect(
      await rejection(client(url, { fetch }).post('/').body(source).progress(fail).send()),
    ).toMatchObject({ message: 'no more' });
    expect(source.destroyed).toBe(true);
    const answer = client(url, { fetch })
      .get('/')
      .progress(({ receivedBytes }) => receivedBytes > 0 && fail());
    expect(await rejection(answer.send().then(text))).toMatchObject({ message: 'no more' });
  });

  test('a limit that does not pass leaves no timer', async () => {
    const url = await serve((_request, response) => response.end('hello'));
    const timers = () => process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length;
    const before = timers();
    const get = () => client(url, { fetch }).get('/').timeout(NEVER_MS).idleTimeout(NEVER_MS).send();
    for (let i = 0; i < 10; i++) await text(await get());
    for (let i = 0; i < 10; i++) await (await get()).body?.cancel();
    await waitFor(() => timers() <= before + 1, 'the timers to be gone');
  });
});

test('progress tells each part of what is sent, whatever it is', async () => {
  const url = await serve(async (request, response) => {
    for await (const _ of request);
    response.end();
  });
  for (const body of ['x'.repeat(2_000_000), new Uint8Array(2_000_000), new Blob(['x'.repeat(2_000_000)])]) {
    const told: Progress[] = [];
    await client(url)
      .post('/')
      .body(body)
      .progress((progress) => told.push(progress))
      .send();
    expect(told.length).toBeGreaterThan(3);
    expect(told[0]).toMatchObject({ totalBytes: 2_000_000 });
  }
});
