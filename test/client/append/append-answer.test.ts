import { readFile } from 'node:fs/promises';
import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import {
  AppendConflictError,
  append,
  ConnectionError,
  follow,
  InvalidSourceError,
  openAppend,
  StreamInterruptedError,
  UnframedAnswerError,
} from '../../../src/client/index.ts';
import { client, type Fetch } from '../../../src/http/index.node.ts';
import { serve, serveBytes, serveRaw } from '../../support/http/servers.ts';
import { startServer, type TestServer } from '../../support/server/server.ts';
import { serverForAll } from '../../support/server/server-for-all.ts';
import { waitFor } from '../../support/wait-for.ts';
import { rejection } from '../client-server.ts';

const common = serverForAll();

/** All that comes of a resource, and the error that it ends with, if it does. */
async function followed(url: string): Promise<[text: string, error: unknown]> {
  let text = '';
  try {
    for await (const chunk of follow(url)) text += chunk.toString();
    return [text, undefined];
  } catch (error) {
    return [text, error];
  }
}

async function waitForContent({ root }: TestServer, text: string): Promise<void> {
  const content = () => readFile(path.join(root, 'a'), 'utf8').catch(() => '');
  await waitFor(async () => (await content()) === text, text);
}

const WAYS: [string, Fetch | undefined][] = [
  ["the library's client", undefined],
  ['the built-in fetch', (url, init) => fetch(url, init)],
];

