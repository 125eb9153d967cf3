import fs from 'node:fs';
import { appendFile, readFile, rename, rm, stat, truncate, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { AppendFile } from '../src/storage/stored-file.ts';
import { writeByThreads, writeInLine } from './support/core/harness.ts';
import { breakLog, HeldCommits } from './support/disk/log-trouble.ts';
import { resourceNames } from './support/disk/root-files.ts';
import { smallDisks, systemError } from './support/disk/small-disk.ts';
import { get } from './support/http/request.ts';
import { pattern } from './support/pattern.ts';
import { startServer, type TestServer } from './support/server/server.ts';
import { waitFor } from './support/wait-for.ts';
import { Peer } from './support/websocket/peer.ts';
import { refusalOf, sessionOf, V2Peer } from './support/websocket/v2-peer.ts';

const KiB = 1024;
const MiB = 1024 * KiB;
const session = sessionOf('a');

const contents = ({ root }: Pick<TestServer, 'root'>, name = 'f') => readFile(path.join(root, name));

/** Sends the bytes that belong after `position`, until the connection is closed. */
async function sendUntilClosed(peer: V2Peer, position: number): Promise<void> {
  let sent = position;
  while (peer.websocket.readyState === peer.websocket.OPEN) {
    await peer.send(pattern(sent, 10_000)).catch(() => undefined);
    sent += 10_000;
    // Never far ahead, so that the files stay small.
    await waitFor(() => peer.closeCode !== undefined || sent - peer.acked < 100_000, 'the acknowledgements');
  }
}

/** An append and a follower of another resource, which nothing of the trouble may touch. */
async function bystanders(server: TestServer) {
  const appender = await V2Peer.append(server.url('/other'));
  const follower = await V2Peer.follow(server.url('/other'));
  await appender.append('before ', 7);
  return {
    async goOn(): Promise<void> {
      await appender.append('after', 12);
      await appender.finish();
      await follower.closed();
      expect([follower.text, ...follower.ending]).toEqual(['before after', 'finished', 1000]);
    },
  };
}

describe.each(smallDisks())('on %s that is full', (_kind, makeDisk) => {
  async function start() {
    const disk = await makeDisk();
    const server = await startServer({ root: disk.directory, graceMs: 5000 });
    return { disk, server };
  }

  test('an append ends as interrupted, keeps what was acknowledged, has its torn tail cut, and goes on when there is room', async () => {
    const { disk, server } = await start();
    const reader = await V2Peer.append(server.url('/readable'));
    await reader.append('readable', 8);
    await reader.finish();
    const appender = await V2Peer.append(server.url('/f'), { session });
    const follower = await V2Peer.follow(server.url('/f'));
    await appender.append(pattern(0, 100_000), 100_000);
    await disk.fill(150_001);
    await sendUntilClosed(appender, 100_000);
    await Promise.all([appender.closed(), follower.closed()]);
    expect(appender.ending).toEqual(['interrupted', 1011]);
    expect(appender.end?.detail).toContain('full');
    expect(appender.end?.detail).not.toContain(server.root);
    expect(follower.ending).toEqual(['interrupted', 1011]);
    const file = await contents(server);
    expect(file.length).toBeGreaterThanOrEqual(100_000);
    expect(file.length).toBeGreaterThanOrEqual(appender.acked);
    expect(appender.end?.position).toBeGreaterThanOrEqual(appender.acked);
    expect(file.equals(pattern(0, file.length))).toBe(true);
    expect(follower.bytes.equals(file)).toBe(true);
    expect(follower.end?.position).toBe(file.length);

    // Who reads is served, and the full disk is no reason to lose what is there.
    const witness = await V2Peer.follow(server.url('/readable'));
    await witness.closed();
    expect([witness.text, ...witness.ending]).toEqual(['readable', 'finished', 1000]);
    expect((await get(server.url('/f'))).body.equals(file)).toBe(true);

    await disk.makeRoom();
    const back = await V2Peer.append(server.url('/f'), { session, expect: 0 });
    expect(back.open?.position).toBe(file.length);
    await back.send(pattern(file.length, 50_000));
    await back.finish();
    expect(back.closeCode).toBe(1000);
    expect((await contents(server)).equals(pattern(0, file.length + 50_000))).toBe(true);
  });

  test('an append that sends more than fits and then closes cleanly is not told that all is well', async () => {
    const { disk, server } = await start();
    const appender = await V2Peer.append(server.url('/f'), { session });
    const follower = await V2Peer.follow(server.url('/f'));
    await appender.append('good', 4);
    await disk.fill(0);
    void appender.send(Buffer.alloc(300 * KiB)).catch(() => undefined);
    await appender.finish();
    await follower.closed();
    expect(follower.ending).toEqual(['interrupted', 1011]);
    expect(appender.ending).toEqual(['interrupted', 1011]);
    expect(appender.acked).toBe(4);
    expect((await contents(server)).toString()).toBe('good');
  });

  test('a legacy append that sends more than fits is closed with 1011, and so are its followers', async () => {
    const { disk, server } = await start();
    const appender = await Peer.connect(server.url('/f'), 'APPEND');
    const follower = await Peer.connect(server.url('/f'), 'FOLLOW');
    const closed = Promise.all([appender.closed(), follower.closed()]);
    await appender.send('good');
    await waitFor(() => follower.text === 'good', 'the good bytes');
    await disk.fill(0);
    appender.websocket.send(Buffer.alloc(300 * KiB));
    appender.websocket.close(1000);
    expect((await closed).map(({ code }) => code)).toEqual([1011, 1011]);
    expect((await contents(server)).toString()).toBe('good');
  });

  test('a new append is refused with 507 and possible when there is room again', async () => {
    const { disk, server } = await start();
    const first = await V2Peer.append(server.url('/f'), { session });
    await first.append('all', 3);
    await first.finish();
    await disk.fill(0);
    expect(await refusalOf(server.url('/f'), 'APPEND', { session: sessionOf('b') })).toEqual([
      507,
      'HFS_STORAGE_FULL',
    ]);
    expect((await refusalOf(server.url('/new'), 'APPEND'))[0]).toBe(507);
    expect((await get(server.url('/new'))).body.toString()).not.toContain('x');
    const follower = await V2Peer.follow(server.url('/f'));
    await follower.closed();
    expect([follower.text, ...follower.ending]).toEqual(['all', 'finished', 1000]);
    await disk.makeRoom();
    for (const name of ['/f', '/new']) {
      const next = await V2Peer.append(server.url(name), { session: sessionOf('b') });
      await next.send(' again');
      await next.finish();
      expect(next.closeCode).toBe(1000);
    }
    expect((await contents(server)).toString()).toBe('all again');
  });

  test('an append that fits to the last byte is none the worse, and its end is remembered or not claimed', async () => {
    const { disk, server } = await start();
    const appender = await V2Peer.append(server.url('/f'), { session });
    await appender.append('all', 3);
    await disk.fill(0);
    await appender.finish();
    expect(appender.closeCode).toBe(1000);
    const follower = await V2Peer.follow(server.url('/f'));
    await follower.closed();
    expect([follower.text, ...follower.ending]).toEqual(['all', 'finished', 1000]);
  });
});

/** Makes the next writes do what `behave` says; undefined lets one through. */
function failWrites(behave: (bytes: Buffer) => { written: number } | { error: string } | undefined) {
  const { writev, writevSync } = fs;
  const spies = [
    vi.spyOn(fs, 'writevSync').mockImplementation(((fd: number, buffers: readonly Buffer[]) => {
      const bytes = Buffer.concat(buffers);
      const how = behave(bytes);
      if (how === undefined) return writevSync(fd, buffers);
      if ('error' in how) throw systemError(how.error);
      return writevSync(fd, [bytes.subarray(0, how.written)]);
    }) as never),
    vi.spyOn(fs, 'writev').mockImplementation(((
      fd: number,
      buffers: readonly Buffer[],
      callback: (error: Error | null, written?: number) => void,
    ) => {
      const bytes = Buffer.concat(buffers);
      const how = behave(bytes);
      if (how === undefined) writev(fd, buffers, callback as never);
      else if ('error' in how) setImmediate(callback, systemError(how.error));
      else writev(fd, [bytes.subarray(0, how.written)], callback as never);
    }) as never),
  ];
  onTestFinished(() => {
    for (const spy of spies) spy.mockRestore();
  });
}

describe('a disk that', () => {
  test('writes less than it is asked to, again and again, loses nothing', async () => {
    const server = await startServer();
    let calls = 0;
    failWrites((bytes) => {
      calls++;
      return calls % 3 === 0 ? undefined : { written: Math.ceil(bytes.length / 3) };
    });
    const follower = await V2Peer.follow(server.url('/f'), { wait: 60 });
    const appender = await V2Peer.append(server.url('/f'), { session });
    for (let sent = 0; sent < 2 * MiB; sent += 32 * KiB) await appender.send(pattern(sent, 32 * KiB));
    await appender.finish();
    await follower.closed();
    expect([appender.acked, appender.closeCode]).toEqual([2 * MiB, 1000]);
    expect((await contents(server)).equals(pattern(0, 2 * MiB))).toBe(true);
    expect(follower.bytes.equals(pattern(0, 2 * MiB))).toBe(true);
    expect(calls).toBeGreaterThan(3);
  });

  test.each(['EIO', 'ENOSPC', 'EDQUOT', 'EFBIG', 'EROFS'])(
    'fails with %s after a part of a write has that part cut off, and the server goes on for all others',
    async (code) => {
      const server = await startServer({ graceMs: 5000 });
      const others = await bystanders(server);
      const appender = await V2Peer.append(server.url('/f'), { session });
      const follower = await V2Peer.follow(server.url('/f'));
      await appender.append('good', 4);
      let calls = 0;
      failWrites((bytes) => {
        if (!bytes.includes('torn')) return undefined;
        calls++;
        return calls === 1 ? { written: 2 } : { error: code };
      });
      // What is left of `torn torn` after two bytes has the word in it, too.
      await appender.send('torn torn');
      await Promise.all([appender.closed(), follower.closed()]);
      expect(calls).toBe(2);
      expect(appender.ending).toEqual(['interrupted', 1011]);
      expect(appender.end).toMatchObject({ position: 4, detail: expect.stringMatching(/disk|file system/) });
      expect([follower.text, ...follower.ending]).toEqual(['good', 'interrupted', 1011]);
      expect((await contents(server)).toString()).toBe('good');
      const back = await V2Peer.append(server.url('/f'), { session, expect: 0 });
      expect(back.open?.position).toBe(4);
      await back.send(' again');
      await back.finish();
      expect((await contents(server)).toString()).toBe('good again');
      await others.goOn();
    },
  );

  test('cannot even cut the torn part off leaves the client to go on behind it, with nothing lost or repeated', async () => {
    const server = await startServer({ graceMs: 5000 });
    const appender = await V2Peer.append(server.url('/f'), { session });
    await appender.append(pattern(0, 1000), 1000);
    const cutting = vi.spyOn(AppendFile.prototype, 'truncate').mockRejectedValue(systemError('EIO'));
    onTestFinished(() => cutting.mockRestore());
    let calls = 0;
    failWrites(() => {
      calls++;
      if (calls === 1) return { written: 300 };
      return calls === 2 ? { error: 'EIO' } : undefined;
    });
    await appender.send(pattern(1000, 1000));
    await appender.closed();
    expect(appender.ending).toEqual(['interrupted', 1011]);
    expect(appender.acked).toBe(1000);
    const back = await V2Peer.append(server.url('/f'), { session });
    const position = back.open?.position as number;
    expect([1000, 1300]).toContain(position);
    await back.send(pattern(position, 2000 - position));
    await back.finish();
    expect((await contents(server)).equals(pattern(0, 2000))).toBe(true);
  });

  test('fails while the client takes over: the new connection is refused or told, and never told that all is well', async () => {
    const server = await startServer({ graceMs: 5000 });
    const appender = await V2Peer.append(server.url('/f'), { session });
    await appender.append('good', 4);
    writeByThreads();
    let fail: (() => void) | undefined;
    const spy = vi.spyOn(AppendFile.prototype, 'write').mockImplementation(
      () =>
        new Promise<void>((_resolve, reject) => {
          fail = () => reject(systemError('EIO'));
        }),
    );
    onTestFinished(() => spy.mockRestore());
    await appender.send('held');
    await waitFor(() => fail !== undefined, 'the write');
    const connecting = V2Peer.connect(server.url('/f'), 'APPEND', { query: { session, expect: 0 } }).then(
      (peer) => peer,
      () => undefined,
    );
    await appender.closed();
    fail?.();
    spy.mockRestore();
    const next = await connecting;
    // Refused, it comes again and finds the session interrupted.
    if (next === undefined) return;
    await next.send('more').catch(() => undefined);
    next.websocket.close(1000);
    await next.closed();
    const { length } = await contents(server);
    if (next.closeCode === 1000) expect(length).toBe((next.open?.position as number) + 4);
    else expect(next.end?.reason).toBe('interrupted');
  });

  test('cannot sync ends the append as interrupted, and acknowledges nothing that it has not synced', async () => {
    const server = await startServer({ durability: 'disk', graceMs: 5000 });
    const others = await bystanders(server);
    const appender = await V2Peer.append(server.url('/f'), { session });
    const follower = await V2Peer.follow(server.url('/f'));
    await appender.append('good', 4);
    breakLog();
    const spy = vi.spyOn(AppendFile.prototype, 'sync').mockRejectedValue(systemError('EIO'));
    onTestFinished(() => spy.mockRestore());
    await appender.send('lost');
    await Promise.all([appender.closed(), follower.closed()]);
    expect(appender.ending).toEqual(['interrupted', 1011]);
    expect([appender.acked, appender.end?.position]).toEqual([4, 4]);
    expect(follower.ending).toEqual(['interrupted', 1011]);
    spy.mockRestore();
    await others.goOn();
  });

  test('cannot sync the last bytes of an append that closes cleanly does not say that all is well', async () => {
    const server = await startServer({ durability: 'disk', graceMs: 5000 });
    const appender = await V2Peer.append(server.url('/f'), { session });
    const follower = await V2Peer.follow(server.url('/f'));
    await appender.append('good', 4);
    breakLog();
    const spy = vi.spyOn(AppendFile.prototype, 'sync').mockRejectedValue(systemError('EIO'));
    onTestFinished(() => spy.mockRestore());
    void appender.send('lost');
    await appender.finish();
    await follower.closed();
    expect(follower.ending).toEqual(['interrupted', 1011]);
    expect([appender.acked, appender.closeCode]).toEqual([4, 1011]);
  });

  test('is slow to sync keeps the acknowledgement waiting, not the followers', async () => {
    const server = await startServer({ durability: 'disk' });
    const appender = await V2Peer.append(server.url('/f'), { session });
    const follower = await V2Peer.follow(server.url('/f'));
    const commits = new HeldCommits();
    for (let i = 0; i < 20; i++) await appender.send('x');
    await follower.until(() => follower.byteCount === 20, 'the bytes');
    appender.websocket.ping();
    await new Promise((resolve) => appender.websocket.once('pong', resolve));
    expect(appender.acked).toBeLessThanOrEqual(0);
    await waitFor(() => {
      commits.release();
      return appender.acked === 20;
    }, 'the acknowledgement');
    expect(commits.count).toBeLessThanOrEqual(3);
    // The end is one more, for which the answer to the close frame waits.
    commits.releaseAll();
    await appender.finish();
  });
});

/** Sizes of the resources in a root. */
async function sizesIn(root: string): Promise<Record<string, number>> {
  const names = await resourceNames(root);
  const stats = await Promise.all(names.map((name) => stat(path.join(root, name))));
  return Object.fromEntries(names.map((name, i) => [name, stats[i]?.size ?? 0]));
}

type Change = (file: string) => Promise<unknown>;

const CHANGES: [string, Change, string][] = [
  ['deleted', (file) => rm(file), 'deleted'],
  ['renamed away', (file) => rename(file, `${file}-old`), 'deleted'],
  [
    'replaced by another',
    async (file) => {
      await writeFile(`${file}-new`, 'another file, and not a short one'.repeat(1000));
      await rename(`${file}-new`, file);
    },
    'deleted',
  ],
  ['cut', (file) => truncate(file, 10), 'truncated'],
  ['emptied', (file) => truncate(file, 0), 'truncated'],
];

describe('a file that is appended to and', () => {
  test('is deleted, renamed away, replaced or cut while it is quiet ends everything with the reason', async () => {
    const server = await startServer({ graceMs: 5000 });
    const others = await bystanders(server);
    // All at once, because the look at quiet files comes once a second.
    const endings = CHANGES.map(async ([what, change, reason], i) => {
      const url = server.url(`/f${i}`);
      const appender = await V2Peer.append(url, { session });
      const follower = await V2Peer.follow(url);
      const legacy = await Peer.connect(server.url(`/f${i}`), 'FOLLOW');
      const legacyClosed = legacy.closed();
      await appender.append(pattern(0, 50_000), 50_000);
      await follower.until(() => follower.byteCount === 50_000, 'the bytes');
      await change(path.join(server.root, `f${i}`));
      await Promise.all([appender.closed(), follower.closed()]);
      expect([what, ...appender.ending]).toEqual([what, reason, 1011]);
      expect(appender.end?.detail).toMatch(/./);
      expect([what, ...follower.ending]).toEqual([what, reason, 1011]);
      expect(follower.end?.position).toBe(50_000);
      expect((await legacyClosed).code).toBe(1011);
    });
    await Promise.all(endings);
    await others.goOn();
  });

  test.each(CHANGES)('is %s and then closed is not called finished', async (_what, change, reason) => {
    const server = await startServer({ graceMs: 5000 });
    const appender = await V2Peer.append(server.url('/f'), { session });
    const follower = await V2Peer.follow(server.url('/f'));
    await appender.append(pattern(0, 1000), 1000);
    await change(path.join(server.root, 'f'));
    await appender.finish();
    await follower.closed();
    expect(appender.ending).toEqual([reason, 1011]);
    expect(follower.ending).toEqual([reason, 1011]);
  });

  test.each(CHANGES)(
    'is %s between two writes ends everything with the reason, and nothing is written any more',
    async (_what, change, reason) => {
      const server = await startServer({ graceMs: 5000 });
      const others = await bystanders(server);
      const appender = await V2Peer.append(server.url('/f'), { session });
      const follower = await V2Peer.follow(server.url('/f'));
      await appender.append(pattern(0, 1000), 1000);
      await follower.until(() => follower.byteCount === 1000, 'the bytes');
      const file = path.join(server.root, 'f');
      await change(file);
      const sizes = await sizesIn(server.root);
      await sendUntilClosed(appender, 1000);
      await Promise.all([appender.closed(), follower.closed()]);
      expect(appender.ending).toEqual([reason, 1011]);
      expect(follower.ending).toEqual([reason, 1011]);
      expect(follower.bytes.equals(pattern(0, follower.byteCount))).toBe(true);
      expect(follower.byteCount).toBeGreaterThanOrEqual(appender.acked);
      // A file that was renamed is still what it was, and written to until that is noticed.
      if ('f-old' in sizes) expect((await contents(server, 'f-old')).equals(follower.bytes)).toBe(true);
      else expect(await sizesIn(server.root)).toEqual({ ...sizes, other: 7 });
      await others.goOn();
    },
  );

  test('is deleted while bytes come without a pause ends everything, and followers have what was acknowledged', async () => {
    const server = await startServer({ graceMs: 5000 });
    const others = await bystanders(server);
    const appender = await V2Peer.append(server.url('/f'), { session });
    const follower = await V2Peer.follow(server.url('/f'));
    const sending = sendUntilClosed(appender, 0);
    await appender.until(() => appender.acked >= 100_000, 'some bytes');
    await rm(path.join(server.root, 'f'));
    await Promise.all([appender.closed(), follower.closed(), sending]);
    expect(appender.ending).toEqual(['deleted', 1011]);
    expect(follower.ending).toEqual(['deleted', 1011]);
    expect(follower.bytes.equals(pattern(0, follower.byteCount))).toBe(true);
    expect(follower.byteCount).toBeGreaterThanOrEqual(appender.acked);
    await others.goOn();
  });

  /** Does something to the file in the moment in which it is written to the second time. */
  async function changedInTheMomentOfAWrite(change: (file: string) => void) {
    const server = await startServer({ graceMs: 5000 });
    const appender = await V2Peer.append(server.url('/f'), { session });
    const follower = await V2Peer.follow(server.url('/f'));
    await appender.append('0123456789', 10);
    await follower.until(() => follower.byteCount === 10, 'the bytes');
    writeInLine();
    const { writeInLine: append } = AppendFile.prototype;
    const spy = vi.spyOn(AppendFile.prototype, 'writeInLine').mockImplementation(function changed(
      this: AppendFile,
      ...args
    ) {
      spy.mockRestore();
      change(path.join(server.root, 'f'));
      return append.apply(this, args);
    });
    onTestFinished(() => spy.mockRestore());
    await appender.send('abcdefghij');
    await waitFor(
      () => appender.acked === 20 || appender.closeCode !== undefined,
      'the acknowledgement or the end',
    );
    if (appender.closeCode === undefined) await appender.finish();
    await follower.closed();
    return { server, appender, follower };
  }

  test('is cut in the moment of a write is not made whole with zeros', async () => {
    const { server, appender, follower } = await changedInTheMomentOfAWrite((file) =>
      fs.truncateSync(file, 5),
    );
    expect((await contents(server)).includes(0)).toBe(false);
    expect(appender.ending).toEqual(['truncated', 1011]);
    expect(follower.ending).toEqual(['truncated', 1011]);
    expect([follower.text, appender.acked]).toEqual(['0123456789', 10]);
  });

  test('is written to by another program in the moment of a write keeps the bytes of both', async () => {
    const { server, appender, follower } = await changedInTheMomentOfAWrite((file) =>
      fs.appendFileSync(file, 'theirs'),
    );
    expect((await contents(server)).toString()).toMatch(/^0123456789theirs/);
    expect(appender.ending).toEqual(['interrupted', 1011]);
    expect([follower.text, ...follower.ending]).toEqual(['0123456789', 'interrupted', 1011]);
  });

  test('is deleted ends a legacy append with 1011', async () => {
    const server = await startServer();
    const appender = await Peer.connect(server.url('/f'), 'APPEND');
    const follower = await Peer.connect(server.url('/f'), 'FOLLOW');
    const closed = Promise.all([appender.closed(), follower.closed()]);
    await appender.send('bytes');
    await waitFor(() => follower.text === 'bytes', 'the bytes');
    await rm(path.join(server.root, 'f'));
    await appender.send('more');
    expect((await closed).map(({ code }) => code)).toEqual([1011, 1011]);
  });

  test('is written to by another program ends as interrupted, and neither overwrites the other', async () => {
    const server = await startServer({ graceMs: 5000 });
    const others = await bystanders(server);
    const appender = await V2Peer.append(server.url('/f'), { session });
    const follower = await V2Peer.follow(server.url('/f'));
    await appender.append('ours ', 5);
    await appendFile(path.join(server.root, 'f'), 'theirs');
    await appender.send('ours again');
    await Promise.all([appender.closed(), follower.closed()]);
    expect(appender.ending).toEqual(['interrupted', 1011]);
    expect(appender.end?.detail).toContain('another program');
    expect([follower.text, ...follower.ending]).toEqual(['ours ', 'interrupted', 1011]);
    expect((await contents(server)).toString()).toBe('ours theirs');
    // The session is not the client's any more: it would count their bytes as its own.
    expect(await refusalOf(server.url('/f'), 'APPEND', { session, expect: 0 })).toEqual([
      409,
      'HFS_POSITION_MISMATCH',
    ]);
    await others.goOn();
  });

  test.each([
    ['before a write that fails', 0],
    ['during a write that fails after a part', 3],
  ])('is written to by another program %s keeps the bytes of the other', async (_when, written) => {
    const server = await startServer({ graceMs: 5000 });
    const appender = await V2Peer.append(server.url('/f'), { session });
    await appender.append('ours ', 5);
    const file = path.join(server.root, 'f');
    if (written === 0) await appendFile(file, 'theirs');
    let calls = 0;
    failWrites(() => {
      calls++;
      if (written > 0 && calls === 1) return { written };
      if (written > 0 && calls === 2) fs.appendFileSync(file, 'theirs');
      return { error: 'ENOSPC' };
    });
    await appender.send('0123456789');
    await appender.closed();
    expect(appender.ending).toEqual(['interrupted', 1011]);
    expect((await contents(server)).toString()).toMatch(/^ours (012)?theirs$/);
  });

  test('is written to by another program and then ends cleanly is not claimed to be finished', async () => {
    const server = await startServer({ graceMs: 5000 });
    const appender = await V2Peer.append(server.url('/f'), { session });
    const follower = await V2Peer.follow(server.url('/f'));
    await appender.append('ours ', 5);
    await appendFile(path.join(server.root, 'f'), 'theirs');
    await appender.finish();
    await follower.closed();
    expect(follower.text).toBe('ours ');
    expect((await contents(server)).toString()).toBe('ours theirs');
  });

  test('is deleted gives a follower that is far behind its whole tail, and then the reason', async () => {
    const server = await startServer({ graceMs: 5000 });
    const size = 24 * MiB;
    const appender = await V2Peer.append(server.url('/f'), { session });
    const follower = await V2Peer.follow(server.url('/f'));
    follower.freeze();
    for (let sent = 0; sent < size; sent += MiB) await appender.send(pattern(sent, MiB));
    await appender.until(() => appender.acked === size, 'all to be in the file');
    await rm(path.join(server.root, 'f'));
    await appender.closed();
    expect(appender.ending).toEqual(['deleted', 1011]);
    expect(follower.byteCount).toBeLessThan(size);
    follower.websocket.resume();
    await follower.closed();
    expect(follower.bytes.equals(pattern(0, size))).toBe(true);
    expect([follower.end?.position, ...follower.ending]).toEqual([size, 'deleted', 1011]);
  });

  test('is cut gives a follower that is far behind what is left, and then the reason', async () => {
    const server = await startServer({ graceMs: 5000 });
    const size = 24 * MiB;
    const appender = await V2Peer.append(server.url('/f'), { session });
    const follower = await V2Peer.follow(server.url('/f'));
    follower.freeze();
    for (let sent = 0; sent < size; sent += MiB) await appender.send(pattern(sent, MiB));
    await appender.until(() => appender.acked === size, 'all to be in the file');
    await truncate(path.join(server.root, 'f'), 20 * MiB);
    await appender.closed();
    expect(appender.ending).toEqual(['truncated', 1011]);
    follower.websocket.resume();
    await follower.closed();
    expect(follower.ending).toEqual(['truncated', 1011]);
    expect(follower.bytes.equals(pattern(0, follower.byteCount))).toBe(true);
    expect(follower.byteCount).toBeGreaterThanOrEqual(20 * MiB);
  });

  test('is deleted may be made anew at once, and the new one is another', async () => {
    const server = await startServer({ graceMs: 5000 });
    const appender = await V2Peer.append(server.url('/f'), { session });
    const old = await V2Peer.follow(server.url('/f'));
    await appender.append('old', 3);
    await rm(path.join(server.root, 'f'));
    const generation = appender.open?.generation as number;
    const query = { session, expect: 0, generation };
    expect(await refusalOf(server.url('/f'), 'APPEND', query)).toEqual([410, 'HFS_RESOURCE_GONE']);
    const next = await V2Peer.append(server.url('/f'), { session: sessionOf('b') });
    expect(next.open).toMatchObject({ position: 0, live: true });
    expect(next.open?.generation).not.toBe(generation);
    const follower = await V2Peer.follow(server.url('/f'));
    await next.send('new');
    await next.finish();
    await Promise.all([old.closed(), follower.closed(), appender.closed()]);
    expect([old.text, ...old.ending]).toEqual(['old', 'deleted', 1011]);
    expect([follower.text, ...follower.ending]).toEqual(['new', 'finished', 1000]);
    expect((await contents(server)).toString()).toBe('new');
  });
});
