import { once } from 'node:events';
import { statSync } from 'node:fs';
import { link, mkdir, readFile, rename, rm, symlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { AppendFile } from '../../../src/storage/stored-file.ts';
import { writeByThreads } from '../../support/core/harness.ts';
import { rememberedIn } from '../../support/core/stored-records.ts';
import { resourceNames } from '../../support/disk/root-files.ts';
import { get } from '../../support/http/request.ts';
import { closePayload, frame, Op } from '../../support/original/frames.ts';
import { NEVER_MS } from '../../support/patience.ts';
import { pattern } from '../../support/pattern.ts';
import { Random } from '../../support/random.ts';
import { startServer, type TestServer } from '../../support/server/server.ts';
import { serverForAll } from '../../support/server/server-for-all.ts';
import { waitFor } from '../../support/wait-for.ts';
import { Peer } from '../../support/websocket/peer.ts';
import { refusalOf, sessionOf, V2Peer } from '../../support/websocket/v2-peer.ts';

const brief = serverForAll({ graceMs: 150 });

const patient = serverForAll({ graceMs: NEVER_MS });

const common = serverForAll();

const MiB = 1024 * 1024;
const CONFLICT = [403, 'HFS_APPEND_CONFLICT'];

const contents = ({ root }: Pick<TestServer, 'root'>, name = 'f') => readFile(path.join(root, name));
const textOf = async (server: Pick<TestServer, 'root'>, name = 'f') =>
  (await contents(server, name)).toString();

/** How the stream at `url` ends for who follows it now. */
async function endOf(url: string): Promise<[string | undefined, number | undefined]> {
  const follower = await V2Peer.follow(url, { lines: 0 });
  await follower.closed();
  return follower.ending;
}

describe('an appender', () => {
  test('is told where it begins, then which bytes are safe, and at its end that all are', async () => {
    const server = await common.guest();
    await writeFile(path.join(server.root, 'f'), 'old ');
    const appender = await V2Peer.append(server.url('/f'));
    expect(appender.open).toEqual({
      type: 'open',
      generation: expect.any(Number),
      position: 4,
      live: true,
      contentType: null,
    });
    await appender.send('new');
    await appender.finish();
    expect(appender.acks.at(-1)).toBe(7);
    expect([appender.closeCode, appender.end]).toEqual([1000, undefined]);
    expect(await textOf(server)).toBe('old new');
    expect(new Set(appender.story)).toEqual(new Set(['open', 'ack']));
  });

  test('that ends at once, without a byte, has finished', async () => {
    const server = await common.guest();
    const appender = await V2Peer.append(server.url('/f'), { session: sessionOf('a') });
    await appender.finish();
    expect(appender.closeCode).toBe(1000);
    expect(await textOf(server)).toBe('');
    expect(await endOf(server.url('/f'))).toEqual(['finished', 1000]);
  });

  test('that waits for each acknowledgement gets each at once', async () => {
    const server = await common.guest();
    const appender = await V2Peer.append(server.url('/f'));
    for (let i = 1; i <= 100; i++) await appender.append('x', i);
    expect(appender.acks.filter((position) => position > 0)).toEqual(
      Array.from({ length: 100 }, (_, i) => i + 1),
    );
    await appender.finish();
  });

  test('that sends as fast as it can gets few acknowledgements, which only grow and end at the size', async () => {
    const server = await common.guest();
    const appender = await V2Peer.append(server.url('/f'));
    const begun = performance.now();
    const size = 32 * MiB;
    for (let sent = 0; sent < size; sent += 64 * 1024) await appender.send(pattern(sent, 64 * 1024));
    await appender.finish();
    const elapsedMs = performance.now() - begun;
    const { acks } = appender;
    expect(acks).toEqual([...acks].sort((a, b) => a - b));
    expect(new Set(acks).size).toBe(acks.length);
    expect(acks.at(-1)).toBe(size);
    expect(acks.length).toBeLessThanOrEqual(size / MiB + elapsedMs / 50 + 10);
    // Bounded the other way round, too: a client keeps what is not acknowledged.
    const gaps = acks.map((position, i) => position - (acks[i - 1] ?? 0));
    expect(Math.max(...gaps)).toBeLessThanOrEqual(8 * MiB);
    expect((await contents(server)).equals(pattern(0, size))).toBe(true);
  });

  test('that sends little again and again while the disk is busy gets no acknowledgement for each write', async () => {
    writeByThreads();
    const server = await startServer();
    const appender = await V2Peer.append(server.url('/f'));
    const { write } = AppendFile.prototype;
    const spy = vi.spyOn(AppendFile.prototype, 'write').mockImplementation(async function slow(
      this: AppendFile,
      ...args
    ) {
      // As long as the next bytes take to come: the client never waits for all that it has sent.
      await Promise.all([once(appender.websocket, 'sent'), write.apply(this, args)]);
    });
    onTestFinished(() => spy.mockRestore());
    const begun = performance.now();
    let sent = 0;
    while (spy.mock.calls.length < 100) {
      await appender.send('x');
      sent++;
      await nextTurn();
      appender.websocket.emit('sent');
    }
    const writes = spy.mock.calls.length;
    spy.mockRestore();
    const finished = appender.finish();
    while (appender.closeCode === undefined) {
      appender.websocket.emit('sent');
      await nextTurn();
    }
    await finished;
    expect(writes).toBeGreaterThan(50);
    expect(appender.acks.length).toBeLessThanOrEqual((performance.now() - begun) / 50 + writes / 5 + 5);
    expect(appender.acked).toBe(sent);
  });

  test('is acknowledged nothing that is not in the file', async () => {
    const server = await common.guest();
    const appender = await V2Peer.append(server.url('/f'));
    const file = path.join(server.root, 'f');
    const looks: [number, number][] = [];
    appender.websocket.on('message', () => looks.push([appender.acked, statSync(file).size]));
    for (let sent = 0; sent < 16 * MiB; sent += 100_000) await appender.send(pattern(sent, 100_000));
    await appender.finish();
    expect(looks.length).toBeGreaterThan(3);
    for (const [acked, size] of looks) expect(acked).toBeLessThanOrEqual(size);
  });

  test('that sends text is refused with 1003, and its append is interrupted at once', async () => {
    const server = await patient.guest();
    const appender = await V2Peer.append(server.url('/f'), { session: sessionOf('a') });
    await appender.append('good', 4);
    const follower = await V2Peer.follow(server.url('/f'));
    await new Promise((resolve) => appender.websocket.send('text', { binary: false }, resolve));
    await Promise.all([appender.closed(), follower.closed()]);
    expect(appender.closeCode).toBe(1003);
    expect(follower.ending).toEqual(['interrupted', 1011]);
    expect(await textOf(server)).toBe('good');
  });

  test('that uses up the quota of a long pattern is told so, as far as a close frame has room', async () => {
    const directory = 'b'.repeat(90);
    const { url, root } = await startServer({ quotas: [{ pattern: `/${directory}/**`, bytes: 1000 }] });
    const appender = await V2Peer.append(url(`/${directory}/f`));
    await appender.append(Buffer.alloc(500), 500);
    await appender.send(Buffer.alloc(2000));
    await appender.closed();
    expect(appender.ending).toEqual(['interrupted', 1011]);
    const detail = `the quota of 1000 bytes for /${directory}/** is used up`;
    expect([appender.end?.detail, appender.closeReason]).toEqual([detail, detail.slice(0, 123)]);
    expect(await contents({ root }, `${directory}/f`)).toHaveLength(500);
    expect(await endOf(url(`/${directory}/f`))).toEqual(['interrupted', 1011]);
  });

  test.each([1001, 4001])('that closes with %i has given up: no grace', async (code) => {
    const server = await patient.guest();
    const appender = await V2Peer.append(server.url('/f'), { session: sessionOf('a') });
    await appender.append('some', 4);
    const follower = await V2Peer.follow(server.url('/f'));
    await appender.close(code);
    await follower.closed();
    expect(follower.ending).toEqual(['interrupted', 1011]);
    expect(follower.story).not.toContain('waiting');
    const other = await V2Peer.append(server.url('/f'), { session: sessionOf('b') });
    await other.finish();
  });

  test.each([
    ['half a code', Buffer.of(3), 1002],
    ['1005, which may not be sent', closePayload(1005), 1002],
    ['a code that there is not', closePayload(2999), 1002],
    ['a reason that is not UTF-8', Buffer.concat([closePayload(1000), Buffer.of(0xff)]), 1007],
  ])('that closes with %s breaks the rules: no grace', async (_what, payload, code) => {
    const server = await patient.guest();
    const appender = await V2Peer.append(server.url('/f'), { session: sessionOf('a') });
    await appender.append('some', 4);
    const follower = await V2Peer.follow(server.url('/f'));
    appender.socket.write(frame(Op.close, payload, { masked: true }));
    await Promise.all([appender.closed(), follower.closed()]);
    expect(appender.closeCode).toBe(code);
    expect(follower.ending).toEqual(['interrupted', 1011]);
    expect(follower.story).not.toContain('waiting');
  });

  test('that is lost without having named a session is not waited for', async () => {
    const server = await patient.guest();
    const appender = await V2Peer.append(server.url('/f'));
    await appender.append('some', 4);
    const follower = await V2Peer.follow(server.url('/f'));
    appender.cut();
    await follower.closed();
    expect(follower.ending).toEqual(['interrupted', 1011]);
    expect(follower.story).not.toContain('waiting');
    const other = await V2Peer.append(server.url('/f'));
    await other.finish();
  });

  test.each([
    ['a FIN between two messages', (peer: V2Peer) => peer.cut()],
    ['a reset', (peer: V2Peer) => peer.reset()],
    ['half a message', (peer: V2Peer) => peer.socket.end(Buffer.of(0x82, 0xff, 0, 0))],
    ['a close frame without a code', (peer: V2Peer) => peer.websocket.close()],
    ['an unknown close code', (peer: V2Peer) => peer.websocket.close(4000)],
    ['a clean close within a message', (peer: V2Peer) => peer.socket.end(Buffer.from(TORN, 'hex'))],
  ])(
    'that is lost with %s is waited for, and ends as interrupted when it does not come',
    async (_how, cut) => {
      const server = await brief.guest();
      const appender = await V2Peer.append(server.url('/f'), { session: sessionOf('a') });
      await appender.append('some', 4);
      const follower = await V2Peer.follow(server.url('/f'));
      await follower.until(() => follower.text === 'some', 'the bytes');
      const begun = performance.now();
      cut(appender);
      await follower.closed();
      expect(performance.now() - begun).toBeGreaterThanOrEqual(140);
      expect(follower.story).toEqual(['open', 'bytes', 'waiting', 'end']);
      expect(follower.ending).toEqual(['interrupted', 1011]);
      expect(await endOf(server.url('/f'))).toEqual(['interrupted', 1011]);
    },
  );

  test('with no time of grace ends with its connection', async () => {
    const server = await startServer({ graceMs: 0 });
    const appender = await V2Peer.append(server.url('/f'), { session: sessionOf('a') });
    const follower = await V2Peer.follow(server.url('/f'));
    appender.cut();
    await follower.closed();
    expect(follower.story).toEqual(['open', 'end']);
    expect(follower.ending).toEqual(['interrupted', 1011]);
  });
});

/** An empty fragment that is not the last one, and a close frame with 1000; both masked with zeros. */
const TORN = '028000000000' + '8882' + '00000000' + '03e8';

describe('a session', () => {
  test('that was lost is its own alone as long as the time of grace lasts', async () => {
    const server = await patient.guest();
    const appender = await V2Peer.append(server.url('/f'), { session: sessionOf('a') });
    const follower = await V2Peer.follow(server.url('/f'));
    appender.cut();
    await follower.until(() => follower.story.includes('waiting'), 'waiting');
    expect(await refusalOf(server.url('/f'), 'APPEND', { session: sessionOf('b') })).toEqual(CONFLICT);
    expect(await refusalOf(server.url('/f'), 'APPEND')).toEqual(CONFLICT);
    await expect(Peer.connect(server.url('/f'), 'APPEND')).rejects.toThrow('403');
  });

  test('that was lost is in nobody’s way when the time of grace is over', async () => {
    const server = await brief.guest();
    const appender = await V2Peer.append(server.url('/f'), { session: sessionOf('a') });
    await appender.append('one ', 4);
    const follower = await V2Peer.follow(server.url('/f'));
    appender.cut();
    await follower.closed();
    const other = await V2Peer.append(server.url('/f'), { session: sessionOf('b') });
    expect(other.open?.position).toBe(4);
    await other.send('two');
    await other.finish();
    expect(await textOf(server)).toBe('one two');
  });

  test('goes on after its grace as long as nobody has written, and not after that', async () => {
    const server = await brief.guest();
    const [a, b] = [sessionOf('a'), sessionOf('b')];
    const appender = await V2Peer.append(server.url('/f'), { session: a });
    await appender.append('one ', 4);
    const follower = await V2Peer.follow(server.url('/f'));
    appender.cut();
    await follower.closed();
    const back = await V2Peer.append(server.url('/f'), { session: a, expect: 0 });
    expect(back.open?.position).toBe(4);
    await back.append('two ', 8);
    await back.close(1001);
    const other = await V2Peer.append(server.url('/f'), { session: b, expect: 8 });
    await other.send('other');
    await other.finish();
    expect(await refusalOf(server.url('/f'), 'APPEND', { session: a, expect: 0 })).toEqual([
      409,
      'HFS_POSITION_MISMATCH',
    ]);
    expect(await textOf(server)).toBe('one two other');
    expect(await endOf(server.url('/f'))).toEqual(['finished', 1000]);
  });

  test('is refused to others while its client is connected', async () => {
    const server = await common.guest();
    const appender = await V2Peer.append(server.url('/f'), { session: sessionOf('a') });
    expect(await refusalOf(server.url('/f'), 'APPEND', { session: sessionOf('b') })).toEqual(CONFLICT);
    expect(await refusalOf(server.url('/f'), 'APPEND')).toEqual(CONFLICT);
    await appender.append('mine', 4);
    await appender.finish();
    expect(await textOf(server)).toBe('mine');
  });

  test('without a name is nobody else’s, not even that of another one without a name', async () => {
    const server = await common.guest();
    const appender = await V2Peer.append(server.url('/f'));
    expect(await refusalOf(server.url('/f'), 'APPEND')).toEqual(CONFLICT);
    expect(await refusalOf(server.url('/f'), 'APPEND', { expect: 0 })).toEqual(CONFLICT);
    await appender.finish();
  });

  test('is taken over at once from a socket that is only half dead, whose later bytes are dropped', async () => {
    const server = await patient.guest();
    const session = sessionOf('a');
    const old = await V2Peer.append(server.url('/f'), { session });
    await old.append('one ', 4);
    const follower = await V2Peer.follow(server.url('/f'));
    await follower.until(() => follower.text === 'one ', 'the bytes');
    old.freeze();
    const next = await V2Peer.append(server.url('/f'), { session, expect: 0 });
    expect(next.open?.position).toBe(4);
    await old.send('late').catch(() => undefined);
    old.websocket.close(1000);
    await next.append('two', 7);
    old.websocket.resume();
    await old.closed();
    expect(old.closeCode).toBe(1006);
    expect(follower.closeCode).toBeUndefined();
    await next.finish();
    await follower.closed();
    expect(follower.text).toBe('one two');
    expect(follower.story).toEqual(['open', 'bytes', 'end']);
    expect(await textOf(server)).toBe('one two');
  });

  test('that is taken over twenty times under load loses nothing and repeats nothing', async () => {
    const server = await patient.guest();
    const random = Random.fromEnvironment();
    const session = sessionOf('a');
    const follower = await V2Peer.follow(server.url('/f'), { wait: 60 });
    const size = 8 * MiB;
    for (let round = 0; ; round++) {
      const peer = await V2Peer.append(server.url('/f'), { session, expect: 0 });
      const from = peer.open?.position as number;
      // What was acknowledged to earlier connections is never asked for again.
      let sent = from;
      const isLast = round === 20;
      const until = isLast ? size : Math.min(size, from + random.integer(1, 700_000));
      const sends: Promise<void>[] = [];
      while (sent < until) {
        const length = Math.min(size - sent, random.logInteger(1, 300_000));
        sends.push(peer.send(pattern(sent, length)));
        sent += length;
      }
      if (isLast) {
        await peer.finish();
        expect(peer.acked).toBe(size);
        break;
      }
      for (const sending of sends) sending.catch(() => undefined);
      if (random.chance(0.5)) await Promise.allSettled(sends);
      if (random.chance(0.3)) peer.cut();
      else if (random.chance(0.5)) peer.freeze();
    }
    await follower.closed();
    expect([random.seed, (await contents(server)).equals(pattern(0, size))]).toEqual([random.seed, true]);
    expect(follower.bytes.equals(pattern(0, size))).toBe(true);
    expect(follower.ending).toEqual(['finished', 1000]);
  });

  test('is one, and held by the last, when its client comes ten times at once', async () => {
    const server = await patient.guest();
    const session = sessionOf('a');
    const peers = await Promise.all(
      Array.from({ length: 10 }, () =>
        V2Peer.connect(server.url('/f'), 'APPEND', { query: { session } }).catch(() => undefined),
      ),
    );
    const open = () => peers.filter((peer) => peer !== undefined && peer.closeCode === undefined);
    await waitFor(() => open().length === 1, 'one to be left');
    const [holder] = open();
    await holder?.append('mine', 4);
    await holder?.finish();
    expect(await textOf(server)).toBe('mine');
    expect(await endOf(server.url('/f'))).toEqual(['finished', 1000]);
  });

  test('is found through every name of its file', async () => {
    const server = await startServer({ graceMs: NEVER_MS });
    await writeFile(path.join(server.root, 'f'), 'old ');
    await symlink('f', path.join(server.root, 'symbolic'));
    await link(path.join(server.root, 'f'), path.join(server.root, 'hard'));
    const session = sessionOf('a');
    const appender = await V2Peer.append(server.url('/f'), { session });
    for (const name of ['/symbolic', '/hard', '/f', '/./f', '/d/../f']) {
      expect(await refusalOf(server.url(name), 'APPEND', { session: sessionOf('b') })).toEqual(CONFLICT);
    }
    await appender.append('one ', 8);
    const next = await V2Peer.append(server.url('/symbolic'), { session, expect: 4 });
    await next.append('two ', 12);
    const last = await V2Peer.append(server.url('/hard'), { session, expect: 4 });
    await last.send('three');
    await last.finish();
    expect(await textOf(server)).toBe('old one two three');
  });

  test('whose client counts its requests is not given to one that is repeated, nor is it cut by it', async () => {
    const server = await common.guest();
    const session = sessionOf('a');
    const first = await V2Peer.append(server.url('/f'), { session, attempt: 0 });
    await first.append('one ', 4);
    const second = await V2Peer.append(server.url('/f'), { session, attempt: 1, expect: 0 });
    for (const attempt of [0, 1]) {
      expect(await refusalOf(server.url('/f'), 'APPEND', { session, attempt })).toEqual([
        425,
        'HFS_REPEATED_REQUEST',
      ]);
    }
    await second.append('two', 7);
    await second.finish();
    expect(await refusalOf(server.url('/f'), 'APPEND', { session, attempt: 1 })).toEqual([
      425,
      'HFS_REPEATED_REQUEST',
    ]);
    expect(await textOf(server)).toBe('one two');
    expect(await endOf(server.url('/f'))).toEqual(['finished', 1000]);
  });

  test('whose end is asked for again, by a handshake that comes too late, stays finished', async () => {
    const server = await patient.guest();
    const session = sessionOf('a');
    const appender = await V2Peer.append(server.url('/f'), { session, expect: 0 });
    await appender.send('all');
    await appender.finish();
    const repeated = await V2Peer.append(server.url('/f'), { session, expect: 0 });
    expect(repeated.open?.position).toBe(3);
    const follower = await V2Peer.follow(server.url('/f'));
    await follower.until(() => follower.text === 'all', 'the bytes');
    repeated.cut();
    await follower.closed();
    // At once: nobody is waited for.
    expect(follower.story).toEqual(['open', 'bytes', 'end']);
    expect(follower.ending).toEqual(['finished', 1000]);
    expect(await endOf(server.url('/f'))).toEqual(['finished', 1000]);
  });

  test('that finished may be asked again whether it has: the answer is the same', async () => {
    const server = await startServer();
    const session = sessionOf('a');
    const appender = await V2Peer.append(server.url('/f'), { session, expect: 0 });
    await appender.send('all');
    // As if the answer to the close was lost.
    appender.freeze();
    appender.websocket.close(1000);
    await waitFor(
      async () => (await rememberedIn(server.root)).f?.state === 'finished',
      'the session to be over',
    );
    const again = await V2Peer.append(server.url('/f'), { session, expect: 0 });
    expect([again.open?.position, again.closeCode]).toEqual([3, undefined]);
    await again.finish();
    expect(again.closeCode).toBe(1000);
    expect(await endOf(server.url('/f'))).toEqual(['finished', 1000]);
    expect(await textOf(server)).toBe('all');
  });

  test('of another client that was lost is an append that was interrupted, though it brought nothing', async () => {
    const server = await brief.guest();
    const first = await V2Peer.append(server.url('/f'), { session: sessionOf('a') });
    await first.send('all');
    await first.finish();
    const late = await V2Peer.append(server.url('/f'), { session: sessionOf('b') });
    const follower = await V2Peer.follow(server.url('/f'));
    late.cut();
    await follower.closed();
    expect(await endOf(server.url('/f'))).toEqual(['interrupted', 1011]);
  });
});

describe('an append is refused', () => {
  test.each([
    '',
    'short',
    'x'.repeat(15),
    'x'.repeat(129),
    `${'x'.repeat(16)} `,
    'ä'.repeat(16),
    `${'x'.repeat(16)}/`,
  ])('with 400 for the malformed session %j, and nothing is made', async (session) => {
    const server = await common.guest();
    expect(await refusalOf(server.url('/f'), 'APPEND', { session })).toEqual([400, 'HFS_INVALID_REQUEST']);
    expect(await resourceNames(server.root)).toEqual([]);
  });

  test.each(['x'.repeat(16), 'x'.repeat(128), 'AZaz09-_AZaz09-_'])(
    'not for the session %s',
    async (session) => {
      const server = await common.guest();
      const appender = await V2Peer.append(server.url('/f'), { session });
      await appender.finish();
    },
  );

  test.each(['', '-1', '1.5', 'x', '1e3', '9007199254740993'])(
    'with 400 for the malformed number %j, and nothing is made',
    async (value) => {
      const server = await common.guest();
      for (const name of ['expect', 'generation']) {
        expect(await refusalOf(server.url('/f'), 'APPEND', { [name]: value })).toEqual([
          400,
          'HFS_INVALID_REQUEST',
        ]);
      }
      expect(await resourceNames(server.root)).toEqual([]);
    },
  );

  test('with 409 when the file has another size than is expected, and is possible after that', async () => {
    const server = await common.guest();
    await writeFile(path.join(server.root, 'f'), 'four');
    for (const expected of [0, 3, 5]) {
      expect(await refusalOf(server.url('/f'), 'APPEND', { expect: expected })).toEqual([
        409,
        'HFS_POSITION_MISMATCH',
      ]);
    }
    const appender = await V2Peer.append(server.url('/f'), { expect: 4 });
    await appender.finish();
    expect(await textOf(server)).toBe('four');
  });

  test('with 409 for a size that a missing file cannot have, and no file is made', async () => {
    const server = await common.guest();
    expect(await refusalOf(server.url('/f'), 'APPEND', { expect: 5 })).toEqual([
      409,
      'HFS_POSITION_MISMATCH',
    ]);
    expect(await refusalOf(server.url('/d/f'), 'APPEND', { expect: 5 })).toEqual([
      409,
      'HFS_POSITION_MISMATCH',
    ]);
    expect(await resourceNames(server.root)).toEqual([]);
    expect((await get(server.url('/f'))).status).toBe(404);
  });

  test('with 410 for the generation of a file that is gone or was made anew, and no file is made', async () => {
    const server = await common.guest();
    const file = path.join(server.root, 'f');
    const first = await V2Peer.append(server.url('/f'));
    const generation = first.open?.generation as number;
    await first.append('old', 3);
    await first.finish();
    await rm(file);
    expect(await refusalOf(server.url('/f'), 'APPEND', { generation })).toEqual([410, 'HFS_RESOURCE_GONE']);
    expect(await resourceNames(server.root)).toEqual([]);
    await writeFile(`${file}2`, 'new');
    await rename(`${file}2`, file);
    expect(await refusalOf(server.url('/f'), 'APPEND', { generation })).toEqual([410, 'HFS_RESOURCE_GONE']);
    const second = await V2Peer.append(server.url('/f'));
    expect(second.open?.generation).not.toBe(generation);
    await second.finish();
    const third = await V2Peer.append(server.url('/f'), { generation: second.open?.generation as number });
    await third.finish();
    expect(await textOf(server)).toBe('new');
  });

  test('with 409 for a directory', async () => {
    const server = await startServer();
    await mkdir(path.join(server.root, 'd'));
    for (const name of ['/d', '/d/', '/']) {
      const query = { session: sessionOf('a') };
      expect(await refusalOf(server.url(name), 'APPEND', query)).toEqual([409, 'HFS_PATH_CONFLICT']);
    }
  });
});
