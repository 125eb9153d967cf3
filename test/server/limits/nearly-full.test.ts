import { readdir, stat } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import type { HttpfstreamOptions } from '../../../src/server/settings.ts';
import { RESERVED } from '../../support/disk/root-files.ts';
import { smallDisks } from '../../support/disk/small-disk.ts';
import { send } from '../../support/http/request.ts';
import { InProcessServer } from '../../support/server/restartable-server.ts';
import { temporaryDirectory } from '../../support/server/server.ts';
import { Appending, Producing } from '../../support/server/writers.ts';
import { StreamPeer } from '../../support/streams/stream-peer.ts';
import { waitFor } from '../../support/wait-for.ts';
import { refusalOf, V2Peer } from '../../support/websocket/v2-peer.ts';

const KiB = 1024;

const isLong = process.env.HTTPFSTREAM_SOAK === '1';
const APPENDERS = isLong ? 20 : 3;
const PRODUCERS = isLong ? 8 : 2;

/** What is free of a disk whose calls are made to fail, nobody knows. */
const DISKS = smallDisks().filter(([kind]) => !kind.includes('made to fail'));

async function start(root: string, options: Partial<HttpfstreamOptions>): Promise<InProcessServer> {
  const server = new InProcessServer(root, options);
  onTestFinished(() => server.stop());
  await server.start();
  return server;
}

/** It has ended by what the disk, or a quota, refused; as whole as it can be. */
async function expectBroken(appender: Appending, root: string): Promise<void> {
  await appender.expectWhole(root);
  expect(appender.followerEnding).toEqual(['interrupted', 1011]);
}

async function load(server: InProcessServer) {
  const producers = Array.from({ length: PRODUCERS }, (_, i) => new Producing(server, `stream${i}`, 2 * KiB));
  for (const producer of producers) await producer.create();
  const names = Array.from({ length: APPENDERS }, (_, i) => `file${i}`);
  const appenders = await Promise.all(names.map((name) => Appending.start(server, name)));
  await Promise.all([
    ...appenders.map((each) => each.append(KiB)),
    ...producers.map((each) => each.produce()),
  ]);
  return { producers, appenders };
}

/** What nothing new that begins is told. */
async function refusalsOfNew(server: InProcessServer, producer: Producing) {
  const put = await send('PUT', server.url('/new'), { body: 'new' });
  const stream = await new StreamPeer(server, '/new-stream').create();
  return {
    open: (await refusalOf(server.url('/new'), 'APPEND'))[0],
    // Nothing was made for it.
    get: (await send('GET', server.url('/new'))).status,
    openOld: (await refusalOf(server.url('/old'), 'APPEND'))[0],
    form: (await send('POST', server.url('/new?verb=APPEND'), { body: 'new' })).status,
    put: [put.status, put.code],
    create: stream.status,
    post: await producer.produce(),
  };
}

const FULL = { status: 507, code: 'HFS_STORAGE_FULL' };

