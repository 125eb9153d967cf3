import { expectTypeOf, test } from 'vitest';
import {
  type AppendResult,
  type AppendSource,
  type AppendState,
  append,
  type FollowOpening,
  type FollowState,
  follow,
  openAppend,
} from '../../src/browser/index.ts';

/** Only looked at: it takes a browser to run this. */
const _ofFollow = async () => {
  const stream = follow('/a', {
    from: -10,
    token: async () => undefined,
    onOpen: (opening) => expectTypeOf(opening).toEqualTypeOf<FollowOpening>(),
    onState: (state) => {
      expectTypeOf(state).toEqualTypeOf<FollowState>();
      if (state.type === 'reconnecting') expectTypeOf(state.retryAt).toEqualTypeOf<number>();
      if (state.type === 'finished') expectTypeOf(state.status).toEqualTypeOf<number | undefined>();
    },
    onActivity: ({ time, followers }) => {
      expectTypeOf(time).toEqualTypeOf<number>();
      expectTypeOf(followers).toEqualTypeOf<number | undefined>();
    },
  });
  for await (const chunk of stream) expectTypeOf(chunk).toEqualTypeOf<Uint8Array<ArrayBuffer>>();
  // @ts-expect-error: pages send no headers
  follow('/a', { headers: {} });
};

const _ofAppend = async () => {
  const stream = openAppend('/a', {
    onState: (state) => expectTypeOf(state).toEqualTypeOf<AppendState>(),
  });
  expectTypeOf(stream.write).returns.resolves.toBeVoid();
  expectTypeOf(stream.close).returns.resolves.toEqualTypeOf<AppendResult>();
  expectTypeOf(append).returns.resolves.toEqualTypeOf<AppendResult>();
  // @ts-expect-error: neither bytes nor text
  await stream.write({});
};

test('what pages are given is typed', () => {
  expectTypeOf<string | Uint8Array | Blob>().toExtend<AppendSource>();
  expectTypeOf<number>().not.toExtend<AppendSource>();
  expectTypeOf<() => string>().not.toExtend<AppendSource>();
  expectTypeOf<typeof _ofFollow>().returns.resolves.toBeVoid();
  expectTypeOf<typeof _ofAppend>().returns.resolves.toBeVoid();
});
