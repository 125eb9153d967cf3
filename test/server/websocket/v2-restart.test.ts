import { link, mkdir, readdir, readFile, rename, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { ClassicLevel } from 'classic-level';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { Records } from '../../../src/storage/records/records.ts';
import { storageFailure } from '../../../src/storage/storage-failure.ts';
import { recordsIn, rememberedIn, rewriteRecords, storeOf } from '../../support/core/stored-records.ts';
import { breakLog } from '../../support/disk/log-trouble.ts';
import { asOrdinaryUser, giveToOrdinaryUser } from '../../support/disk/ordinary-user.ts';
import { RESERVED } from '../../support/disk/root-files.ts';
import { systemError } from '../../support/disk/small-disk.ts';
import { Download } from '../../support/http/bodies.ts';
import { HANDSHAKE, rawGet } from '../../support/http/raw.ts';
import { get } from '../../support/http/request.ts';
import { NEVER_MS } from '../../support/patience.ts';
import { pattern } from '../../support/pattern.ts';
import { startServer, type TestServer, temporaryDirectory } from '../../support/server/server.ts';
import { ServerProcess } from '../../support/server/server-process.ts';
import { waitFor } from '../../support/wait-for.ts';
import { Peer, type Query } from '../../support/websocket/peer.ts';
import { refusalOf, sessionOf, V2Peer } from '../../support/websocket/v2-peer.ts';

const session = sessionOf('a');
const stranger = sessionOf('b');
const CONFLICT = [403, 'HFS_APPEND_CONFLICT'];

const textOf = ({ root }: Pick<TestServer, 'root'>, name = 'f') => readFile(path.join(root, name), 'utf8');

/** What a follower of something that nobody appends to gets, until it is closed. */
async function followed(url: string, query: Query = {}): Promise<V2Peer> {
  const peer = await V2Peer.follow(url, query);
  await peer.closed();
  return peer;
}

/** A root as a server leaves it that was stopped during an append of `one `. */
async function stoppedInAppend(query: Query = { session }): Promise<string> {
  const server = await startServer({ graceMs: NEVER_MS });
  const appender = await V2Peer.append(server.url('/f'), query);
  await appender.append('one ', 4);
  await server.app.close();
  return server.root;
}

/**
 * Follows such a stream after the restart, and before the time of grace is over:
 * with more of it each time, until the machine is quick enough for that.
 */
async function followedInTime(): Promise<{ server: TestServer; follower: V2Peer }> {
  for (let graceMs = 400; ; graceMs *= 4) {
    const server = await startServer({ root: await stoppedInAppend(), graceMs });
    const follower = await V2Peer.follow(server.url('/f'));
    await follower.until(() => follower.open !== undefined, 'open');
    if (follower.open?.live || graceMs > 10_000) return { server, follower };
  }
}

describe('after a restart during an append', () => {
  test('the session goes on, and strangers are refused', async () => {
    const root = await stoppedInAppend();
    const server = await startServer({ root, graceMs: NEVER_MS });
    expect(await refusalOf(server.url('/f'), 'APPEND', { session: stranger })).toEqual(CONFLICT);
    expect(await refusalOf(server.url('/f'), 'APPEND')).toEqual(CONFLICT);
    await expect(Peer.connect(server.url('/f'), 'APPEND')).rejects.toThrow('403');
    const appender = await V2Peer.append(server.url('/f'), { session, expect: 0 });
    expect(appender.open?.position).toBe(4);
    expect(await refusalOf(server.url('/f'), 'APPEND', { session: stranger })).toEqual(CONFLICT);
    await appender.send('two');
    await appender.finish();
    expect(await textOf(server)).toBe('one two');
    expect((await followed(server.url('/f'))).ending).toEqual(['finished', 1000]);
  });

  test('a follower that comes before the appender is told to wait, and sees the append go on', async () => {
    const root = await stoppedInAppend();
    const server = await startServer({ root, graceMs: NEVER_MS });
    const follower = await V2Peer.follow(server.url('/f'), { from: 2 });
    await follower.until(() => follower.story.join() === 'open,waiting,bytes', 'the bytes so far');
    expect(follower.open).toMatchObject({ position: 2, live: true });
    // Restored by the follower, it is still the client's.
    expect(await refusalOf(server.url('/f'), 'APPEND', { session: stranger })).toEqual(CONFLICT);
    const legacy = await Peer.connect(server.url('/f'), 'FOLLOW');
    const appender = await V2Peer.append(server.url('/f'), { session, expect: 0 });
    expect(appender.open?.position).toBe(4);
    await appender.send('two');
    await appender.finish();
    await follower.closed();
    expect(follower.story).toEqual(['open', 'waiting', 'bytes', 'live', 'bytes', 'end']);
    expect([follower.text, ...follower.ending]).toEqual(['e two', 'finished', 1000]);
    await waitFor(() => legacy.closeCode !== undefined, 'the end of the legacy follower');
    expect([legacy.bytes.toString(), legacy.closeCode]).toEqual(['one two', 1000]);
  });

  test('the stream is interrupted when the client has not come back in time, until another append has finished', async () => {
    const { server, follower } = await followedInTime();
    await follower.closed();
    expect(follower.story).toContain('waiting');
    expect([follower.text, ...follower.ending]).toEqual(['one ', 'interrupted', 1011]);
    expect((await followed(server.url('/f'))).ending).toEqual(['interrupted', 1011]);
    const other = await V2Peer.append(server.url('/f'), { session: stranger });
    await other.send('two');
    await other.finish();
    expect((await followed(server.url('/f'))).ending).toEqual(['finished', 1000]);
  });

  test('the session is over after the time of grace although nobody asked for it meanwhile', async () => {
    const root = await stoppedInAppend();
    const server = await startServer({ root, graceMs: 200 });
    await waitFor(
      () =>
        V2Peer.append(server.url('/f'), { session: stranger }).then(
          () => true,
          () => false,
        ),
      'a stranger to be let in',
    );
  });

  test('the client may come back even after the time of grace, as long as nobody has written', async () => {
    const root = await stoppedInAppend();
    const server = await startServer({ root, graceMs: 100 });
    await waitFor(async () => (await followed(server.url('/f'))).end?.reason === 'interrupted', 'the end');
    const appender = await V2Peer.append(server.url('/f'), { session, expect: 0 });
    expect(appender.open?.position).toBe(4);
    await appender.send('two');
    await appender.finish();
    expect(await textOf(server)).toBe('one two');
  });

  test('nobody is waited for who had named no session', async () => {
    const root = await stoppedInAppend({});
    const server = await startServer({ root, graceMs: NEVER_MS });
    expect((await followed(server.url('/f'))).ending).toEqual(['interrupted', 1011]);
    const appender = await V2Peer.append(server.url('/f'), { session });
    await appender.finish();
  });

  test('a file that was deleted or made anew meanwhile is nobody’s', async () => {
    const root = await stoppedInAppend();
    await writeFile(path.join(root, 'new'), 'new');
    await rename(path.join(root, 'new'), path.join(root, 'f'));
    const server = await startServer({ root, graceMs: NEVER_MS });
    expect((await followed(server.url('/f'))).ending).toEqual(['finished', 1000]);
    const other = await V2Peer.append(server.url('/f'), { session: stranger });
    await other.finish();
    expect(await refusalOf(server.url('/f'), 'APPEND', { session, expect: 0 })).toEqual([
      409,
      'HFS_POSITION_MISMATCH',
    ]);
  });

  test('directories are served as ever', async () => {
    const root = await stoppedInAppend();
    await mkdir(path.join(root, 'd'));
    const server = await startServer({ root, graceMs: NEVER_MS });
    expect((await rawGet(server.port, '/', HANDSHAKE)).status).toBe(200);
    expect((await rawGet(server.port, '/d/', HANDSHAKE)).status).toBe(200);
  });

  test('files that may only be read are served as ever', async () => {
    const root = await temporaryDirectory();
    await writeFile(path.join(root, 'f'), 'read', { mode: 0o444 });
    await giveToOrdinaryUser(root);
    await giveToOrdinaryUser(path.join(root, 'f'));
    const server = await startServer({ root, graceMs: NEVER_MS });
    await giveToOrdinaryUser(path.join(root, RESERVED));
    await asOrdinaryUser(async () => {
      expect((await rawGet(server.port, '/f', HANDSHAKE)).body).toBe('read');
      const follower = await followed(server.url('/f'));
      expect([follower.text, ...follower.ending]).toEqual(['read', 'finished', 1000]);
    });
  });

  test('a server that was never closed has lost nothing that it acknowledged, and the session goes on', async () => {
    const root = await temporaryDirectory();
    let position = 0;
    for (let round = 0; round < 2; round++) {
      const server = await ServerProcess.start(root, ['-grace', '60']);
      const appender = await V2Peer.append(server.url('/f'), { session, expect: 0 });
      expect(appender.open?.position).toBeGreaterThanOrEqual(position);
      let sent = appender.open?.position as number;
      expect((await readFile(path.join(root, 'f'))).equals(pattern(0, sent))).toBe(true);
      expect(await refusalOf(server.url('/f'), 'APPEND', { session: stranger })).toEqual(CONFLICT);
      const target = sent + 1_000_000;
      while (appender.acked < target && appender.closeCode === undefined) {
        await appender.send(pattern(sent, 50_000));
        sent += 50_000;
      }
      expect(await server.stop('SIGKILL')).toBe('SIGKILL');
      await appender.closed();
      position = appender.acked;
      expect((await readFile(path.join(root, 'f'))).length).toBeGreaterThanOrEqual(position);
    }
    const server = await ServerProcess.start(root, ['-grace', '60']);
    const follower = await V2Peer.follow(server.url('/f'), { from: -10 });
    await follower.until(() => follower.story.includes('waiting'), 'waiting');
    const appender = await V2Peer.append(server.url('/f'), { session, expect: 0 });
    const end = appender.open?.position as number;
    expect(end).toBeGreaterThanOrEqual(position);
    await appender.send(pattern(end, 1000));
    await appender.finish();
    await follower.closed();
    expect(follower.ending).toEqual(['finished', 1000]);
    expect((await readFile(path.join(root, 'f'))).equals(pattern(0, end + 1000))).toBe(true);
  });
});

describe('after a restart', () => {
  test.each([
    ['finished', 1000, 1000],
    ['interrupted', 1001, 1011],
  ])('an append that was %s still is', async (reason, closedWith, closeCode) => {
    const first = await startServer();
    const appender = await V2Peer.append(first.url('/f'), { session });
    await appender.append('all', 3);
    await appender.close(closedWith);
    await first.app.close();
    const server = await startServer({ root: first.root, graceMs: NEVER_MS });
    expect((await followed(server.url('/f'))).ending).toEqual([reason, closeCode]);
    const other = await V2Peer.append(server.url('/f'), { session: stranger });
    await other.finish();
  });

  test('a handshake of an append that has finished, which comes too late, does not undo that', async () => {
    const first = await startServer();
    const appender = await V2Peer.append(first.url('/f'), { session, expect: 0 });
    await appender.send('all');
    await appender.finish();
    await first.app.close();
    const server = await startServer({ root: first.root, graceMs: NEVER_MS });
    const repeated = await V2Peer.append(server.url('/f'), { session, expect: 0 });
    expect(repeated.open?.position).toBe(3);
    repeated.cut();
    await waitFor(async () => (await rememberedIn(server.root)).f?.state === 'finished', 'the end');
    expect((await followed(server.url('/f'))).ending).toEqual(['finished', 1000]);
  });

  test('files of other programs are finished', async () => {
    const root = await temporaryDirectory();
    await writeFile(path.join(root, 'f'), 'theirs');
    const server = await startServer({ root, graceMs: NEVER_MS });
    expect((await followed(server.url('/f'))).ending).toEqual(['finished', 1000]);
  });
});

const RUBBISH: [string, string | Buffer][] = [
  ['empty', ''],
  ['cut in the middle', '{"path":"f","generation":17952306453'],
  ['null', 'null'],
  ['a number', '1'],
  ['an array', '[]'],
  ['foreign JSON', '{"name":"someone","version":2}'],
  ['of another form', '{"path":"f","generation":"1","append":{"start":"0"}}'],
  ['with a status that is none', '{"path":"f","append":{"start":0,"state":"finished","end":4,"status":"3"}}'],
  ['without an append', '{"path":"f","generation":1,"append":null}'],
  ['binary', pattern(0, 1000)],
];

describe('what the server keeps beside the files', () => {
  test.each(RUBBISH)(
    'is taken for an append that was interrupted when it is %s: the server goes on',
    async (_what, rubbish) => {
      const root = await stoppedInAppend();
      expect(await rewriteRecords(root, () => rubbish)).toBe(1);
      const server = await startServer({ root, graceMs: NEVER_MS });
      const follower = await followed(server.url('/f'));
      expect([follower.text, follower.closeCode]).toEqual(['one ', 1011]);
      expect((await rawGet(server.port, '/f', HANDSHAKE)).body).toBe('one ');
      const appender = await V2Peer.append(server.url('/f'), { session: stranger, expect: 4 });
      await appender.send('two');
      await appender.finish();
      expect((await rememberedIn(root)).f?.state).toBe('finished');
      expect(await textOf(server)).toBe('one two');
    },
  );

  test.each([
    ['a nonsensical state', { state: 'unheard-of' }],
    ['a session that is no text', { session: 42 }],
    ['an end before its start', { state: 'finished', start: 4, end: 1 }],
    ['a start behind the end of the file', { start: 4000 }],
    ['a negative start', { start: -1 }],
  ])('does no harm when it has %s', async (_what, change) => {
    const root = await stoppedInAppend();
    await rewriteRecords(root, (text) => {
      const record = JSON.parse(text);
      return JSON.stringify({ ...record, append: { ...record.append, ...change } });
    });
    const server = await startServer({ root, graceMs: 300 });
    const follower = await followed(server.url('/f'));
    expect(follower.text).toBe('one ');
    const enter = () => V2Peer.append(server.url('/f'), { session: stranger, expect: 4 });
    await waitFor(() => enter().then(finishOne, () => false), 'an append');
    expect(await textOf(server)).toBe('one two');
  });

  test('does not keep a file from being followed when it cannot be read', async () => {
    const root = await stoppedInAppend();
    const reading = vi.spyOn(Records.prototype, 'get').mockImplementation(() => {
      throw storageFailure(systemError('EIO'));
    });
    onTestFinished(() => reading.mockRestore());
    const server = await startServer({ root, graceMs: NEVER_MS });
    const follower = await followed(server.url('/f'));
    expect(follower.text).toBe('one ');
    const download = await Download.open(server.url('/f?verb=FOLLOW'));
    expect([download.status, await download.untilEnd(), download.text]).toEqual([200, 'broken', 'one ']);
    expect((await get(server.url('/f'))).body.toString()).toBe('one ');
  });

  test('refuses appends when it cannot be written: 500, nothing is lost, and others are served', async () => {
    const root = await stoppedInAppend();
    const server = await startServer({ root, graceMs: 100 });
    const writing = vi.spyOn(ClassicLevel.prototype, 'batch');
    onTestFinished(() => writing.mockRestore());
    writing.mockRejectedValue(Object.assign(new Error('IO error: made up'), { code: 'LEVEL_IO_ERROR' }));
    const mendLog = breakLog();
    await waitFor(async () => {
      const [status, code] = await refusalOf(server.url('/f'), 'APPEND', { session: stranger });
      if (status === 403) return false;
      expect([status, code]).toEqual([500, 'HFS_STORAGE_ERROR']);
      return true;
    }, 'the refusal');
    expect((await refusalOf(server.url('/f'), 'APPEND', { session }))[0]).toBe(500);
    const follower = await followed(server.url('/f'));
    expect([follower.text, ...follower.ending]).toEqual(['one ', 'interrupted', 1011]);
    writing.mockRestore();
    mendLog();
    expect(await textOf(server)).toBe('one ');
    const appender = await V2Peer.append(server.url('/f'), { session, expect: 0 });
    await appender.finish();
  });

  test('is one record for each resource', async () => {
    const server = await startServer();
    for (let i = 0; i < 10; i++) {
      for (const name of ['/f', '/d/f']) {
        const appender = await V2Peer.append(server.url(name), { session: sessionOf(String(i)) });
        await appender.finish();
      }
    }
    expect(Object.keys(await recordsIn(server.root)).sort()).toEqual(['d/f', 'f']);
  });

  test('is not listed, nor read, followed or appended to, through whatever path', async () => {
    const server = await startServer();
    const appender = await V2Peer.append(server.url('/f'), { session });
    await appender.append('bytes', 5);
    const journal = path.join(server.root, RESERVED, 'redo');
    const [log] = await readdir(journal);
    const file = path.join(journal, log as string);
    expect(await readFile(file, 'latin1')).toContain(session);
    const below = path.relative(server.root, file);
    await link(file, path.join(server.root, RESERVED, 'note'));
    const listing = (await get(server.url('/'), { accept: 'application/json' })).body.toString();
    expect(listing).toContain('"f"');
    expect(listing).not.toContain(RESERVED);
    expect((await get(server.url('/'), { accept: 'text/html' })).body.toString()).not.toContain(RESERVED);
    for (const name of [
      RESERVED,
      `${RESERVED}/`,
      `${RESERVED}/records`,
      `${RESERVED}/redo`,
      `${RESERVED}/note`,
      below,
    ]) {
      for (const spelled of [
        name,
        `d/../${name}`,
        `./${name}`,
        name.toUpperCase(),
        name.replace('.', '%2e'),
      ]) {
        const where = `/${spelled}`;
        const plain = await rawGet(server.port, where);
        expect([where, plain.status, plain.body.includes(session)]).toEqual([
          where,
          expect.any(Number),
          false,
        ]);
        expect([301, 403, 404]).toContain(plain.status);
        expect([403, 404]).toContain((await rawGet(server.port, where, HANDSHAKE)).status);
        const url = server.url(where);
        expect([403, 404]).toContain((await refusalOf(url, 'FOLLOW'))[0]);
        expect([403, 404]).toContain((await refusalOf(url, 'FOLLOW', { wait: 0.1 }))[0]);
        expect((await refusalOf(url, 'APPEND', { session }))[0]).toBe(403);
      }
    }
    await appender.finish();
  });

  test('is for the server’s user alone', async () => {
    const server = await startServer();
    const appender = await V2Peer.append(server.url('/f'), { session });
    await appender.finish();
    for (const directory of [path.join(server.root, RESERVED), storeOf(server.root)]) {
      expect((await stat(directory)).mode & 0o077).toBe(0);
    }
  });
});

async function finishOne(appender: V2Peer): Promise<boolean> {
  await appender.send('two');
  await appender.finish();
  return true;
}

describe('what is remembered of an append', () => {
  test('is known under every name of the file, and goes with it when it is renamed', async () => {
    const server = await startServer({ graceMs: 50 });
    const appender = await V2Peer.append(server.url('/f'), { session });
    await appender.append('one ', 4);
    await link(path.join(server.root, 'f'), path.join(server.root, 'hard'));
    appender.websocket.close(1001);
    await appender.closed();
    await rename(path.join(server.root, 'f'), path.join(server.root, 'renamed'));
    for (const name of ['/hard', '/renamed']) {
      const follower = await followed(server.url(name));
      expect([follower.text, follower.closeCode]).toEqual(['one ', 1011]);
    }
  });

  test('keeps strangers out under every name of the file after a restart', async () => {
    const root = await stoppedInAppend();
    await link(path.join(root, 'f'), path.join(root, 'hard'));
    const server = await startServer({ root, graceMs: NEVER_MS });
    expect(await refusalOf(server.url('/hard'), 'APPEND', { session: stranger })).toEqual(CONFLICT);
  });
});
