import { readdir, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { play } from '../../support/core/crash-root.ts';
import { recordsIn } from '../../support/core/stored-records.ts';
import { RESERVED } from '../../support/disk/root-files.ts';
import { smallDisks } from '../../support/disk/small-disk.ts';
import { InProcessServer, type RestartableServer } from '../../support/server/restartable-server.ts';
import { diskDirectory } from '../../support/server/server.ts';
import { StreamPeer } from '../../support/streams/stream-peer.ts';
import { waitFor } from '../../support/wait-for.ts';

const KiB = 1024;

/** How often producers are refused before there is room again. */
const REFUSALS = 30;

/** The made-up one does not know of all the ways in which streams are written. */
const DISKS = smallDisks().filter(([kind]) => !kind.includes('made to fail'));

async function startOn(directory: string): Promise<RestartableServer> {
  const server = new InProcessServer(directory, { minFreeBytes: 0, minFreeFiles: 0 });
  onTestFinished(() => server.stop());
  await server.start();
  return server;
}

const lineOf = (seq: number, bytes: number) => `${seq} ${'.'.repeat(bytes)}\n`;

/** Whether each line is there whole, once and in order. */
function expectLines(text: string, count: number, bytes: number): void {
  const lines = text.split('\n');
  expect(lines.pop()).toBe('');
  expect(lines.map((line) => line.length)).toEqual(
    Array.from({ length: count }, (_, seq) => lineOf(seq, bytes).length - 1),
  );
  expect(lines.map((line) => line.split(' ')[0])).toEqual(
    Array.from({ length: count }, (_, seq) => String(seq)),
  );
}

test('a journal that cannot be written refuses appends as a whole, and they come in once it can', async () => {
  const root = await diskDirectory();
  const server = await startOn(root);
  const stream = new StreamPeer(server, '/stream');
  await stream.create();
  // Where its directory is to be.
  await writeFile(path.join(root, '.httpfstream/redo'), '');
  for (const bytes of [10, 300 * KiB]) {
    const refused = await stream.produce(lineOf(0, bytes), { seq: 0 });
    expect([refused.status, refused.code]).toEqual([500, 'HFS_STORAGE_ERROR']);
  }
  expect((await stream.read()).text).toBe('');
  await rm(path.join(root, '.httpfstream/redo'));
  for (const seq of [0, 1]) expect((await stream.produce(lineOf(seq, 10), { seq })).status).toBe(200);
  expectLines((await stream.read()).text, 2, 10);
});

/** Whether a server has all that was acknowledged before the one before it was killed. */
async function expectEverything(server: RestartableServer): Promise<void> {
  const stream = (name: string) => new StreamPeer(server, name);
  const repeated = await stream('/two').produce('two 2\n', { id: 'p', seq: 2 });
  const next = await stream('/two').produce('two 3\n', { id: 'p', seq: 3 });
  expect([repeated.status, next.status]).toEqual([204, 200]);
  expect((await stream('/fork').read()).text).toBe('source 0\nfork 0\n');
  expect((await stream('/one').read()).text).toMatch(/^one 0\none 1\none 2\nlarge 3\.+\n$/);
  expect((await stream('/two').read()).text).toBe('two 0\ntwo 1\ntwo 2\ntwo 3\n');
}

describe.each(DISKS)('on %s that is full', (_kind, makeDisk) => {
  test.each([
    ['small batches', 5 * KiB],
    ['batches over 256 KiB', 300 * KiB],
  ] as const)('%s are refused with 507 as a whole, and come in once there is room', async (_what, bytes) => {
    const disk = await makeDisk();
    const server = await startOn(disk.directory);
    const stream = new StreamPeer(server, '/stream');
    const other = new StreamPeer(server, '/other');
    await stream.create();
    await other.create({}, 'other');
    const produce = (seq: number) => stream.produce(lineOf(seq, bytes), { seq });
    const first = await produce(0);
    expect(first.status).toBe(200);

    await disk.fill(bytes / 2);
    let seq = 1;
    let refusals = 0;
    for (let requests = 0; requests < 200 && refusals < 3; requests++) {
      const answer = await produce(seq);
      if (answer.status === 507) {
        expect(answer.code).toBe('HFS_STORAGE_FULL');
        refusals++;
      } else {
        expect([200, 204]).toContain(answer.status);
        seq++;
      }
    }
    expect(refusals).toBe(3);
    expectLines(String(await stream.readAll()), seq, bytes);
    expect((await other.read()).text).toBe('other');

    await disk.makeRoom();
    const taken = await produce(seq);
    const repeated = await produce(seq);
    expect([taken.status, repeated.status]).toEqual([200, 204]);
    seq++;
    expectLines(String(await stream.readAll()), seq, bytes);
    await server.restart();
    const again = await produce(seq - 1);
    const next = await produce(seq);
    expect([again.status, next.status]).toEqual([204, 200]);
    expectLines(String(await stream.readAll()), seq + 1, bytes);
  });

  test('many producers of one stream at once lose nothing that was taken, and can bring the rest', async () => {
    const disk = await makeDisk();
    const server = await startOn(disk.directory);
    const stream = new StreamPeer(server, '/stream');
    await stream.create();
    await stream.append('begun\n');
    const bytes = 4 * KiB;
    const lines = Array.from({ length: 10 }, (_, producer) =>
      Array.from({ length: 12 }, (_, seq) => `${producer}-${seq} ${'.'.repeat(bytes)}`),
    );
    let refusals = 0;
    await disk.fill(200 * KiB);
    const produceAll = async (producer: number) => {
      const own = lines[producer] as string[];
      for (let seq = 0, requests = 0; seq < own.length && requests < 2000; requests++) {
        const { status } = await stream.produce(`${own[seq]}\n`, { id: `p${producer}`, seq });
        expect([200, 204, 507]).toContain(status);
        if (status !== 507) seq++;
        else if (++refusals === REFUSALS) await disk.makeRoom();
      }
    };
    await Promise.all(lines.map((_, producer) => produceAll(producer)));
    expect(refusals).toBeGreaterThanOrEqual(REFUSALS);
    const stored = String(await stream.readAll())
      .split('\n')
      .slice(1, -1);
    for (const [producer, own] of lines.entries()) {
      expect(
        stored.filter((line) => line.startsWith(`${producer}-`)).map((line) => line.split(' ')[0]),
      ).toEqual(own.map((line) => line.split(' ')[0]));
    }
    expect(stored.length).toBe(120);
    await server.restart();
    expect(
      String(await stream.readAll())
        .split('\n')
        .slice(1, -1),
    ).toEqual(stored);
  });

  test('what is deleted goes, but not a name that is kept for forks, and leaves nothing behind', async () => {
    const disk = await makeDisk();
    // So little that no room is kept.
    await disk.fill(1200 * KiB);
    const server = await startOn(disk.directory);
    const source = new StreamPeer(server, '/source');
    const fork = new StreamPeer(server, '/fork');
    const large = new StreamPeer(server, '/large');
    await source.create({}, 'source');
    await fork.create({ 'stream-forked-from': '/source' });
    await large.create({}, '.'.repeat(600 * KiB));
    await disk.fill(0);
    expect((await source.delete()).status).toBe(507);
    expect((await source.read()).text).toBe('source');
    // Whose room is free before the end of it is written.
    expect((await large.delete()).status).toBe(204);
    expect(Object.keys(await recordsIn(disk.directory)).sort()).toEqual(['fork', 'source']);
    await disk.fill(0);
    expect((await source.delete()).status).toBe(507);
    await disk.makeRoom();
    expect((await source.delete()).status).toBe(204);
    expect((await source.create()).status).toBe(409);
  });

  test('of files, not of bytes: what is new is refused with 507, and what is there is appended to, and can be deleted', async () => {
    const disk = await makeDisk();
    const server = await startOn(disk.directory);
    const stream = new StreamPeer(server, '/stream');
    const gone = new StreamPeer(server, '/gone');
    const fresh = new StreamPeer(server, '/new');
    await stream.create();
    await gone.create({}, 'gone');
    for (let seq = 0; seq < 2; seq++)
      expect((await stream.produce(lineOf(seq, 10), { seq })).status).toBe(200);
    await disk.fillFiles();
    expect((await fresh.create()).status).toBe(507);
    for (let seq = 2; seq < 19; seq++)
      expect((await stream.produce(lineOf(seq, 10), { seq })).status).toBe(200);
    // The journal begins a new segment after that.
    const redo = path.join(disk.directory, RESERVED, 'redo');
    await waitFor(async () => (await readdir(redo)).length === 0, 'the journal to be dropped');
    expect((await stream.produce(lineOf(19, 10), { seq: 19 })).status).toBe(200);
    expect((await gone.delete()).status).toBe(204);
    await disk.makeRoom();
    await fresh.create({}, 'new');
    await server.restart();
    expectLines((await stream.read()).text, 20, 10);
    expect((await fresh.read()).text).toBe('new');
    expect((await gone.read()).status).toBe(404);
  });

  test('a server that is started after one was killed has the room that was kept, and everything', async () => {
    const disk = await makeDisk();
    await play(disk.directory, 'be killed');
    await disk.fill(0);
    const server = await startOn(disk.directory);
    await expectEverything(server);
  });

  test('a server that is started without any room is refused, and the next one has everything', async () => {
    const disk = await makeDisk();
    await play(disk.directory, 'be killed');
    await rm(path.join(disk.directory, RESERVED, 'reserve'), { recursive: true, force: true });
    await disk.fill(0);
    const server = new InProcessServer(disk.directory, { minFreeBytes: 0, minFreeFiles: 0 });
    onTestFinished(() => server.stop());
    await expect(server.start()).rejects.toMatchObject({ code: 'HFS_STORAGE_FULL' });
    await disk.makeRoom();
    await server.start();
    await expectEverything(server);
  });
});
