import { createReadStream } from 'node:fs';
import { Readable } from 'node:stream';
import { describe, expect, test } from 'vitest';
import { payloadOf } from '../../../src/http/body/body.ts';
import { BodyStream } from '../../../src/http/body/body-stream.ts';
import { client } from '../../../src/http/index.node.ts';
import { rejection } from '../../client/client-server.ts';
import { serve } from '../../support/http/servers.ts';
import { waitFor } from '../../support/wait-for.ts';

/** A source of these chunks, which then ends. */
function sourceOf(...chunks: (string | number)[]) {
  const ends: unknown[] = [];
  let next = 0;
  const source = {
    async next() {
      const chunk = chunks[next++];
      if (chunk === undefined) return undefined;
      return typeof chunk === 'string' ? new TextEncoder().encode(chunk) : new Uint8Array(chunk);
    },
    end: (reason: unknown) => ends.push(reason),
  };
  return { source, ends, pulled: () => next };
}

const read = async (stream: ReadableStream<Uint8Array>) => new Response(stream).text();

describe('a body that is made while it is sent', () => {
  test('is asked for when it is read, and not before', async () => {
    const { source, pulled } = sourceOf('a', 'b', 'c');
    const reader = new BodyStream(() => source).getReader();
    await new Promise((resolve) => setImmediate(resolve));
    expect(pulled()).toBe(0);
    await reader.read();
    await new Promise((resolve) => setImmediate(resolve));
    expect(pulled()).toBe(1);
  });

  test('gives large chunks in pieces, and no empty ones', async () => {
    const reader = new BodyStream(() => sourceOf(0, 600_000, 0, 0, 1).source).getReader();
    const sizes: (number | undefined)[] = [];
    for (let i = 0; i < 5; i++) sizes.push((await reader.read()).value?.length);
    expect(sizes).toEqual([262_144, 262_144, 75_712, 1, undefined]);
  });

  test('lets others have their turn when its source gives nothing for ever', async () => {
    let isOver = false;
    const source = { next: async () => (isOver ? undefined : new Uint8Array()), end: () => {} };
    setTimeout(() => {
      isOver = true;
    }, 1);
    expect(await read(new BodyStream(() => source))).toBe('');
  });

  test.each([
    ['shorter', 7, ['ab', 'cd']],
    ['longer by a chunk', 4, ['ab', 'cd', 'e']],
    ['longer within one', 3, ['ab', 'cd']],
    ['not empty', 0, ['a']],
  ])('that is %s than it should be fails, before its last byte', async (_how, length, chunks) => {
    const { source, ends } = sourceOf(...chunks);
    const stream = new BodyStream(() => source, { length });
    expect(await rejection(read(stream))).toMatchObject({ code: 'HFS_BODY_LENGTH' });
    expect(stream.sentBytes).toBeLessThan(Math.max(length, chunks.join('').length));
    expect(stream.failure).toBeDefined();
    expect(ends).toHaveLength(1);
  });

  test('that has the right length ends with its last byte', async () => {
    const stream = new BodyStream(() => sourceOf('ab', '', 'cd', '').source, { length: 4 });
    expect(await read(stream)).toBe('abcd');
    expect([stream.isFinished, stream.sentBytes, stream.failure]).toEqual([true, 4, undefined]);
    stream.end(new Error('late'));
    expect(stream.isFinished).toBe(true);
  });

  test('can be broken from outside, whoever reads it', async () => {
    const ends: unknown[] = [];
    const stream = new BodyStream(() => ({
      next: () => new Promise(() => {}),
      end: (reason) => ends.push(reason),
    }));
    const failed = rejection(stream.getReader().read());
    const reason = new Error('enough');
    stream.end(reason);
    stream.end(new Error('again'));
    expect(await failed).toBe(reason);
    expect(ends).toEqual([reason]);
    expect(stream.failure).toBeUndefined();
  });

  test('can be stopped: it gives nothing more, and no end', async () => {
    const { source, ends } = sourceOf('a', 'b');
    const stream = new BodyStream(() => source);
    const reader = stream.getReader();
    await reader.read();
    stream.stop(new Error('refused'));
    let isSettled = false;
    const settle = () => {
      isSettled = true;
    };
    void reader.read().then(settle, settle);
    await new Promise((resolve) => setTimeout(resolve));
    expect([isSettled, ends.length]).toEqual([false, 1]);
    stream.end(new Error('over'));
    await waitFor(() => isSettled, 'the reader to be told');
  });

  test('that is cancelled ends its source', async () => {
    const { source, ends } = sourceOf('a');
    await new BodyStream(() => source).cancel('enough');
    expect(ends).toEqual(['enough']);
  });

  test('can be made anew, if it can', async () => {
    let made = 0;
    const make = () => {
      made++;
      return sourceOf('a', 'b').source;
    };
    const stream = new BodyStream(make, { length: 2, isRepeatable: true });
    const again = stream.again();
    expect([await read(stream), again && (await read(again)), again?.length, made]).toEqual([
      'ab',
      'ab',
      2,
      2,
    ]);
    expect(new BodyStream(make).again()).toBeUndefined();
  });
});

