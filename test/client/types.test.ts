import type { ReadableStream } from 'node:stream/web';
import { expect, expectTypeOf, test } from 'vitest';
import {
  type AppendResult,
  type AppendSource,
  append,
  type FollowOpening,
  follow,
  openAppend,
  type SourceFunction,
} from '../../src/client/index.ts';

test('what a follower gives is typed', () => {
  const readable = follow('http://127.0.0.1:1/');
  readable.on('error', (error) => expectTypeOf(error).toEqualTypeOf<Error>());
  readable.on('open', (opening) => expectTypeOf(opening).toEqualTypeOf<FollowOpening>());
  readable.on('type', (contentType) => expectTypeOf(contentType).toEqualTypeOf<string>());
  readable.once('data', (chunk) => expectTypeOf(chunk).toEqualTypeOf<Buffer>());
  readable.off('waiting', () => {}).on('of my own', (name: string) => name);
  // @ts-expect-error: there is nothing to be told
  readable.on('live', (position) => position);
  const next = () => readable[Symbol.asyncIterator]().next();
  expectTypeOf(next).returns.resolves.toExtend<{ value?: Buffer | undefined }>();
  readable.destroy();
});

test('what an append takes and gives is typed', async () => {
  const writable = openAppend('http://127.0.0.1:1/', { contentType: () => undefined });
  // @ts-expect-error: it is asked in line
  openAppend('http://127.0.0.1:1/', { contentType: async () => 'text/csv' }).on('error', () => {});
  writable.on('error', (error) => expectTypeOf(error).toEqualTypeOf<Error>()).on('open', () => {});
  expectTypeOf(writable.close).returns.resolves.toEqualTypeOf<AppendResult>();
  expectTypeOf(append).returns.resolves.toEqualTypeOf<AppendResult>();
  expectTypeOf<string | Uint8Array | Blob | Response>().toExtend<AppendSource>();
  expectTypeOf<NodeJS.ReadableStream | ReadableStream<string> | string[]>().toExtend<AppendSource>();
  expectTypeOf<number>().not.toExtend<AppendSource>();
  expectTypeOf<ArrayBuffer>().not.toExtend<AppendSource>();
  expectTypeOf<number[]>().not.toExtend<AppendSource>();
  expectTypeOf<Promise<Response>>().not.toExtend<AppendSource>();
  expectTypeOf<Promise<string>>().not.toExtend<AppendSource>();
  expectTypeOf<() => Promise<Response> | string[]>().toExtend<SourceFunction>();
  expectTypeOf<(claim: { signal: AbortSignal }) => AppendSource>().toExtend<SourceFunction>();
  expectTypeOf<() => number>().not.toExtend<SourceFunction>();
  expectTypeOf<(url: string) => string>().not.toExtend<SourceFunction>();
  expectTypeOf<SourceFunction>().not.toExtend<AppendSource>();
  expectTypeOf<AppendSource | SourceFunction>().toEqualTypeOf<Parameters<typeof append>[1]>();
  // @ts-expect-error: neither bytes nor text
  expect(() => writable.write({})).toThrow(TypeError);
  writable.destroy();
});
