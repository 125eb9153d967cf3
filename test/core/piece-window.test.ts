import { appendFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Chunk } from '../../src/core/chunk.ts';
import {
  anywhere,
  betweenCharacters,
  type Cutting,
  openCharacterBytes,
  openLineBytes,
} from '../../src/core/cutting.ts';
import { Feed } from '../../src/core/feed.ts';
import { PieceWindow } from '../../src/core/piece-window.ts';
import { Root } from '../../src/storage/root.ts';
import { ResourcePath } from '../../src/wire/resource-path.ts';
import { CollectingSink } from '../support/core/harness.ts';
import { temporaryDirectory } from '../support/server/server.ts';
import { waitFor } from '../support/wait-for.ts';

const MAX_BYTES = 64;

/** One of lines, which are mostly short. */
const LINES: Cutting = {
  maxBytes: MAX_BYTES,
  openBytes: openLineBytes,
  fittingBytes: (bytes, isWithin) => (isWithin ? bytes.indexOf('\n') + 1 || bytes.length : bytes.length),
};

/** One of characters, in short pieces that end with a line if they can. */
const TEXT: Cutting = {
  maxBytes: MAX_BYTES,
  openBytes: openCharacterBytes,
  fittingBytes: (bytes) => bytes.lastIndexOf('\n') + 1 || bytes.length,
};

class PieceSink extends CollectingSink {
  override readonly cutting: Cutting;
  /** How many bytes there were when it was ended. */
  expectedBytes: number | undefined;
  readonly pieces: { bytes: Buffer; isWhole: boolean }[] = [];

  constructor(cutting: Cutting) {
    super();
    this.cutting = cutting;
  }

  override write(encoded: readonly Buffer[], isWhole = true): boolean {
    this.pieces.push({ bytes: Buffer.concat(encoded), isWhole });
    return super.write(encoded);
  }
}

/** Lines of all lengths, some of which are longer than a piece, in characters of one to four bytes. */
const ALL = Buffer.from(
  Array.from(
    { length: 400 },
    (_, i) => `${'aä€😀'.repeat(i % 7 === 0 ? 20 : i % 3)}${'b'.repeat(i % 5)}\n`,
  ).join(''),
);

const step = fc.oneof(
  // As POSTs bring them, …
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('lines' as const), bytes: fc.nat(300) }) },
  // … and what sessions bring, and other programs.
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('append' as const), bytes: fc.nat(150) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('append' as const), bytes: fc.nat(5) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('others' as const), bytes: fc.nat(150) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('others' as const), bytes: fc.nat(5) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('end' as const) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('join' as const), room: fc.nat(4) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('drain' as const), who: fc.nat() }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('leave' as const), who: fc.nat() }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('turns' as const), count: fc.nat(4) }) },
);

