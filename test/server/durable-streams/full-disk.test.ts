import { readFile, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { play } from '../../support/crash-root.ts';
import { temporaryDirectory } from '../../support/server.ts';
import { smallDisks } from '../../support/small-disk.ts';
import { StreamPeer } from '../../support/streams-requests.ts';
import { InProcessServer, type StreamsServer } from '../../support/streams-server.ts';

const KiB = 1024;

/** The made-up one does not know of all the ways in which streams are written. */
const DISKS = smallDisks().filter(([kind]) => !kind.includes('made to fail'));

async function startOn(directory: string): Promise<StreamsServer> {
  const server = new InProcessServer(directory, {});
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

test('a redo log that cannot be written refuses appends as a whole, and they come in once it can', async () => {
  const root = await temporaryDirectory();
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
    let isFull = false;
    await disk.fill(200 * KiB);
    const produceAll = async (producer: number) => {
      const own = lines[producer] as string[];
      for (let seq = 0, requests = 0; seq < own.length && requests < 2000; requests++) {
        const { status } = await stream.produce(`${own[seq]}\n`, { id: `p${producer}`, seq });
        expect([200, 204, 507]).toContain(status);
        if (status !== 507) seq++;
        else if (!isFull) {
          isFull = true;
          setTimeout(() => void disk.makeRoom(), 200);
        }
      }
    };
    await Promise.all(lines.map((_, producer) => produceAll(producer)));
    expect(isFull).toBe(true);
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

  test('a server that is started after one was killed serves what is whole, and the next one has everything', async () => {
    const disk = await makeDisk();
    await play(disk.directory, 'be killed');
    const files = () =>
      Promise.all(['fork', 'one', 'two'].map((name) => readFile(path.join(disk.directory, name), 'utf8')));
    const before = await files();
    await disk.fill(0);

    const server = await startOn(disk.directory);
    const stream = (name: string) => new StreamPeer(server, name);
    const next = () => stream('/two').produce('two 3\n', { id: 'p', seq: 3 });
    expect((await stream('/fork').read()).text).toBe(before[0]);
    const refused = [await stream('/two').read(), await next(), await stream('/new').create({}, 'new')];
    expect(refused.map(({ status }) => status)).toEqual([507, 507, 507]);
    const listing = await fetch(server.url('/'), { headers: { accept: 'application/json' } });
    const { entries } = (await listing.json()) as { entries: { name: string; size?: number }[] };
    expect(entries.find(({ name }) => name === 'fork')?.size).toBe(before[0]?.length);
    expect(entries.find(({ name }) => name === 'two')).not.toHaveProperty('size');
    await server.stop();
    expect(await files()).toEqual(before);

    await disk.makeRoom();
    await server.start();
    const repeated = await stream('/two').produce('two 2\n', { id: 'p', seq: 2 });
    expect([repeated.status, (await next()).status]).toEqual([204, 200]);
    expect((await stream('/one').read()).text).toBe(before[1]);
    expect((await stream('/two').read()).text).toBe('two 0\ntwo 1\ntwo 2\ntwo 3\n');
  });
});
