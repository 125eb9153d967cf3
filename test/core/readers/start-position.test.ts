import { truncate, writeFile } from 'node:fs/promises';
import path from 'node:path';
import fc from 'fast-check';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { MAX_LINES, MAX_SEARCHED_BYTES, startOfLastLines } from '../../../src/core/readers/start-position.ts';
import { Root } from '../../../src/storage/root/root.ts';
import { InvalidRequestError } from '../../../src/wire/errors.ts';
import { ResourcePath } from '../../../src/wire/resource-path.ts';
import { temporaryDirectory } from '../../support/server/server.ts';

const MiB = 1024 * 1024;

const signal = AbortSignal.any([]);

async function openFile(content: string | Buffer | { sparseBytes: number }) {
  const directory = await temporaryDirectory();
  const name = path.join(directory, 'f');
  if (typeof content === 'string' || Buffer.isBuffer(content)) await writeFile(name, content);
  else {
    await writeFile(name, '');
    await truncate(name, content.sparseBytes);
  }
  const file = await (await Root.open(directory)).openRead(ResourcePath.parse('/f'));
  onTestFinished(() => file.close());
  return file;
}

/** Where the last lines begin, told by looking at all of them. */
function naively(content: string, lines: number): number {
  const all = content.split('\n');
  if (all.at(-1) === '') all.pop();
  const kept = all.slice(Math.max(0, all.length - lines));
  if (kept.length === 0) return content.length;
  return content.length - kept.join('\n').length - (content.endsWith('\n') ? 1 : 0);
}

describe('the last lines', () => {
  it('begin where tail -n says', async () => {
    const piece = fc.oneof(
      fc.constant('\n'),
      fc.string({ unit: fc.constantFrom('a', 'b', '\n'), maxLength: 20 }),
      fc.integer({ min: 1, max: 200_000 }).map((length) => 'x'.repeat(length)),
    );
    const content = fc.array(piece, { maxLength: 8 }).map((pieces) => pieces.join(''));
    await fc.assert(
      fc.asyncProperty(content, fc.integer({ min: 0, max: 40 }), async (text, lines) => {
        const file = await openFile(text);
        expect(await startOfLastLines(lines, file, text.length, signal)).toBe(naively(text, lines));
      }),
      { numRuns: 60 },
    );
  });

  it('are found among millions that are empty, a block at a time', async () => {
    const size = 8 * MiB;
    const file = await openFile(Buffer.alloc(size, '\n'));
    const read = vi.spyOn(file, 'read');
    expect(await startOfLastLines(5_000_000, file, size, signal)).toBe(size - 5_000_000);
    for (const [, length] of read.mock.calls) expect(length).toBeLessThanOrEqual(MiB);
  });

  it('are all of them when there cannot be as many, without a look', async () => {
    const file = await openFile('one\ntwo\n');
    const read = vi.spyOn(file, 'read');
    expect(await startOfLastLines(Number.MAX_SAFE_INTEGER, file, 8, signal)).toBe(0);
    expect(read).not.toHaveBeenCalled();
  });

  it('are refused when they are too many', async () => {
    const size = MAX_LINES + 2;
    const tooMany = startOfLastLines(MAX_LINES + 1, await openFile({ sparseBytes: size }), size, signal);
    await expect(tooMany).rejects.toThrow(InvalidRequestError);
    await expect(tooMany).rejects.toThrow('10000000');
  });

  it('are refused when they are longer than is searched', async () => {
    const size = MAX_SEARCHED_BYTES + 2 * MiB;
    const file = await openFile({ sparseBytes: size });
    const block = Buffer.alloc(MiB);
    vi.spyOn(file, 'read').mockImplementation(async (_position, length) => block.subarray(0, length));
    const endless = startOfLastLines(1, file, size, signal);
    await expect(endless).rejects.toThrow(InvalidRequestError);
    await expect(endless).rejects.toThrow('from');
  });

  it('are not looked for any longer when the client has gone', async () => {
    const size = 64 * MiB;
    const file = await openFile({ sparseBytes: size });
    const aborter = new AbortController();
    const read = file.read.bind(file);
    const spy = vi.spyOn(file, 'read').mockImplementation((...args) => {
      aborter.abort(new Error('gone'));
      return read(...args);
    });
    await expect(startOfLastLines(1, file, size, aborter.signal)).rejects.toThrow('gone');
    expect(spy).toHaveBeenCalledTimes(1);
  });
});
