import { setImmediate as nextTurn } from 'node:timers/promises';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Lease } from '../../../src/core/sessions/lease.ts';
import { AppendConflictError } from '../../../src/wire/errors.ts';
import { type CollectingSink, join, RecordingOwner, startCore } from '../../support/core/harness.ts';
import { rememberedIn } from '../../support/core/stored-records.ts';
import { NEVER_MS } from '../../support/patience.ts';
import { pattern } from '../../support/pattern.ts';
import { waitFor } from '../../support/wait-for.ts';

const session = 'x'.repeat(32);
const stranger = 'y'.repeat(32);

/** One thing that happens to a session, its client and its followers. */
const step = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant('append' as const),
      size: fc.oneof(fc.nat(300), fc.nat(300_000)),
    }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('take over' as const) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('lose the connection' as const) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('late bytes' as const) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('stranger' as const) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('restart' as const) }) },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('join' as const),
      at: fc.double({ min: 0, max: 1, noNaN: true }),
    }),
  },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('turns' as const), count: fc.nat(4) }) },
);

test.each(['os', 'disk'] as const)(
  'whatever connections, followers and servers do, a session loses nothing and repeats nothing (durability: %s)',
  async (durability) => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 40 }), async (steps) => {
        const options = { durability, graceMs: NEVER_MS };
        let core = await startCore(options);
        let owner = new RecordingOwner();
        let appender = await core.open('a', owner, { session, expect: 0 });
        const deposed: Lease[] = [];
        const followers: { sink: CollectingSink; from: number }[] = [];
        let size = 0;

        const connect = async () => {
          const { safePosition } = owner;
          deposed.push(appender);
          owner = new RecordingOwner();
          appender = await core.open('a', owner, { session, expect: 0 });
          await appender.ready();
          expect(appender.received).toBe(size);
          expect(appender.safePosition).toBeGreaterThanOrEqual(safePosition);
        };

        for (const taken of steps) {
          if (taken.kind === 'append') {
            appender.append(pattern(size, taken.size));
            size += taken.size;
          } else if (taken.kind === 'take over') await connect();
          else if (taken.kind === 'lose the connection') {
            appender.release();
            for (let i = 0; i < 3; i++) await nextTurn();
            await connect();
          } else if (taken.kind === 'late bytes') {
            for (const old of deposed) {
              old.append(Buffer.from('late'));
              old.release();
              await old.end('finished');
            }
          } else if (taken.kind === 'stranger') {
            await expect(core.open('a', new RecordingOwner(), { session: stranger })).rejects.toThrow(
              AppendConflictError,
            );
          } else if (taken.kind === 'restart') {
            await appender.end('shutdown');
            await core.core.close();
            core = await startCore({ ...options, directory: core.directory });
            await connect();
          } else if (taken.kind === 'join') {
            const from = Math.floor(taken.at * appender.feed.committed);
            followers.push({ sink: join(appender, from), from });
          } else for (let i = 0; i < taken.count; i++) await nextTurn();
        }
        await appender.end('finished');
        const file = await core.contents('a');
        expect(file.equals(pattern(0, size))).toBe(true);
        expect(owner.safePosition === 0 || owner.safePosition === size).toBe(true);
        expect((await rememberedIn(core.directory)).a).toMatchObject({
          start: 0,
          state: 'finished',
          end: size,
        });

        for (const { sink, from } of followers) {
          await waitFor(() => sink.endReason !== undefined, 'the end');
          const isWhole = sink.endReason === 'finished';
          if (!isWhole) expect(sink.endReason).toBe('shutdown');
          const to = isWhole ? size : from + sink.bytes.length;
          expect(sink.bytes.equals(file.subarray(from, to))).toBe(true);
          // Waiting and live, in turns.
          expect(sink.waits.every((isWaiting, i) => isWaiting === (i % 2 === 0))).toBe(true);
        }
        await core.core.close();
      }),
      { numRuns: process.env.HTTPFSTREAM_SOAK ? 500 : durability === 'os' ? 30 : 10 },
    );
  },
);
