import { setImmediate as nextTurn } from 'node:timers/promises';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { CollectingSink } from '../../support/core/harness.ts';
import { join, startCore } from '../../support/core/harness.ts';
import { pattern } from '../../support/pattern.ts';
import { waitFor } from '../../support/wait-for.ts';

const MiB = 1024 * 1024;

/** One thing that happens to a feed and its followers. */
const step = fc.oneof(
  { weight: 6, arbitrary: fc.record({ kind: fc.constant('append' as const), size: sizes() }) },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant('join' as const),
      at: fc.double({ min: 0, max: 1, noNaN: true }),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({ kind: fc.constant('stall' as const), who: fc.nat(), room: fc.nat(3) }),
  },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('drain' as const), who: fc.nat() }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('cut' as const), who: fc.nat() }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('turns' as const), count: fc.nat(4) }) },
);

function sizes(): fc.Arbitrary<number> {
  return fc.oneof(fc.nat(300), fc.nat(200_000), fc.nat(MiB));
}

test('whatever happens in whatever order, each follower has exactly a part of the file, and at the end all of it', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 60 }), async (steps) => {
      const core = await startCore();
      const appender = await core.open('a');
      const followers: { sink: CollectingSink; from: number; isCut: boolean }[] = [];
      const pick = (who: number) => followers[who % followers.length];
      let size = 0;

      for (const taken of steps) {
        if (taken.kind === 'append') {
          appender.append(pattern(size, taken.size));
          size += taken.size;
        } else if (taken.kind === 'join') {
          const from = Math.floor(taken.at * appender.feed.committed);
          followers.push({ sink: join(appender, from), from, isCut: false });
        } else if (taken.kind === 'turns') {
          for (let i = 0; i < taken.count; i++) await nextTurn();
        } else {
          const follower = pick(taken.who);
          if (follower === undefined) continue;
          if (taken.kind === 'stall') follower.sink.room = taken.room;
          if (taken.kind === 'drain') follower.sink.drain();
          if (taken.kind === 'cut') {
            follower.isCut = true;
            follower.sink.follower?.leave();
          }
        }
      }
      await appender.end('finished');
      const file = await core.contents('a');
      expect(file.equals(pattern(0, size))).toBe(true);

      for (const { sink, from, isCut } of followers) {
        if (!isCut) {
          sink.drain();
          await waitFor(() => sink.endReason !== undefined, 'the end');
        }
        expect(sink.endReason).toBe(isCut ? undefined : 'finished');
        const expected = isCut ? file.subarray(from, from + sink.bytes.length) : file.subarray(from);
        expect(sink.bytes.equals(expected)).toBe(true);
      }
      await core.core.close();
    }),
    { numRuns: process.env.HTTPFSTREAM_SOAK ? 500 : 30 },
  );
});
