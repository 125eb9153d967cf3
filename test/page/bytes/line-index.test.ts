import { expect, it } from 'vitest';
import { BLOCK_BYTES, BlockStore } from '../../../src/page/bytes/block-store.ts';
import { BytesGoneError } from '../../../src/page/bytes/file-requests.ts';
import { type BlockCounts, LineIndex } from '../../../src/page/bytes/line-index.ts';
import { waitFor } from '../../support/wait-for.ts';

/** A file on a server that counts so many blocks with each answer. */
class CountedFile {
  bytes: Buffer;
  generation = '1';
  answers = 0;
  readonly #blocks: number;

  constructor(bytes: Buffer, blocks = Number.POSITIVE_INFINITY) {
    this.bytes = bytes;
    this.#blocks = blocks;
  }

  read = async (block: number): Promise<BlockCounts> => {
    this.answers++;
    const start = block * BLOCK_BYTES;
    const position = Math.min(this.bytes.length, start + this.#blocks * BLOCK_BYTES);
    const counts: number[] = [];
    for (let at = start; at < position; at += BLOCK_BYTES) {
      counts.push(feedsIn(this.bytes.subarray(at, Math.min(at + BLOCK_BYTES, position))));
    }
    return { generation: this.generation, position, counts };
  };
}

function feedsIn(bytes: Uint8Array): number {
  return bytes.reduce((count, byte) => count + Number(byte === 0x0a), 0);
}

/** Lines, none as long as the next one. */
function linesOf(bytes: number): Buffer {
  const lines = Buffer.alloc(bytes, 'x');
  for (let at = 3, line = 0; at < bytes; at += 40 + (line++ % 100)) lines[at] = 0x0a;
  return lines;
}

function indexOf(file: CountedFile, size = file.bytes.length) {
  const store = new BlockStore(async (from, to) => Uint8Array.from(file.bytes.subarray(from, to)));
  store.extend(size);
  const index = new LineIndex(file.read, store, () => {});
  return { store, index };
}

it('knows where each line begins, and which line is where, as far as the server has counted', async () => {
  const file = new CountedFile(linesOf(3 * BLOCK_BYTES + 1000), 1);
  const { index } = indexOf(file);
  index.advance();
  await waitFor(() => index.isWhole, 'the whole index');
  const count = feedsIn(file.bytes);
  expect(index.lineCount).toBe(count);
  let position = 0;
  for (let line = 0; line <= count; line++) {
    // The lines around the borders of blocks, and some others.
    const isLooked =
      line % 501 === 0 || position % BLOCK_BYTES < 200 || position % BLOCK_BYTES > BLOCK_BYTES - 200;
    if (isLooked) {
      expect(await index.positionOf(line)).toBe(position);
      expect(await index.lineAt(position)).toBe(line);
    }
    position = file.bytes.indexOf('\n', position) + 1;
  }
  expect(await index.positionOf(count + 1)).toBe(file.bytes.length);
});

it('knows nothing of what is not counted yet, and guesses how many lines there are', async () => {
  const file = new CountedFile(linesOf(4 * BLOCK_BYTES));
  const { index } = indexOf(file);
  expect(index.lineCount).toBeUndefined();
  expect(await index.lineAt(2 * BLOCK_BYTES)).toBeUndefined();
  expect(await index.positionOf(3000)).toBeUndefined();
  file.read = () => Promise.reject(new Error('not now'));
  const half = new CountedFile(file.bytes.subarray(0, 2 * BLOCK_BYTES));
  const { index: guessing } = indexOf(half, 4 * BLOCK_BYTES);
  guessing.advance();
  await waitFor(() => guessing.known > 0, 'the first half');
  guessing.stop();
  const count = feedsIn(file.bytes);
  expect(Math.abs((guessing.lineCount as number) / count - 1)).toBeLessThan(0.05);
});

it('counts by itself what came live, and asks for nothing then', async () => {
  const content = linesOf(2 * BLOCK_BYTES);
  const file = new CountedFile(content.subarray(0, 1000));
  const { store, index } = indexOf(file);
  index.advance();
  await waitFor(() => index.isWhole, 'what was there');
  for (let at = 1000; at < content.length; at += 9999) {
    store.append(at, content.subarray(at, at + 9999));
    index.advance();
  }
  expect(index.isWhole).toBe(true);
  const count = feedsIn(content);
  // The last one is not ended yet.
  expect(index.lineCount).toBe(count + 1);
  expect(await index.positionOf(count)).toBe(content.lastIndexOf('\n') + 1);
  store.append(content.length, Buffer.from('\n'));
  index.advance();
  expect(index.lineCount).toBe(count + 1);
  expect(file.answers).toBe(1);
});

it('begins anew when the server has done so', async () => {
  const file = new CountedFile(linesOf(BLOCK_BYTES));
  const { store, index } = indexOf(file);
  index.advance();
  await waitFor(() => index.isWhole, 'the first count');
  file.bytes = Buffer.alloc(3 * BLOCK_BYTES, 'x\n');
  file.generation = '2';
  store.extend(file.bytes.length);
  index.advance();
  await waitFor(() => index.isWhole, 'the other count');
  expect(index.lineCount).toBe(feedsIn(file.bytes));
});

it('takes nothing from another file that is there by now, and asks no more', async () => {
  const file = new CountedFile(linesOf(2 * BLOCK_BYTES), 1);
  const { read } = file;
  let hasFailed = false;
  file.read = async (block) => {
    if (block === 0) return read(block);
    hasFailed = true;
    throw new BytesGoneError('another file has taken its place');
  };
  const { index } = indexOf(file);
  index.advance();
  await waitFor(() => hasFailed, 'the answer of another file');
  hasFailed = false;
  index.advance();
  await new Promise(setImmediate);
  expect([index.known, hasFailed]).toEqual([BLOCK_BYTES, false]);
});
