import fs from 'node:fs';
import { mkdir, rm } from 'node:fs/promises';
import path from 'node:path';
import { expect, onTestFinished, test, vi } from 'vitest';
import { Documents } from '../../../src/storage/records/document.ts';
import { temporaryDirectory } from '../../support/server.ts';

test.each([
  ['its directory', '.httpfstream/meta/ab'],
  ['the one above it', '.httpfstream/meta'],
])(
  'a document survives a loss of power though somebody has removed %s under the server',
  async (_what, removed) => {
    const root = await temporaryDirectory();
    await mkdir(path.join(root, '.httpfstream'));
    const documents = new Documents();
    const opening = vi.spyOn(fs.promises, 'open');
    onTestFinished(() => opening.mockRestore());
    /** Which directories are synced with a document. */
    const write = async () => {
      opening.mockClear();
      await documents.write(path.join(root, '.httpfstream/meta/ab/x.json'), { a: 1 }, { durable: true });
      return opening.mock.calls
        .filter(([, flags]) => flags === 'r')
        .map(([name]) => path.relative(root, String(name)));
    };
    const all = ['.httpfstream/meta/ab', '.httpfstream/meta', '.httpfstream', ''];
    expect(await write()).toEqual(all);
    expect(await write()).toEqual(['.httpfstream/meta/ab']);
    await rm(path.join(root, removed), { recursive: true });
    expect(await write()).toEqual(all);
    expect(await write()).toEqual(['.httpfstream/meta/ab']);
  },
);
