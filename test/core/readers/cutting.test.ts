import { isUtf8 } from 'node:buffer';
import { truncate } from 'node:fs/promises';
import path from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { betweenCharacters } from '../../../src/core/readers/cutting.ts';
import type { Lease } from '../../../src/core/sessions/lease.ts';
import { CollectingSink, startCore } from '../../support/core/harness.ts';
import { waitFor } from '../../support/wait-for.ts';

/** Of one to four bytes each. */
const TEXT = Buffer.from('aä€😀'.repeat(50_000));

/** Takes each write as one message. */
class TextSink extends CollectingSink {
  override readonly cutting = betweenCharacters;

  override write(encoded: readonly Buffer[]): boolean {
    return super.write([Buffer.concat(encoded)]);
  }
}

/** A follower of whole characters, from the beginning. */
function follow(appender: Lease, room = Number.POSITIVE_INFINITY): CollectingSink {
  const sink = new TextSink();
  sink.follower = appender.feed.join(0, sink, 'session');
  sink.drain(room);
  return sink;
}

const step = fc.oneof(
  { weight: 6, arbitrary: fc.record({ kind: fc.constant('append' as const), size: fc.nat(6) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('append' as const), size: fc.nat(60_000) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('join' as const), room: fc.nat(4) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('drain' as const), who: fc.nat() }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('turns' as const), count: fc.nat(4) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('reopen' as const) }) },
);

test('a follower that wants whole characters gets no other, whatever is cut where, and every byte', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 40 }), async (steps) => {
      const core = await startCore();
      let appender = await core.open('a');
      let sinks: CollectingSink[] = [];
      let size = 0;
      const append = (bytes: number) => {
        const part = TEXT.subarray(size, size + bytes);
        appender.append(Buffer.from(part));
        size += part.length;
      };
      /** Each has everything, and only at the end of an append a character may be cut. */
      const endAppend = async () => {
        await appender.end('finished');
        for (const sink of sinks) {
          sink.drain();
          await waitFor(() => sink.endReason !== undefined, 'the end');
          expect(sink.bytes.equals(TEXT.subarray(0, size))).toBe(true);
        }
      };
      for (const taken of steps) {
        if (taken.kind === 'append') append(taken.size);
        else if (taken.kind === 'join') sinks.push(follow(appender, taken.room));
        else if (taken.kind === 'drain') sinks[taken.who % sinks.length]?.drain();
        else if (taken.kind === 'turns') for (let i = 0; i < taken.count; i++) await nextTurn();
        else {
          await endAppend();
          sinks = [];
          appender = await core.open('a');
        }
      }
      // To the end of a character.
      append((10 - (size % 10)) % 10);
      await endAppend();
      for (const sink of sinks) expect(sink.received.every(isUtf8)).toBe(true);
    }),
    { numRuns: process.env.HTTPFSTREAM_SOAK ? 500 : 20 },
  );
});

test('what is no text is not held back', async () => {
  const core = await startCore();
  const appender = await core.open('a');
  const sink = follow(appender);
  appender.append(Buffer.from([0x00, 0xff, 0x00, 0x00, 0xe2]));
  await waitFor(() => sink.bytes.length === 5, 'all bytes');
  await appender.end('finished');
});

test('a character that is cut for good is given out at the end, though the file has lost it', async () => {
  const core = await startCore();
  const appender = await core.open('a');
  const sink = follow(appender);
  const bytes = Buffer.from([0x68, 0xe2, 0x82]);
  appender.append(Buffer.from(bytes));
  await waitFor(() => sink.bytes.length === 1, 'the whole character');
  await truncate(path.join(core.directory, 'a'), 0);
  appender.feed.end({ reason: 'truncated' }, 'session');
  await waitFor(() => sink.endReason !== undefined, 'the end');
  expect(sink.bytes).toEqual(bytes);
  await appender.end('interrupted');
});
