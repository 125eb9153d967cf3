import { appendFileSync, truncateSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import fc from 'fast-check';
import { expect, test, vi } from 'vitest';
import { Chunk } from '../../../src/core/readers/chunk.ts';
import {
  anywhere,
  betweenCharacters,
  type Cutting,
  openCharacterBytes,
  openLineBytes,
} from '../../../src/core/readers/cutting.ts';
import { Feed } from '../../../src/core/readers/feed.ts';
import { PieceWindow } from '../../../src/core/readers/piece-window.ts';
import { Root } from '../../../src/storage/root/root.ts';
import { StorageError } from '../../../src/wire/errors.ts';
import { ResourcePath } from '../../../src/wire/resource-path.ts';
import { CollectingSink } from '../../support/core/harness.ts';
import { temporaryDirectory } from '../../support/server/server.ts';
import { waitFor } from '../../support/wait-for.ts';

const MAX_BYTES = 64;

const OWNER = { maxFollowers: Number.POSITIVE_INFINITY, feedGrew: () => {}, feedIsIdle: () => {} };

const MIB = 1024 * 1024;

/** One of lines, which are mostly short. */
const LINES: Cutting = {
  maxBytes: MAX_BYTES,
  openBytes: openLineBytes,
  fittingBytes: (bytes, isWithin) => (isWithin ? bytes.indexOf('\n') + 1 || bytes.length : bytes.length),
};

/** One of lines, the last of which is given out only when it is whole, or nothing more can come. */
const WHOLE_LINES: Cutting = { ...LINES, withholdsRest: true };

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

const reason = fc.constantFrom('finished' as const, 'shutdown' as const);

const step = fc.oneof(
  // As POSTs bring them, …
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('lines' as const), bytes: fc.nat(300) }) },
  // … and what sessions bring, and other programs.
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('append' as const), bytes: fc.nat(150) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('append' as const), bytes: fc.nat(5) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('others' as const), bytes: fc.nat(150) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('others' as const), bytes: fc.nat(5) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('end' as const), reason }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('join' as const), room: fc.nat(4) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('drain' as const), who: fc.nat() }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('leave' as const), who: fc.nat() }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('turns' as const), count: fc.nat(4) }) },
);

test.each([
  ['lines', LINES],
  ['characters', TEXT],
  ['lines without a rest', WHOLE_LINES],
  ['characters without a rest', { ...TEXT, withholdsRest: true }],
] as const)(
  'a follower of short pieces gets whole %s as soon as they are there, and every byte once',
  async (_, cutting) => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 40 }), async (steps) => {
        const directory = await temporaryDirectory();
        const location = path.join(directory, 'a');
        let size = 10;
        const text = () => ALL.subarray(0, size);
        const openBytes = () => cutting.openBytes?.([text()]) ?? 0;
        writeFileSync(location, text());
        const root = await Root.open(directory);
        const file = await root.openRead(ResourcePath.parse('a'));
        const feed = new Feed(file, size, OWNER);
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
            feed.end({ reason: taken.reason }, 'session');
            const isWithheld = cutting.withholdsRest === true && taken.reason !== 'finished';
            const expectedBytes = isWithheld ? size - openBytes() : size;
            for (const each of sinks) each.expectedBytes ??= expectedBytes;
          } else if (taken.kind === 'turns') {
            for (let i = 0; i < taken.count; i++) await nextTurn();
          } else if (sink !== undefined) {
            if (taken.kind === 'drain') sink.drain();
            else sink.follower?.leave();
            if (taken.kind === 'leave') sinks.delete(sink);
          }
        }
        const wholeBytes = size - openBytes();
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
      { numRuns: process.env.HTTPFSTREAM_SOAK ? 1000 : 60 },
    );
  },
);