describe.each(WAYS)('an answer that %s has brought', (_, fetch) => {
  const answerFrom = (url: string) =>
    client(url, fetch && { fetch })
      .post('/')
      .body('question')
      .send();

  test.each([
    ['of known length', 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello'],
    ['in chunks', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n'],
  ])('is appended as it comes (%s), and finished', async (_how, bytes) => {
    const server = await common.guest();
    const response = await answerFrom(await serveBytes(bytes));
    expect(await append(server.url('/a'), response)).toMatchObject({ bytes: 5 });
    expect(await followed(server.url('/a'))).toEqual(['hello', undefined]);
  });

  test('is followed while it comes', async () => {
    const server = await common.guest();
    let model: ServerResponse | undefined;
    const upstream = await serve((_request, response) => {
      model = response;
      response.write('hello');
    });
    const appended = append(server.url('/a'), await answerFrom(upstream));
    const reader = follow(server.url('/a'), { wait: 10 });
    let text = '';
    reader.on('data', (chunk) => {
      text += chunk;
    });
    await waitFor(() => text === 'hello', 'the beginning');
    model?.end(', world');
    await appended;
    await waitFor(() => reader.readableEnded, 'the end');
    expect(text).toBe('hello, world');
  });

  test('with nothing in it (204) is a whole one', async () => {
    const server = await common.guest();
    const response = await answerFrom(await serveBytes('HTTP/1.1 204 No Content\r\n\r\n'));
    expect(await append(server.url('/a'), response)).toMatchObject({ bytes: 0 });
    expect(await followed(server.url('/a'))).toEqual(['', undefined]);
  });

  /** Appends the answer of a server that says `bytes`, and then what `end` does once `hello` is there. */
  async function appendBroken(bytes: string, end: (socket: Socket) => void, allowUnframed = false) {
    const server = await common.guest();
    let socket: Socket | undefined;
    const upstream = await serveRaw((opened) => {
      socket = opened;
      opened.write(bytes);
    });
    const response = await answerFrom(upstream);
    const appended = append(server.url('/a'), response, { allowUnframed }).catch((error: unknown) => error);
    await waitForContent(server, 'hello');
    end(socket as Socket);
    return { error: await appended, followed: await followed(server.url('/a')) };
  }

  test.each([
    ['before its length', 'Content-Length: 100\r\n\r\nhello', (socket: Socket) => socket.end(), '5 of 100'],
    [
      'in its chunks',
      'Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n',
      (socket: Socket) => socket.end(),
      '5',
    ],
    [
      'by a reset',
      'Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n',
      (socket: Socket) => socket.resetAndDestroy(),
      '5',
    ],
  ])('and that breaks off %s ends the stream as interrupted', async (_how, bytes, end, how) => {
    const { error, followed } = await appendBroken(`HTTP/1.1 200 OK\r\n${bytes}`, end);
    expect(error).toBeInstanceOf(ConnectionError);
    expect(error).toMatchObject({ message: `the body broke off after ${how} bytes` });
    expect(followed).toEqual(['hello', expect.any(StreamInterruptedError)]);
  });

  test('and that ends only with its connection is interrupted, unless that is allowed', async () => {
    const bytes = 'HTTP/1.1 200 OK\r\n\r\nhello';
    const { error, followed } = await appendBroken(bytes, (socket) => socket.end());
    expect(error).toBeInstanceOf(UnframedAnswerError);
    expect(error).toMatchObject({ code: 'HFS_UNFRAMED_ANSWER', message: expect.stringContaining('5 bytes') });
    expect(followed).toEqual(['hello', expect.any(StreamInterruptedError)]);
    const allowed = await appendBroken(bytes, (socket) => socket.end(), true);
    expect(allowed).toMatchObject({ error: { bytes: 5 }, followed: ['hello', undefined] });
  });

  test('that is stuck is let go of when the resource is deleted', async () => {
    const server = await common.guest();
    let hasGone = false;
    const upstream = await serve((_request, response) => {
      response.once('close', () => {
        hasGone = true;
      });
      response.write('hello');
    });
    const appended = rejection(append(server.url('/a'), await answerFrom(upstream)));
    await waitForContent(server, 'hello');
    expect((await globalThis.fetch(server.url('/a'), { method: 'DELETE' })).status).toBe(204);
    expect(await appended).toMatchObject({ code: 'HFS_RESOURCE_GONE' });
    await waitFor(() => hasGone, 'the model to be told');
  });

  test('is let go of when somebody else appends', async () => {
    const server = await common.guest();
    const other = openAppend(server.url('/a'));
    await new Promise<void>((resolve) => other.once('open', resolve));
    let hasGone = false;
    const upstream = await serve((_request, response) => {
      response.once('close', () => {
        hasGone = true;
      });
      response.write('hello');
    });
    const response = await answerFrom(upstream);
    expect(await rejection(append(server.url('/a'), response))).toBeInstanceOf(AppendConflictError);
    await waitFor(() => hasGone, 'the model to be told');
    await other.close();
  });

  test('that its caller aborts ends as interrupted, with the reason', async () => {
    const server = await startServer();
    const upstream = await serve((_request, response) => void response.write('hello'));
    const stop = new AbortController();
    const response = await client(upstream, fetch && { fetch })
      .get('/')
      .signal(stop.signal)
      .send();
    const appended = rejection(append(server.url('/a'), response));
    await waitForContent(server, 'hello');
    const reason = new Error('enough');
    stop.abort(reason);
    expect(await appended).toBe(reason);
    expect(await followed(server.url('/a'))).toEqual(['hello', expect.any(StreamInterruptedError)]);
  });
});

test.each(['x-chunked', 'chunked, x'])(
  'an answer whose Transfer-Encoding is %s ends only with its connection',
  async (coding) => {
    const server = await startServer();
    const bytes = `HTTP/1.1 200 OK\r\nTransfer-Encoding: ${coding}\r\n\r\nhello`;
    const response = await client(await serveBytes(bytes, 'close'))
      .get('/')
      .send();
    expect(await rejection(append(server.url('/a'), response))).toBeInstanceOf(UnframedAnswerError);
  },
);

describe('a Response', () => {
  test('that was made here ends where its stream does, of whichever class it is', async () => {
    const server = await common.guest();
    const response = new Response('hello');
    await append(server.url('/a'), response);
    expect(await followed(server.url('/a'))).toEqual(['hello', undefined]);
    const { status, ok, url, headers, body, bodyUsed } = new Response('hello');
    await append(server.url('/b'), { status, ok, url, headers, body, bodyUsed } as Response);
    expect(await followed(server.url('/b'))).toEqual(['hello', undefined]);
    await append(server.url('/c'), new Response(null));
    expect(await followed(server.url('/c'))).toEqual(['', undefined]);
  });

  const typeOf = async (url: string) => (await globalThis.fetch(url)).headers.get('content-type');

  test.each([
    ['at once', (response: Response) => response],
    ['by a function', (response: Response) => async () => response],
  ])('that is given %s gives the file its type, but not a stream that is there', async (_how, sourceOf) => {
    const server = await common.guest();
    await globalThis.fetch(server.url('/made'), {
      method: 'PUT',
      headers: { 'content-type': 'text/x-made' },
    });
    const types: (string | null)[] = [];
    for (const name of ['/a', '/a.json', '/made']) {
      const answer = new Response('{}', { headers: { 'content-type': 'application/x-words; a="b"' } });
      await append(server.url(name), sourceOf(answer), { expect: 0 });
      types.push(await typeOf(server.url(name)));
    }
    expect(types).toEqual(['application/x-words; a="b"', 'application/x-words; a="b"', 'text/x-made']);
  });

  test('with nothing in it gives its type, too', async () => {
    const server = await common.guest();
    const answer = () => new Response(null, { headers: { 'content-type': 'text/csv' } });
    await append(server.url('/a'), answer);
    expect(await typeOf(server.url('/a'))).toBe('text/csv');
  });

  test('whose type cannot be kept is appended without it', async () => {
    const server = await common.guest();
    for (const type of ['html', 'text/html, text/plain', `text/html; x=${'x'.repeat(1024)}`]) {
      await append(server.url('/a'), new Response('hello', { headers: { 'content-type': type } }));
    }
    expect(await typeOf(server.url('/a'))).toBe('text/plain; charset=utf-8');
  });

  test.each(['application/octet-stream', 'binary/octet-stream', 'Application/Octet-Stream; x=y'])(
    'leaves it to the name when its type is %s, which says nothing',
    async (type) => {
      const server = await common.guest();
      await append(server.url('/a.log'), new Response('hello', { headers: { 'content-type': type } }));
      expect(await typeOf(server.url('/a.log'))).toBe('text/plain; charset=utf-8');
    },
  );

  test('or a Blob gives its type', async () => {
    const server = await common.guest();
    await append(server.url('/a'), new Blob(['a,b'], { type: 'text/csv' }));
    await append(server.url('/b'), new Blob(['text']));
    expect(await typeOf(server.url('/a'))).toBe('text/csv');
    expect(await typeOf(server.url('/b'))).toBe('text/plain; charset=utf-8');
  });

  test('is of another type when the caller says so', async () => {
    const server = await common.guest();
    await append(server.url('/a'), new Response('a,b'), { contentType: 'text/csv' });
    expect(await typeOf(server.url('/a'))).toBe('text/csv');
  });

  test('that has another length than it says is not whole', async () => {
    const server = await common.guest();
    const response = new Response('hello', { headers: { 'content-length': '7' } });
    const error = await rejection(append(server.url('/a'), response));
    expect(error).toMatchObject({ message: 'the body broke off after 5 of 7 bytes' });
    expect((await followed(server.url('/a')))[1]).toBeInstanceOf(Error);
  });

  test.each([404, 500])('with status %d is refused: it is not what was asked for', async (status) => {
    const server = await common.guest();
    const error = await rejection(append(server.url('/a'), new Response('no', { status })));
    expect(error).toBeInstanceOf(InvalidSourceError);
    expect(error).toMatchObject({ message: expect.stringContaining(String(status)) });
    await expect(readFile(path.join(server.root, 'a'))).rejects.toMatchObject({ code: 'ENOENT' });
  });

  test('that somebody reads, or has read, is refused: the rest would look like all of it', async () => {
    const server = await common.guest();
    const read = new Response('hello');
    await read.text();
    const locked = new Response('hello');
    locked.body?.getReader();
    const begun = new Response('hello');
    const reader = begun.body?.getReader();
    await reader?.read();
    reader?.releaseLock();
    for (const response of [read, locked, begun]) {
      expect(await rejection(append(server.url('/a'), response))).toBeInstanceOf(InvalidSourceError);
    }
  });
});
