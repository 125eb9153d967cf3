import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { Writable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { FileBody } from '../../../src/server/response/file-body.ts';
import { Root } from '../../../src/storage/root.ts';
import { ResourcePath } from '../../../src/wire/resource-path.ts';
import { temporaryDirectory } from '../../support/server.ts';

const KiB = 1024;
const SIZE = 8 * KiB * KiB;

async function openFile() {
  const directory = await temporaryDirectory();
  const content = Buffer.alloc(SIZE, 'some bytes, ');
  await writeFile(path.join(directory, 'f'), content);
  const file = await (await Root.open(directory)).openRead(ResourcePath.parse('/f'));
  onTestFinished(() => file.close());
  return { file, content, read: vi.spyOn(file, 'read') };
}

/** A client that takes so many blocks and then stalls; resolves when it does. */
function stall(stream: NodeJS.ReadableStream, blocks: number): Promise<Writable> {
  return new Promise((resolve) => {
    let taken = 0;
    const client = new Writable({
      highWaterMark: 1,
      write(_block, _encoding, taking) {
        taken++;
        if (taken <= blocks) taking();
        else setImmediate(() => setImmediate(resolve, client));
      },
    });
    stream.pipe(client);
  });
}

describe('pieces of a file', () => {
  it('come in order and as they are', async () => {
    const { file, content } = await openFile();
    const pieces = [
      Buffer.from('head'),
      { start: 5, end: SIZE - 7 },
      Buffer.from('tail'),
      { start: 0, end: 3 },
    ];
    const all = await buffer(new FileBody(file, pieces));
    const expected = [
      Buffer.from('head'),
      content.subarray(5, -7),
      Buffer.from('tail'),
      content.subarray(0, 3),
    ];
    expect(all.equals(Buffer.concat(expected))).toBe(true);
  });

  it('are read as they are taken: a client that takes nothing holds one small block', async () => {
    const { file, read } = await openFile();
    const stream = new FileBody(file, [{ start: 0, end: SIZE }]);
    await stall(stream, 0);
    expect(read.mock.calls).toEqual([[0, 64 * KiB]]);
    stream.destroy();
  });

  it('come in larger blocks to a client that goes on taking them', async () => {
    const { file, read } = await openFile();
    const stream = new FileBody(file, [{ start: 0, end: SIZE }]);
    await stall(stream, 5);
    expect(read.mock.calls.map(([, length]) => length / KiB)).toEqual([64, 128, 256, 512, 1024, 1024]);
    stream.destroy();
  });
});
