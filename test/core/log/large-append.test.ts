import path from 'node:path';
import { expect, onTestFinished, test, vi } from 'vitest';
import type { FileEntry } from '../../../src/core/log/file-entry.ts';
import { LargeAppend } from '../../../src/core/log/large-append.ts';
import { Journal } from '../../../src/storage/journal/journal.ts';
import { Root } from '../../../src/storage/root/root.ts';
import { storageFailure } from '../../../src/storage/storage-failure.ts';
import { WriteTurns } from '../../../src/storage/write-turns.ts';
import { ResourcePath } from '../../../src/wire/resource-path.ts';
import { systemError } from '../../support/disk/small-disk.ts';
import { temporaryDirectory } from '../../support/server/server.ts';

test('its intent is not void while the log may say that it counts', async () => {
  const directory = await temporaryDirectory();
  const log = new Journal<FileEntry>(path.join(directory, 'redo'), new WriteTurns(), false);
  await log.replay();
  const { append } = log;
  vi.spyOn(log, 'append').mockImplementation((header, payload, writer) => {
    const refused = () => writer.refused(storageFailure(systemError('EIO')), false);
    append.call(log, header, payload, header.intent ? writer : { committed: () => void refused(), refused });
  });
  const file = await (await Root.open(directory)).openAppend(ResourcePath.parse('file'), { create: true });
  onTestFinished(() => file.close());
  const record = { file: file.stat.fingerprint, path: 'file', version: 1, start: 0, length: 5 };
  const large = new LargeAppend(log, record, Buffer.from('large'));
  await expect(large.make(file, async () => {})).rejects.toMatchObject({ code: 'HFS_STORAGE_ERROR' });
  await expect(large.annul()).rejects.toThrow();
  const found: FileEntry[] = [];
  for await (const { header } of log.entries(await log.rotate())) found.push(header);
  expect(found).toEqual([{ ...record, intent: true }, record]);
});