test('nothing is kept in memory for one to whom an append gave nothing', async () => {
  const directory = await temporaryDirectory();
  const location = path.join(directory, 'a');
  writeFileSync(location, '');
  const root = await Root.open(directory);
  const file = await root.openRead(ResourcePath.parse('a'));
  const feed = new Feed(file, 0, OWNER);
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
  const feed = new Feed(file, 0, OWNER);
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

test('what is withheld stays so for a follower that joins at the end, when nobody has looked for a place to cut', async () => {
  const directory = await temporaryDirectory();
  const location = path.join(directory, 'a');
  writeFileSync(location, 'a line\nhalf a');
  const root = await Root.open(directory);
  const file = await root.openRead(ResourcePath.parse('a'));
  const feed = new Feed(file, 13, OWNER);
  feed.retain();
  const read = async (sink: PieceSink) => {
    sink.drain();
    await waitFor(() => sink.endReason !== undefined, 'the end');
    return sink.bytes.toString();
  };
  const sinks = ['shutdown', 'finished'].map(() => new PieceSink(WHOLE_LINES)) as [PieceSink, PieceSink];
  sinks[0].follower = feed.join(0, sinks[0], { reason: 'shutdown' });
  sinks[1].follower = feed.join(0, sinks[1], { reason: 'finished' });
  // It has become whole, but too late.
  appendFileSync(location, ' line\n');
  feed.commit(13, [Buffer.from(' line\n')]);
  expect(await read(sinks[0])).toBe('a line\n');
  expect(await read(sinks[1])).toBe('a line\nhalf a');
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

test('which parts are short messages is known of what is left of them, and of what a character begins before', () => {
  const window = new PieceWindow(betweenCharacters, 0);
  const [first, second] = [Buffer.from('ab€').subarray(0, 3), Buffer.from('€cd').subarray(1)];
  const told = (position: number) => {
    const { parts = [], merged } = window.at(position) ?? {};
    return parts.map((part) => [part.toString(), merged?.has(part)]);
  };
  for (const _ of window.push(new Chunk(0, [first], { merged: new Set([first]) })));
  expect(told(0)).toEqual([['ab', true]]);
  for (const _ of window.push(new Chunk(3, [second], { merged: new Set([second]) })));
  const [rest, last] = window.at(2)?.parts ?? [];
  expect(Buffer.concat([rest as Buffer, last as Buffer]).toString()).toBe('€cd');
  expect(told(2).map(([, isMerged]) => isMerged)).toEqual([false, true]);
});

/** A feed of a file that has no line end, and how often the file is read. */
async function endlessLine(bytes: number) {
  const directory = await temporaryDirectory();
  const location = path.join(directory, 'a');
  writeFileSync(location, '');
  truncateSync(location, bytes);
  const root = await Root.open(directory);
  const file = await root.openRead(ResourcePath.parse('a'));
  const reading = vi.spyOn(file, 'read');
  const feed = new Feed(file, bytes, OWNER);
  feed.retain();
  const join = () => {
    const sink = new PieceSink(LINES);
    sink.follower = feed.join(0, sink, 'session');
    sink.drain();
    return sink;
  };
  const grow = (size: number) => {
    truncateSync(location, size);
    feed.advance(size);
  };
  return { feed, file, join, grow, reads: () => reading.mock.calls.length };
}

test('nobody looks for a line end for followers who have gone, and for others they do', async () => {
  const { feed, file, join, reads } = await endlessLine(1024 * MIB);
  const gone = join();
  const last = join();
  await waitFor(() => reads() > 2, 'the search');
  gone.follower?.leave();
  const before = reads();
  await waitFor(() => reads() > before + 2, 'the search to go on');
  last.follower?.leave();
  feed.release();
  const atEnd = reads();
  await waitFor(() => feed.window(LINES).followers === 0, 'the feed to be left');
  expect(reads()).toBeLessThanOrEqual(atEnd + 1);
  await file.close();
});

test('nobody looks any more also when others have found one before', async () => {
  const { feed, file, join, grow, reads } = await endlessLine(MIB);
  const sink = join();
  await waitFor(() => feed.window(LINES).end === 0, 'the end of the search');
  grow(1024 * MIB);
  const before = reads();
  await waitFor(() => reads() > before + 2, 'the next one');
  sink.follower?.leave();
  feed.release();
  const atEnd = reads();
  await waitFor(() => feed.window(LINES).followers === 0, 'the feed to be left');
  expect(reads()).toBeLessThanOrEqual(atEnd + 1);
  await file.close();
});

test('what is looked for after a read that failed is found at once', async () => {
  const { feed, file, join, reads } = await endlessLine(10);
  const stalled = feed.join(0, new PieceSink(LINES), 'session');
  vi.mocked(file.read).mockRejectedValueOnce(new StorageError('the disk does not give it'));
  const failed = join();
  await waitFor(() => failed.failure !== undefined, 'the failure');
  const before = reads();
  const next = join();
  await waitFor(() => feed.window(LINES).end === 0, 'the end of the search');
  expect(reads() - before).toBe(1);
  stalled.leave();
  next.follower?.leave();
  await file.close();
});

test('where a file has grown nothing is looked for twice', async () => {
  const { feed, file, join, grow, reads } = await endlessLine(MIB);
  const sink = join();
  await waitFor(() => feed.window(LINES).end === 0, 'the end of the search');
  const before = reads();
  grow(MIB + 10);
  await waitFor(() => feed.window(LINES).end === 0, 'the next one');
  expect(reads() - before).toBeLessThanOrEqual(2);
  sink.follower?.leave();
  await file.close();
});