describe.each(DISKS)('on %s that is nearly full', (_kind, makeDisk) => {
  test('nothing new begins, what lives goes on; then it ends, whole; all can be deleted; and it begins again by itself', async () => {
    const disk = await makeDisk();
    const server = await start(disk.directory, { minFreeBytes: 640 * KiB, minFreeFiles: 0 });
    const { producers, appenders } = await load(server);
    const [first] = producers;
    const old = await send('PUT', server.url('/old'), { body: 'old' });
    expect(old.status).toBe(201);
    await disk.fill(600 * KiB);
    await waitFor(async () => (await first?.produce())?.status === 507, 'the first refusal');
    const refused = await refusalsOfNew(server, first as Producing);
    expect(refused).toEqual({
      open: 507,
      get: 404,
      openOld: 507,
      form: 507,
      put: [507, 'HFS_STORAGE_FULL'],
      create: 507,
      post: FULL,
    });
    for (const appender of appenders) await appender.append(KiB);
    expect(appenders.map(({ isOver }) => isOver)).toEqual(appenders.map(() => false));
    // Room enough for what they send until somebody looks, after a second.
    await disk.fill(300 * KiB);
    await Promise.all(appenders.map((each) => each.appendUntilOver(100)));
    for (const { ending, detail } of appenders) {
      expect([...ending, detail]).toEqual(['interrupted', 1011, expect.stringContaining('nearly full')]);
    }
    for (const appender of appenders) await expectBroken(appender, disk.directory);
    for (const producer of producers) await producer.expectWhole();
    expect((await send('DELETE', server.url('/old'))).status).toBe(204);
    await disk.makeRoom();
    expect(await first?.produce()).toBeUndefined();
    const again = await V2Peer.append(server.url('/again'));
    await again.append('again', 5);
    await again.finish();
  });

  test('of files it says so, and it is the same', async () => {
    const disk = await makeDisk();
    const server = await start(disk.directory, { minFreeBytes: 0, minFreeFiles: 20 });
    const { producers, appenders } = await load(server);
    const [first] = producers;
    await disk.fillFiles();
    await Promise.all(appenders.map((each) => each.appendUntilOver(100)));
    const refused = await send('PUT', server.url('/new'), { body: 'new' });
    expect([refused.status, refused.text]).toEqual([507, expect.stringContaining('inodes')]);
    expect(await first?.produce()).toEqual(FULL);
    for (const appender of appenders) await expectBroken(appender, disk.directory);
    expect((await send('DELETE', server.url('/file0'))).status).toBe(204);
    await disk.makeRoom();
    expect((await send('PUT', server.url('/new'), { body: 'new' })).status).toBe(201);
    for (const producer of producers) {
      expect(await producer.produce()).toBeUndefined();
      await producer.expectWhole();
    }
  });
});

test('a quota is exact under load: what does not fit is refused as a whole, and what goes makes room', async () => {
  const root = await temporaryDirectory();
  const quota = 300 * KiB * (isLong ? 4 : 1);
  const server = await start(root, { quotas: [{ pattern: '/**', bytes: quota }] });
  const { producers, appenders } = await load(server);
  const stored = async () => {
    const names = (await readdir(root)).filter((name) => name !== RESERVED);
    const sizes = await Promise.all(names.map(async (name) => (await stat(path.join(root, name))).size));
    return sizes.reduce((sum, size) => sum + size, 0);
  };
  const refusals = await Promise.all([
    ...producers.map((each) => each.produceUntilRefused()),
    ...appenders.map((each) => each.appendUntilOver(3 * KiB)),
  ]);
  expect(refusals[0]).toEqual({ status: 507, code: 'HFS_QUOTA_EXCEEDED' });
  for (const { ending } of appenders) expect(ending).toEqual(['interrupted', 1011]);
  expect(server.refusals.countOf('quota')).toBe(APPENDERS + PRODUCERS);
  for (const appender of appenders) await expectBroken(appender, root);
  for (const producer of producers) await producer.expectWhole();
  const left = quota - (await stored());
  expect(left).toBeGreaterThanOrEqual(0);
  expect(left).toBeLessThan(3 * KiB);
  const put = async (name: string, bytes: number) =>
    (await send('PUT', server.url(name), { body: Buffer.alloc(bytes) })).status;
  expect(await put('/more', left + 1)).toBe(507);
  expect(await put('/rest', left)).toBe(201);
  expect(await stored()).toBe(quota);
  const { size } = await stat(path.join(root, 'file0'));
  expect((await send('DELETE', server.url('/file0'))).status).toBe(204);
  expect(await put('/more', size + 1)).toBe(507);
  expect(await put('/more', size)).toBe(201);
  // The next server knows it.
  await server.restart();
  expect(await put('/one', 1)).toBe(507);
  expect((await send('DELETE', server.url('/more'))).status).toBe(204);
  expect(await put('/one', size)).toBe(201);
});
