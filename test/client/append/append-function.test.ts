import type { ServerResponse } from 'node:http';
import { PassThrough, Readable } from 'node:stream';
import { describe, expect, test } from 'vitest';
import {
  AppendConflictError,
  type AppendSource,
  append,
  follow,
  InvalidSourceError,
  PositionMismatchError,
  type SourceFunction,
  StreamInterruptedError,
  UnsupportedError,
} from '../../../src/client/index.ts';
import { client } from '../../../src/http/index.node.ts';
import { serve } from '../../support/http/servers.ts';
import { OriginalServer } from '../../support/original/server.ts';
import { startServer } from '../../support/server/server.ts';
import { serverForAll } from '../../support/server/server-for-all.ts';
import { waitFor } from '../../support/wait-for.ts';
import { rejection, startRawServer } from '../client-server.ts';

const common = serverForAll();

/** All that comes of a resource, until it ends cleanly. */
async function followed(url: string): Promise<string> {
  let text = '';
  for await (const chunk of follow(url)) text += chunk.toString();
  return text;
}

/** A promise, and who settles it. */
function later<T>() {
  let resolve!: (value: T) => void;
  const promise = new Promise<T>((settle) => {
    resolve = settle;
  });
  return { promise, resolve };
}

/** A server that is asked once it has the whole request, and says when whoever asks has gone. */
async function startModel(answer: (response: ServerResponse) => void) {
  const seen = { asked: 0, gone: 0 };
  const url = await serve((request, response) => {
    seen.asked++;
    response.once('close', () => {
      if (!response.writableFinished) seen.gone++;
    });
    request.resume().once('end', () => answer(response));
  });
  return { seen, model: client(url) };
}

describe('a function that gives the source', () => {
  test.each<[string, SourceFunction]>([
    ['text', () => 'answer'],
    ['a promise of an answer', async () => new Response('answer')],
    ['a Node stream', () => Readable.from(['ans', 'wer'])],
    ['a web stream', async () => new Response('answer').body as ReadableStream<Uint8Array>],
  ])('may give %s', async (_, make) => {
    const server = await common.guest();
    expect(await append(server.url('/a'), make)).toMatchObject({ bytes: 6 });
    expect(await followed(server.url('/a'))).toBe('answer');
  });

  test('is called once, by the first who comes, when all others are kept out', async () => {
    const server = await startServer();
    const { seen, model } = await startModel((response) => response.end('answer'));
    let second: unknown;
    const ask: SourceFunction = async ({ signal }) => {
      second = await rejection(append(server.url('/a'), 'mine'));
      return model.post('/').body('question').signal(signal).send();
    };
    const appends = Array.from({ length: 8 }, () => append(server.url('/a'), ask, { expect: 0 }));
    const outcomes = await Promise.allSettled(appends);
    expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
    expect(second).toBeInstanceOf(AppendConflictError);
    expect(await rejection(append(server.url('/a'), ask, { expect: 0 }))).toBeInstanceOf(
      PositionMismatchError,
    );
    expect(seen).toEqual({ asked: 1, gone: 0 });
    expect(await followed(server.url('/a'))).toBe('answer');
  });

  test('is not called when the server refuses, or nobody is there, or it is aborted before', async () => {
    let calls = 0;
    const make = () => {
      calls++;
      return 'x';
    };
    const { url } = await startRawServer((socket) =>
      socket.end('HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n'),
    );
    expect(await rejection(append(url, make))).toMatchObject({ code: 'HFS_UNEXPECTED_STATUS' });
    expect(await rejection(append('http://127.0.0.1:1/a', make))).toMatchObject({ code: 'HFS_CONNECTION' });
    const signal = AbortSignal.abort(new Error('enough'));
    const server = await common.guest();
    expect(await rejection(append(server.url('/a'), make, { signal }))).toBe(signal.reason);
    expect(calls).toBe(0);
  });

  test('that throws, or gives what cannot be appended, ends the append as interrupted', async () => {
    const server = await startServer();
    const failure = new Error('no question');
    const { seen, model } = await startModel((response) => response.writeHead(500).write('no'));
    const makers: [SourceFunction, unknown][] = [
      [() => Promise.reject(failure), failure],
      [
        () => {
          throw failure;
        },
        failure,
      ],
      [() => 7 as unknown as AppendSource, expect.any(InvalidSourceError)],
      [(() => () => 'x') as unknown as SourceFunction, expect.any(InvalidSourceError)],
      [() => model.get('/').send(), expect.any(InvalidSourceError)],
    ];
    for (const [make, error] of makers) {
      expect(await rejection(append(server.url('/a'), make))).toEqual(error);
      expect(await rejection(followed(server.url('/a')))).toBeInstanceOf(StreamInterruptedError);
    }
    await waitFor(() => seen.gone === 1, 'the answer that was refused to be let go of');
  });

  test('is told when the append has failed meanwhile, and not when it has ended', async () => {
    const server = await startServer();
    const { seen, model } = await startModel(() => {});
    const appended = rejection(
      append(server.url('/a'), ({ signal }) => model.post('/').body('question').signal(signal).send()),
    );
    await waitFor(() => seen.asked === 1, 'the question');
    expect((await fetch(server.url('/a'), { method: 'DELETE' })).status).toBe(204);
    expect(await appended).toMatchObject({ code: 'HFS_RESOURCE_GONE' });
    await waitFor(() => seen.gone === 1, 'the model to be told');
    let kept: AbortSignal | undefined;
    await append(server.url('/b'), ({ signal }) => {
      kept = signal;
      return 'x';
    });
    expect(kept?.aborted).toBe(false);
  });

  test('what it gives too late is let go of', async () => {
    const server = await common.guest();
    const reasons: unknown[] = [];
    const web = () => new ReadableStream<Uint8Array>({ cancel: (reason) => void reasons.push(reason) });
    const node = new PassThrough();
    for (const [name, source] of Object.entries({ web: web(), answer: new Response(web()), node })) {
      const stop = new AbortController();
      const called = later<void>();
      const given = later<AppendSource>();
      const make = () => {
        called.resolve();
        return given.promise;
      };
      const appended = rejection(append(server.url(`/${name}`), make, { signal: stop.signal }));
      await called.promise;
      stop.abort(new Error('enough'));
      expect(await appended).toBe(stop.signal.reason);
      given.resolve(source);
    }
    await waitFor(() => reasons.length === 2 && node.destroyed, 'all of them to be let go of');
  });

  test("is not called for a server of the original's kind when something is expected: it does not look", async () => {
    const server = await OriginalServer.start();
    let calls = 0;
    const make = () => {
      calls++;
      return 'x';
    };
    expect(await rejection(append(server.url('/a'), make, { expect: 0 }))).toBeInstanceOf(UnsupportedError);
    expect(calls).toBe(0);
    await append(server.url('/b'), make);
    expect(calls).toBe(1);
  });
});