test.each([
  ['lines', LINES],
  ['characters', TEXT],
] as const)(
  'a follower of short pieces gets whole %s as soon as they are there, and every byte once',
  async (_, cutting) => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 40 }), async (steps) => {
        const directory = await temporaryDirectory();
        const location = path.join(directory, 'a');
        let size = 10;
        const text = () => ALL.subarray(0, size);
        writeFileSync(location, text());
        const root = await Root.open(directory);
        const file = await root.openRead(ResourcePath.parse('a'));
        const feed = new Feed(file, size, { committed: () => {}, idle: () => {} });
        feed.retain();
        const sinks = new Set<PieceSink>();
        for (const taken of steps) {
          const sink = 'who' in taken ? [...sinks][taken.who % sinks.size] : undefined;
          if ('bytes' in taken) {
            const start = size;
            size += taken.bytes;
            if (taken.kind === 'lines') size = ALL.indexOf('\n', size) + 1;
            const part = ALL.subarray(start, size);
            appendFileSync(location, part);
            if (taken.kind === 'others') feed.advance(size);
            else feed.commit(start, [part]);
          } else if (taken.kind === 'join') {
            const joined = new PieceSink(cutting);
            joined.follower = feed.join(0, joined, 'session');
            joined.drain(taken.room);
            sinks.add(joined);
          } else if (taken.kind === 'end') {
            feed.end({ reason: 'finished' }, 'session');
            for (const each of sinks) each.expectedBytes ??= size;
          } else if (taken.kind === 'turns') {
            for (let i = 0; i < taken.count; i++) await nextTurn();
          } else if (sink !== undefined) {
            if (taken.kind === 'drain') sink.drain();
            else sink.follower?.leave();
            if (taken.kind === 'leave') sinks.delete(sink);
          }
        }
        const wholeBytes = size - (cutting.openBytes?.([text()]) ?? 0);
        for (const sink of sinks) {
          sink.drain();
          if (sink.expectedBytes !== undefined) continue;
          await waitFor(() => sink.bytes.length >= wholeBytes, 'all that is whole');
          expect(sink.bytes.length).toBe(wholeBytes);
        }
        feed.end({ reason: 'finished' }, 'session');
        for (const sink of sinks) {
          await waitFor(() => sink.endReason !== undefined, 'the end');
          const { expectedBytes = size } = sink;
          expect(sink.bytes.equals(ALL.subarray(0, expectedBytes))).toBe(true);
          let at = 0;
          for (const { bytes, isWhole } of sink.pieces) {
            at += bytes.length;
            expect(bytes.length).toBeLessThanOrEqual(MAX_BYTES);
            if (isWhole && at < expectedBytes) expect(cutting.openBytes?.([ALL.subarray(0, at)])).toBe(0);
          }
        }
        await file.close();
      }),
      { numRuns: 150 },
    );
  },
);

test('nothing is kept in memory for one to whom an append gave nothing', async () => {
  const directory = await temporaryDirectory();
  const location = path.join(directory, 'a');
  writeFileSync(location, '');
  const root = await Root.open(directory);
  const file = await root.openRead(ResourcePath.parse('a'));
  const feed = new Feed(file, 0, { committed: () => {}, idle: () => {} });
  const sinks = [new CollectingSink(), new PieceSink(LINES)];
  for (const sink of sinks) {
    sink.follower = feed.join(0, sink, 'session');
    sink.drain();
  }
  appendFileSync(location, 'no line');
  feed.commit(0, [Buffer.from('no line')]);
  expect(sinks.map((sink) => sink.bytes.toString())).toEqual(['no line', '']);
  expect(feed.window(anywhere).at(0)).toBeUndefined();
  feed.end({ reason: 'finished' }, 'session');
  await waitFor(() => sinks.every(({ endReason }) => endReason === 'finished'), 'the end');
  expect(sinks[1]?.bytes.toString()).toBe('no line');
  await file.close();
});

test('a follower that is to end within what is in memory gets no more', async () => {
  const directory = await temporaryDirectory();
  writeFileSync(path.join(directory, 'a'), '0123456789');
  const root = await Root.open(directory);
  const file = await root.openRead(ResourcePath.parse('a'));
  const feed = new Feed(file, 0, { committed: () => {}, idle: () => {} });
  const stalled = new CollectingSink();
  stalled.follower = feed.join(0, stalled, 'session');
  feed.commit(0, [Buffer.from('0123456789')]);
  expect(feed.window(anywhere).at(0)).toBeDefined();
  const sink = new CollectingSink();
  sink.follower = feed.join(2, sink, { reason: 'deleted' }, 5);
  sink.drain();
  await waitFor(() => sink.endReason === 'deleted', 'the end');
  expect(sink.bytes.toString()).toBe('234');
  stalled.follower.leave();
  await file.close();
});

test('a byte that may be the rest of a character says nothing of where text may be cut', () => {
  const window = new PieceWindow(betweenCharacters, 2);
  expect(window.end).toBeUndefined();
  expect([...window.push(new Chunk(2, [Buffer.from('€').subarray(2)]))]).toHaveLength(1);
  expect(window.end).toBeUndefined();
  expect([...window.push(new Chunk(3, [Buffer.from('abc€')]))]).toHaveLength(1);
  expect(window.end).toBe(9);
});
