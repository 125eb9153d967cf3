import { cp, open, readdir, readFile, rm } from 'node:fs/promises';
import path from 'node:path';
import { ClassicLevel } from 'classic-level';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { checkDirectory } from '../../../src/server/check-directory.ts';
import type { FileRecord } from '../../../src/storage/records/file-record.ts';
import { missingFile } from '../../../src/storage/records/store-repair.ts';
import type { Report } from '../../../src/storage/report.ts';
import { recordsIn, recordsOf, storeOf } from '../../support/core/stored-records.ts';
import { RESERVED } from '../../support/disk/root-files.ts';
import { diskDirectory, startServer } from '../../support/server/server.ts';

/** A root of which the store has a file of records, which takes several blocks. */
async function filled(count: number): Promise<{ root: string; table: string }> {
  const root = await diskDirectory();
  const records = recordsOf(root);
  await records.open();
  const record = (i: number): FileRecord => ({
    path: `f${i}`,
    append: { start: i, state: 'open' },
    ...(i < 10 && { dueMs: i }),
  });
  await records.write(
    (draft) => {
      for (let i = 0; i < count; i++) draft.set(`${i}-1`, record(i));
    },
    { durable: true },
  );
  await records.close();
  // What is in the log becomes a file when it is opened.
  await records.open();
  await records.close();
  const table = (await readdir(storeOf(root))).find((name) => name.endsWith('.ldb')) as string;
  return { root, table: path.join(storeOf(root), table) };
}

async function spoil(name: string, position: number): Promise<void> {
  const file = await open(name, 'r+');
  await file.write(Buffer.alloc(64, 0xff), 0, 64, position);
  await file.close();
}

describe('a store of which a block cannot be read', () => {
  test('is opened by a server, for which that is an error of the one record', async () => {
    const { root, table } = await filled(2000);
    await spoil(table, 2000);
    const records = recordsOf(root);
    expect(await records.open()).toBeUndefined();
    onTestFinished(() => records.close());
    let errors = 0;
    for (let i = 0; i < 2000; i++) {
      try {
        records.get(`${i}-1`);
      } catch (error) {
        expect(error).toMatchObject({ code: 'HFS_STORAGE_ERROR' });
        errors++;
      }
    }
    expect(errors).toBeGreaterThan(0);
    expect(errors).toBeLessThan(500);
  });

  test('is told of once when that is met, and repaired by the next start', async () => {
    const { root, table } = await filled(2000);
    await spoil(table, 2000);
    const told: Parameters<Report>[] = [];
    const records = recordsOf(root, (...args) => told.push(args));
    await records.open();
    for (let i = 0; i < 2000; i++) {
      try {
        records.get(`${i}-1`);
      } catch {}
    }
    const all = async () => {
      for await (const _ of records.files());
    };
    await expect(all()).rejects.toMatchObject({ code: 'HFS_STORAGE_ERROR' });
    expect(told).toEqual([
      [
        expect.stringContaining('damaged'),
        { path: storeOf(root), reason: expect.stringMatching(/corrupt/i) },
      ],
    ]);
    await records.close();
    const next = recordsOf(root);
    expect(await next.open()).toMatchObject({ reason: expect.any(String), unreadableFiles: 1 });
    await next.write((draft) => draft.delete('1999-1'), { durable: false });
    await next.close();
    const last = recordsOf(root);
    expect(await last.open()).toBeUndefined();
    await last.close();
  });

  test('and can be all the same by the next start, is not repaired', async () => {
    const { root } = await filled(10);
    const told: Parameters<Report>[] = [];
    const records = recordsOf(root, (...args) => told.push(args));
    await records.open();
    const reading = vi.spyOn(ClassicLevel.prototype, 'getSync').mockImplementationOnce(() => {
      throw Object.assign(new Error('Corruption: made up'), { code: 'LEVEL_CORRUPTION' });
    });
    onTestFinished(() => reading.mockRestore());
    expect(() => records.get('1-1')).toThrow(expect.objectContaining({ code: 'HFS_STORAGE_ERROR' }));
    await records.close();
    expect(told).toHaveLength(1);
    const next = recordsOf(root);
    expect(await next.open()).toBeUndefined();
    await next.close();
    expect(await readdir(storeOf(root))).not.toContain('DAMAGED');
  });

  test('is repaired by a check, which tells of it, and keeps what was there before', async () => {
    const { root, table } = await filled(2000);
    await spoil(table, 2000);
    const spoilt = await readFile(table);
    const lines: string[] = [];
    expect(await checkDirectory(root, (line) => lines.push(line))).toBe(false);
    expect(lines[0]).toMatch(/records: the store of records was damaged: what could be read of it goes on/);
    const aside = path.join(root, RESERVED, 'aside');
    const [copy] = await readdir(aside);
    const kept = await readFile(path.join(aside, copy as string, path.basename(table)));
    expect(kept.equals(spoilt), 'the copy to be what was there').toBe(true);
    expect(await checkDirectory(root, () => {})).toBe(true);
  });

  test('has all but what was in that block afterwards', async () => {
    const { root, table } = await filled(2000);
    await spoil(table, 2000);
    const records = recordsOf(root);
    expect(await records.open({ verify: true })).toMatchObject({ unreadableFiles: 1 });
    await records.close();
    const left = Object.keys(await recordsIn(root)).length;
    expect(left).toBeGreaterThan(1500);
    expect(left).toBeLessThan(2000);
  });
});