describe('the source of a body', () => {
  const streamOf = (body: Parameters<typeof payloadOf>[0]) => payloadOf(body).content as BodyStream;

  test('is ended though it was not begun', async () => {
    const readable = Readable.from(['a']);
    let isCancelled = false;
    const web = new ReadableStream<Uint8Array>({
      cancel: () => {
        isCancelled = true;
      },
    });
    const generator = (async function* () {
      yield 'a';
    })();
    for (const body of [readable, web, generator]) streamOf(body).end(new Error('enough'));
    expect(readable.destroyed).toBe(true);
    await waitFor(() => isCancelled, 'the stream to be cancelled');
    expect(await generator.next()).toEqual({ done: true, value: undefined });
  });

  test('may fail when it is ended, which concerns nobody', async () => {
    const failing = {
      [Symbol.asyncIterator]: () => ({
        next: () => new Promise<never>(() => {}),
        return() {
          throw new Error('cannot be ended');
        },
      }),
    };
    streamOf(failing).end(new Error('enough'));
    const unopenable = {
      [Symbol.asyncIterator](): AsyncIterator<string> {
        throw new Error('cannot be opened');
      },
    };
    streamOf(unopenable).end(new Error('enough'));
  });

  test('that was read of before gives the rest, also what its reader did not wait for', async () => {
    const { source } = sourceOf('a', 'b', 'c');
    const gate = { open: () => {} };
    const opened = new Promise<void>((resolve) => {
      gate.open = resolve;
    });
    let asked = 0;
    const next = async () => {
      if (asked++ === 1) await opened;
      return source.next();
    };
    const stream = new BodyStream(() => ({ next, end: source.end }));
    const reader = stream.getReader();
    await reader.read();
    reader.read().catch(() => undefined);
    await waitFor(() => asked === 2, 'the second read');
    reader.releaseLock();
    gate.open();
    expect(await read(streamOf(stream))).toBe('bc');
  });

  test('is ended though it is stuck', async () => {
    const readable = new Readable({ read: () => {} });
    const stream = streamOf(readable);
    const failed = rejection(stream.getReader().read());
    stream.end(new Error('enough'));
    expect(await failed).toMatchObject({ message: 'enough' });
    expect(readable.destroyed).toBe(true);
  });

  test('may fail before anybody reads it, which ends no process', async () => {
    const url = await serve((request, response) => void request.resume().on('end', () => response.end()));
    const missing = createReadStream('/no/such/file');
    const wait = () => new Promise<void>((resolve) => missing.once('close', resolve));
    const request = client(url)
      .post('/')
      .body(missing)
      .use((next) => async (target, init) => {
        await wait();
        return next(target, init);
      });
    expect(await rejection(request.send())).toMatchObject({ code: 'ENOENT' });
  });

  test('that somebody else reads is refused', async () => {
    const web = new Blob(['a']).stream() as ReadableStream<Uint8Array>;
    web.getReader();
    expect(await rejection(client('http://a').post('/').body(web).send())).toMatchObject({
      code: 'HFS_INVALID_SOURCE',
    });
  });
});
