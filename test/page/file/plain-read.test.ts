import { expect, it, onTestFinished, test } from 'vitest';
import { KEPT_BYTES } from '../../../src/page/bytes/block-store.ts';
import { type PlainRead, readPlainly } from '../../../src/page/file/plain-read.ts';

/** What becomes of an answer, and what was read of it. */
async function readOf(answer: () => Promise<Response>): Promise<[PlainRead, string]> {
  const chunks: Uint8Array[] = [];
  const events = { begun: () => {}, bytes: (bytes: Uint8Array) => void chunks.push(bytes) };
  const read = await readPlainly(answer, events, new AbortController().signal);
  return [read, Buffer.concat(chunks).toString()];
}

const answering = (body: string | ReadableStream, init: ResponseInit) => () =>
  Promise.resolve(new Response(body, init));

it('reads what is there, to its end', async () => {
  const found = await readOf(answering('one\ntwo\n', { headers: { 'content-type': 'text/plain' } }));
  expect(found).toEqual([{ kind: 'read', isPart: false }, 'one\ntwo\n']);
});

test.each([
  [404, { kind: 'missing' }],
  [410, { kind: 'missing' }],
  [401, { kind: 'locked' }],
  [403, { kind: 'locked' }],
  [418, { kind: 'failed', passes: false }],
  [502, { kind: 'failed', passes: true }],
  [429, { kind: 'failed', passes: true }],
])('knows what %d says', async (status, read) => {
  expect(await readOf(answering('no', { status }))).toMatchObject([read, '']);
});

it('leaves to the browser what that shows by itself', async () => {
  for (const type of ['text/html; charset=utf-8', 'application/xhtml+xml', 'application/pdf']) {
    expect(await readOf(answering('x', { headers: { 'content-type': type } }))).toEqual([
      { kind: 'elsewhere' },
      '',
    ]);
  }
});

it('does not read what can be followed', async () => {
  const headers = { 'stream-next-offset': '0000000000000007_0000000000000004' };
  expect(await readOf(answering('one\n', { headers }))).toEqual([{ kind: 'followable' }, '']);
});

it('tells a server that is away from an answer that broke off', async () => {
  const away = () => Promise.reject(new TypeError('fetch failed'));
  expect(await readOf(away)).toMatchObject([{ kind: 'failed', passes: true }, '']);
  const body = new ReadableStream({
    start: (controller) => controller.enqueue(Buffer.from('one\n')),
    pull: (controller) => controller.error(new Error('cut')),
  });
  const [read, text] = await readOf(answering(body, {}));
  expect([read, text]).toMatchObject([{ kind: 'failed', passes: false }, 'one\n']);
});

it('stays calm when what it does not want breaks off', async () => {
  const unhandled: unknown[] = [];
  const note = (error: unknown) => void unhandled.push(error);
  process.on('unhandledRejection', note);
  onTestFinished(() => void process.off('unhandledRejection', note));
  const broken = new ReadableStream({ start: (controller) => controller.error(new Error('cut')) });
  expect(await readOf(answering(broken, { status: 404 }))).toEqual([{ kind: 'missing' }, '']);
  const endless = new ReadableStream({
    start: (controller) => controller.enqueue(new Uint8Array(KEPT_BYTES + 1)),
    cancel: () => Promise.reject(new Error('cut')),
  });
  expect((await readOf(answering(endless, {})))[0]).toEqual({ kind: 'read', isPart: true });
  await new Promise((resolve) => setImmediate(resolve));
  expect(unhandled).toEqual([]);
});