describe('a repair that is killed', () => {
  /** A store of which the manifest is missing. */
  async function damaged(): Promise<string> {
    const { root } = await filled(2000);
    const manifest = (await readdir(storeOf(root))).find((name) => name.startsWith('MANIFEST')) as string;
    await rm(path.join(storeOf(root), manifest));
    return root;
  }

  const killed = new Error('killed');

  test('on the way is begun again by the next start, from what was there before, and told', async () => {
    const root = await damaged();
    const { repair } = ClassicLevel;
    const repairing = vi.spyOn(ClassicLevel, 'repair').mockImplementationOnce(async (directory) => {
      await repair(directory as string);
      // As if not all had been written.
      for (const name of await readdir(directory as string)) {
        if (name.endsWith('.ldb')) await rm(path.join(directory as string, name));
      }
      throw killed;
    });
    onTestFinished(() => repairing.mockRestore());
    await expect(recordsOf(root).open()).rejects.toMatchObject({ cause: killed });
    const records = recordsOf(root);
    expect(await records.open()).toMatchObject({ reason: expect.stringContaining('MANIFEST') });
    await records.close();
    expect(Object.keys(await recordsIn(root))).toHaveLength(2000);
    expect(await readdir(path.join(root, RESERVED, 'aside'))).toHaveLength(1);
  });

  test('before what is due is known is begun again, and no more once it has come to its end', async () => {
    const root = await damaged();
    const { batch } = ClassicLevel.prototype;
    const writing = vi.spyOn(ClassicLevel.prototype, 'batch').mockRejectedValue(killed);
    onTestFinished(() => writing.mockRestore());
    const first = recordsOf(root);
    await expect(first.open()).rejects.toThrow();
    await first.close();
    writing.mockImplementation(batch as never);
    const second = recordsOf(root);
    expect(await second.open()).toBeDefined();
    await second.write((draft) => draft.delete('0-1'), { durable: false });
    await second.close();
    const third = recordsOf(root);
    expect(await third.open()).toBeUndefined();
    await third.close();
    expect(Object.keys(await recordsIn(root))).toHaveLength(1999);
  });

  test('and whose copy is gone is begun again from what is left', async () => {
    const root = await damaged();
    const repairing = vi.spyOn(ClassicLevel, 'repair').mockRejectedValueOnce(killed);
    onTestFinished(() => repairing.mockRestore());
    await expect(recordsOf(root).open()).rejects.toMatchObject({ cause: killed });
    await rm(path.join(root, RESERVED, 'aside'), { recursive: true });
    const records = recordsOf(root);
    expect(await records.open()).toBeDefined();
    await records.close();
    expect(Object.keys(await recordsIn(root))).toHaveLength(2000);
  });
});

test('a root that was copied while a server ran is checked, and then served, with what was in it', async () => {
  const server = await startServer();
  for (let i = 0; i < 20; i++) {
    await fetch(server.url(`/s${i}`), {
      method: 'PUT',
      headers: { 'content-type': 'text/x-own', 'stream-closed': 'true' },
    });
  }
  const copy = path.join(await diskDirectory(), 'copy');
  await cp(server.root, copy, { recursive: true, filter: (name) => !name.includes('lock') });
  await checkDirectory(copy, () => {});
  expect(await checkDirectory(copy, () => {})).toBe(true);
  const next = await startServer({ root: copy });
  for (let i = 0; i < 20; i++) {
    const { headers } = await fetch(next.url(`/s${i}`));
    expect([headers.get('content-type'), headers.get('stream-closed')]).toEqual(['text/x-own', 'true']);
  }
});

test('a store that lacks no file of those it begins with is not called damaged, nor is one that is not there', async () => {
  const { root } = await filled(1);
  expect(await missingFile(storeOf(root))).toBeUndefined();
  expect(await missingFile(path.join(root, 'nothing'))).toBeUndefined();
});
