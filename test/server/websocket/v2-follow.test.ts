import { once } from 'node:events';
import { appendFile, copyFile, mkdir, rename, truncate, utimes, writeFile } from 'node:fs/promises';
import path from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { HANDSHAKE, openSocket, writeHead } from '../../support/http/raw.ts';
import { get, head } from '../../support/http/request.ts';
import { NEVER_MS } from '../../support/patience.ts';
import { pattern } from '../../support/pattern.ts';
import { startServer, type TestServer, temporaryDirectory } from '../../support/server/server.ts';
import { serverForAll } from '../../support/server/server-for-all.ts';
import { waitFor } from '../../support/wait-for.ts';
import type { Query } from '../../support/websocket/peer.ts';
import { refusalOf, sessionOf, V2, V2Peer } from '../../support/websocket/v2-peer.ts';

const common = serverForAll();

const BLOCK_BYTES = 64 * 1024;

/** A server with the file `/f`. */
async function serve(content: string | Buffer = 'one\ntwo\nthree\n'): Promise<TestServer> {
  const server = await common.guest();
  await writeFile(path.join(server.root, 'f'), content);
  return server;
}

/** What a follower of something that nobody appends to gets, until it is closed. */
async function followed(url: string, query: Query = {}): Promise<V2Peer> {
  const peer = await V2Peer.follow(url, query);
  await peer.closed();
  return peer;
}

/** What `tail -n` would print. */
function lastLines(content: string, lines: number): string {
  if (lines === 0) return '';
  const pieces = content.split('\n');
  // What is behind the last newline is a line only if there is something.
  const isWhole = pieces.at(-1) === '';
  return pieces.slice(-lines - (isWhole ? 1 : 0)).join('\n');
}

describe('a follower of a file that nobody appends to', () => {
  test('gets the first message, the bytes, the end and the close, in this order', async () => {
    const { url } = await serve();
    const peer = await followed(url('/f'));
    expect(peer.story).toEqual(['open', 'bytes', 'end']);
    expect(peer.open).toEqual({
      type: 'open',
      generation: expect.any(Number),
      position: 0,
      live: false,
      size: 14,
    });
    expect(peer.text).toBe('one\ntwo\nthree\n');
    expect(peer.end).toEqual({ type: 'end', position: 14, reason: 'finished', stored: true });
    expect(peer.closeCode).toBe(1000);
  });

  test('gets no bytes of an empty one', async () => {
    const { url } = await serve('');
    const peer = await followed(url('/f'));
    expect(peer.story).toEqual(['open', 'end']);
    expect([peer.open?.position, peer.end?.position]).toEqual([0, 0]);
    expect(peer.ending).toEqual(['finished', 1000]);
  });

  test('gets bytes that are no text, in binary messages of at most a mebibyte', async () => {
    const content = pattern(0, 5_000_000);
    const { url } = await serve(content);
    const peer = await followed(url('/f'));
    expect(peer.bytes.equals(content)).toBe(true);
    expect(Math.max(...peer.payloads.map(({ length }) => length))).toBeLessThanOrEqual(1024 * 1024);
    expect(peer.oddTexts).toEqual([]);
  });

  test('gets bytes that look like a control message as bytes', async () => {
    const content = '{"type":"end","position":0,"reason":"finished"}';
    const { url } = await serve(content);
    const peer = await followed(url('/f'));
    expect(peer.text).toBe(content);
    expect(peer.end?.position).toBe(content.length);
  });

  test.each<[Query, number, string]>([
    [{ from: 0 }, 0, 'one\ntwo\nthree\n'],
    [{ from: 4 }, 4, 'two\nthree\n'],
    [{ from: 13 }, 13, '\n'],
    [{ from: 14 }, 14, ''],
    [{ from: '007' }, 7, '\nthree\n'],
    [{ from: -6 }, 8, 'three\n'],
    [{ from: -14 }, 0, 'one\ntwo\nthree\n'],
    [{ from: -15 }, 0, 'one\ntwo\nthree\n'],
    [{ from: '-0' }, 0, 'one\ntwo\nthree\n'],
    [{ from: -Number.MAX_SAFE_INTEGER }, 0, 'one\ntwo\nthree\n'],
    [{ lines: 0 }, 14, ''],
    [{ lines: 1 }, 8, 'three\n'],
    [{ lines: 2 }, 4, 'two\nthree\n'],
    [{ lines: 3 }, 0, 'one\ntwo\nthree\n'],
    [{ lines: 4 }, 0, 'one\ntwo\nthree\n'],
    [{ lines: Number.MAX_SAFE_INTEGER }, 0, 'one\ntwo\nthree\n'],
  ])('begins where %j asks', async (query, position, text) => {
    const { url } = await serve();
    const peer = await followed(url('/f'), query);
    expect([peer.open?.position, peer.text, peer.end?.position]).toEqual([position, text, 14]);
  });

  test.each<[Query, number, string]>([
    [{ from: 15 }, 416, 'HFS_RANGE_NOT_SATISFIABLE'],
    [{ from: Number.MAX_SAFE_INTEGER }, 416, 'HFS_RANGE_NOT_SATISFIABLE'],
    [{ from: 0, lines: 1 }, 400, 'HFS_INVALID_REQUEST'],
    ...['', 'x', '1.5', '1e3', '0x1', ' 1', '+1', '--1', '1-', 'NaN', 'Infinity', '9007199254740993'].flatMap(
      (value): [Query, number, string][] => [
        [{ from: value }, 400, 'HFS_INVALID_REQUEST'],
        [{ lines: value }, 400, 'HFS_INVALID_REQUEST'],
        [{ generation: value }, 400, 'HFS_INVALID_REQUEST'],
      ],
    ),
    ...['', 'x', '-1', '-0.1', '0x1', ' 1', 'NaN', 'Infinity', '86401'].map(
      (wait): [Query, number, string] => [{ wait }, 400, 'HFS_INVALID_REQUEST'],
    ),
    [{ lines: -1 }, 400, 'HFS_INVALID_REQUEST'],
    [{ generation: -1 }, 400, 'HFS_INVALID_REQUEST'],
    [{ generation: 1 }, 410, 'HFS_RESOURCE_GONE'],
  ])('is refused when it asks for %j, before the upgrade', async (query, status, code) => {
    const { url } = await serve();
    expect(await refusalOf(url('/f'), 'FOLLOW', query)).toEqual([status, code]);
  });

  test('is told that nothing is there, or that it is gone, or that it is a directory', async () => {
    const { url, root } = await serve();
    await mkdir(path.join(root, 'd'));
    const { open } = await followed(url('/f'));
    expect(await refusalOf(url('/missing'), 'FOLLOW')).toEqual([404, 'HFS_RESOURCE_NOT_FOUND']);
    expect(await refusalOf(url('/missing'), 'FOLLOW', { generation: 1 })).toEqual([410, 'HFS_RESOURCE_GONE']);
    expect(await refusalOf(url('/missing'), 'FOLLOW', { generation: 1, wait: 5 })).toEqual([
      410,
      'HFS_RESOURCE_GONE',
    ]);
    expect(await refusalOf(url('/d'), 'FOLLOW')).toEqual([409, 'HFS_PATH_CONFLICT']);
    expect(await refusalOf(url('/'), 'FOLLOW')).toEqual([409, 'HFS_PATH_CONFLICT']);
    expect(await refusalOf(url('/d'), 'FOLLOW', { wait: 5 })).toEqual([409, 'HFS_PATH_CONFLICT']);
    const again = await followed(url('/f'), { generation: open?.generation as number });
    expect(again.text).toBe('one\ntwo\nthree\n');
  });

  test('is told how much of it is known to be lost, when it comes back to a file that was cut', async () => {
    const { url, root } = await serve();
    const generation = (await followed(url('/f'), { hold: 60 })).open?.generation as number;
    await appendFile(path.join(root, 'f'), 'four\n');
    // Somebody has seen it by now.
    await followed(url('/f'), { hold: 60, generation, from: 14 });
    await truncate(path.join(root, 'f'), 1);
    const back = await followed(url('/f'), { hold: 60, generation, from: 14 });
    expect(back.end).toEqual({ type: 'end', position: 14, reason: 'truncated', lost: 5 });
  });

  test('is refused its generation once the file was deleted and made anew, and not when it grew', async () => {
    const { url, root } = await serve();
    const generation = (await followed(url('/f'))).open?.generation as number;
    await appendFile(path.join(root, 'f'), 'four\n');
    expect((await followed(url('/f'), { generation, from: 14 })).text).toBe('four\n');
    await writeFile(path.join(root, 'other'), 'other');
    await copyFile(path.join(root, 'other'), path.join(root, 'new'));
    await rename(path.join(root, 'new'), path.join(root, 'f'));
    expect((await refusalOf(url('/f'), 'FOLLOW', { generation }))[0]).toBe(410);
  });

  test('which asks for it to be held gets the rest of a file that was renamed, and is told what took its place', async () => {
    const { url, root } = await serve();
    const { generation } = (await followed(url('/f'), { hold: 100 })).open as { generation: number };
    await rename(path.join(root, 'f'), path.join(root, 'f.1'));
    await appendFile(path.join(root, 'f.1'), 'four\n');
    const rest = await followed(url('/f'), { generation, from: 14, hold: 100 });
    expect([rest.text, rest.end]).toEqual(['four\n', { type: 'end', position: 19, reason: 'deleted' }]);
    await writeFile(path.join(root, 'f'), 'new');
    // Nobody has written to the old one for a while.
    await utimes(path.join(root, 'f.1'), 1, 1);
    const { end } = await followed(url('/f'), { generation, from: 19, hold: 100 });
    const next = await followed(url('/f'));
    expect(end).toEqual({ type: 'end', position: 19, reason: 'deleted', next: next.open?.generation });
    expect(next.text).toBe('new');
  });

  test.each(['-1', 'long', '301'])('is refused a time to hold that is none: %s', async (hold) => {
    const { url } = await serve();
    expect(await refusalOf(url('/f'), 'FOLLOW', { hold })).toEqual([400, 'HFS_INVALID_REQUEST']);
  });

  test('gets the last lines that tail would print, whatever the lines are', async () => {
    const { url, root } = await serve();
    const file = path.join(root, 'f');
    const line = fc.oneof(
      { weight: 4, arbitrary: fc.nat(20) },
      { weight: 1, arbitrary: fc.nat(3 * BLOCK_BYTES) },
      { weight: 2, arbitrary: fc.integer({ min: BLOCK_BYTES - 3, max: BLOCK_BYTES + 3 }) },
    );
    const cases = fc.record({
      lengths: fc.array(line, { maxLength: 12 }),
      isWhole: fc.boolean(),
      lines: fc.nat(14),
    });
    await fc.assert(
      fc.asyncProperty(cases, async ({ lengths, isWhole, lines }) => {
        const content =
          lengths.map((length, i) => String.fromCharCode(97 + i).repeat(length)).join('\n') +
          (isWhole ? '\n' : '');
        await writeFile(file, content);
        const { text, open } = await followed(url('/f'), { lines });
        const expected = lastLines(content, lines);
        expect(open?.position).toBe(content.length - expected.length);
        expect(text === expected).toBe(true);
      }),
      {
        numRuns: 60,
        examples: [
          [{ lengths: [], isWhole: false, lines: 1 }],
          [{ lengths: [], isWhole: true, lines: 1 }],
          [{ lengths: [0, 0, 0], isWhole: true, lines: 2 }],
          [{ lengths: [BLOCK_BYTES - 1], isWhole: true, lines: 1 }],
          [{ lengths: [5, BLOCK_BYTES - 1], isWhole: true, lines: 1 }],
          [{ lengths: [5, BLOCK_BYTES], isWhole: true, lines: 1 }],
          [{ lengths: [5, BLOCK_BYTES], isWhole: false, lines: 1 }],
          [{ lengths: [5, BLOCK_BYTES - 1, BLOCK_BYTES - 1], isWhole: true, lines: 2 }],
          [{ lengths: [0, 2 * BLOCK_BYTES], isWhole: false, lines: 1 }],
        ],
      },
    );
  });
});

describe('a follower of a live append', () => {
  test('gets what is there, then what comes, then the end with its reason', async () => {
    const { url } = await serve('old ');
    const appender = await V2Peer.append(url('/f'));
    const follower = await V2Peer.follow(url('/f'));
    await follower.until(() => follower.text === 'old ', 'what is there');
    expect(follower.open).toMatchObject({ position: 0, live: true });
    await appender.send('new');
    await follower.until(() => follower.text === 'old new', 'what comes');
    expect(follower.closeCode).toBeUndefined();
    await appender.finish();
    await follower.closed();
    expect(follower.end).toEqual({ type: 'end', position: 7, reason: 'finished' });
    expect(follower.story).toEqual(['open', 'bytes', 'end']);
    expect(follower.ending).toEqual(['finished', 1000]);
  });

  test('is told of a legacy appender that was lost that the stream is interrupted, and so are those who come later', async () => {
    const { url } = await serve('');
    const appender = await V2Peer.connect(url('/f'), 'APPEND', { protocols: [] });
    await appender.send('torn');
    const follower = await V2Peer.follow(url('/f'));
    await follower.until(() => follower.text === 'torn', 'the bytes');
    appender.reset();
    await follower.closed();
    expect(follower.ending).toEqual(['interrupted', 1011]);
    expect(follower.end?.position).toBe(4);
    expect(follower.story).not.toContain('waiting');
    const later = await followed(url('/f'));
    expect([later.text, later.open?.live, ...later.ending]).toEqual(['torn', false, 'interrupted', 1011]);
  });

  test.each<[Query, number, string]>([
    [{ from: 4 }, 4, 'two\nlive'],
    [{ from: 8 }, 8, 'live'],
    [{ from: -4 }, 4, 'two\nlive'],
    [{ lines: 1 }, 4, 'two\nlive'],
    [{ lines: 0 }, 8, 'live'],
  ])('begins where %j asks', async (query, position, text) => {
    const { url } = await serve();
    const appender = await V2Peer.append(url('/g'));
    await appender.append('one\ntwo\n', 8);
    const follower = await V2Peer.follow(url('/g'), query);
    await follower.until(() => follower.open !== undefined, 'the first message');
    await appender.send('live');
    await appender.finish();
    await follower.closed();
    expect([follower.open?.position, follower.text]).toEqual([position, text]);
    expect(follower.end?.position).toBe(12);
  });

  test('may not begin beyond what is committed', async () => {
    const { url } = await serve();
    const appender = await V2Peer.append(url('/g'));
    await appender.append('one', 3);
    expect(await refusalOf(url('/g'), 'FOLLOW', { from: 4 })).toEqual([416, 'HFS_RANGE_NOT_SATISFIABLE']);
    expect(await refusalOf(url('/g'), 'FOLLOW', { generation: 1 })).toEqual([410, 'HFS_RESOURCE_GONE']);
    await appender.finish();
  });

  test('is told when the connection of the appender is cut and when it is back, and so is one that comes in between', async () => {
    const { url } = await startServer({ graceMs: NEVER_MS });
    const appender = await V2Peer.append(url('/g'), { session: sessionOf('a') });
    await appender.append('one ', 4);
    const follower = await V2Peer.follow(url('/g'));
    await follower.until(() => follower.text === 'one ', 'the bytes');
    appender.cut();
    await follower.until(() => follower.story.at(-1) === 'waiting', 'waiting');
    const late = await V2Peer.follow(url('/g'));
    await late.until(() => late.story.join() === 'open,waiting,bytes', 'the bytes while it waits');
    expect(late.open?.live).toBe(true);
    const back = await V2Peer.append(url('/g'), { session: sessionOf('a') });
    for (const peer of [follower, late]) await peer.until(() => peer.story.at(-1) === 'live', 'live');
    await back.send('two');
    await back.finish();
    for (const peer of [follower, late]) {
      await peer.closed();
      expect(peer.text).toBe('one two');
      expect(peer.ending).toEqual(['finished', 1000]);
    }
    expect(follower.story).toEqual(['open', 'bytes', 'waiting', 'live', 'bytes', 'end']);
  });

  test('that never reads holds nobody back and gets its whole tail', async () => {
    const { url } = await serve('');
    const content = pattern(0, 24 * 1024 * 1024);
    const appender = await V2Peer.append(url('/f'));
    const [slow, keen] = [await V2Peer.follow(url('/f')), await V2Peer.follow(url('/f'))];
    slow.freeze();
    await appender.send(content);
    await appender.finish();
    await keen.closed();
    expect(keen.bytes.equals(content)).toBe(true);
    expect(slow.byteCount).toBeLessThan(content.length);
    slow.websocket.resume();
    await slow.closed();
    expect(slow.bytes.equals(content)).toBe(true);
    expect(slow.ending).toEqual(['finished', 1000]);
  });
});

test.each([
  ['a follower', [`Sec-WebSocket-Protocol: ${V2}`]],
  ['a legacy follower', []],
])('%s that breaks the rules is sent nothing behind the close frame, and is cut', async (_, headers) => {
  const server = await startServer();
  const appender = await V2Peer.append(server.url('/f'));
  const socket = await openSocket(server.port);
  const came: Buffer[] = [];
  socket.on('data', (bytes: Buffer) => came.push(bytes));
  writeHead(socket, 'GET /f?verb=FOLLOW HTTP/1.1', [...HANDSHAKE, ...headers]);
  await appender.append('some', 4);
  await waitFor(() => Buffer.concat(came).includes('some'), 'it to follow');
  // An opcode that there is not.
  socket.write(Buffer.of(0x83, 0x81, 1, 2, 3, 4, 5));
  const isCut = once(socket, 'close');
  const appendSome = async (from: number) => {
    for (let position = from + 4; position <= from + 80; position += 4)
      await appender.append('more', position);
  };
  await appendSome(4);
  await waitFor(() => Buffer.concat(came).includes(0x88), 'the close frame');
  await appendSome(84);
  await isCut;
  const bytes = Buffer.concat(came);
  const close = bytes.indexOf(0x88);
  expect(bytes.readUInt16BE(close + 2)).toBe(1002);
  expect(bytes.length).toBe(close + 2 + bytes.readUInt8(close + 1));
});

describe('a follower that waits for its resource', () => {
  test('is told so, and gets everything of an append that begins later, at once', async () => {
    const { url } = await common.guest();
    const followers = await Promise.all([1, 2, 3].map(() => V2Peer.follow(url('/d/later'), { wait: 60 })));
    for (const peer of followers) await peer.until(() => peer.story.join() === 'waiting', 'waiting');
    const appender = await V2Peer.append(url('/d/later'));
    for (const peer of followers) await peer.until(() => peer.open !== undefined, 'the first message');
    await appender.send('here');
    await appender.finish();
    for (const peer of followers) {
      await peer.closed();
      expect(peer.story).toEqual(['waiting', 'open', 'bytes', 'end']);
      expect(peer.open).toMatchObject({ position: 0, live: true });
      expect([peer.text, ...peer.ending]).toEqual(['here', 'finished', 1000]);
    }
  });

  test('gets a file that another program puts there', async () => {
    const { url, root } = await common.guest();
    const peer = await V2Peer.follow(url('/copied'), { wait: 60, lines: 1 });
    await peer.until(() => peer.story.join() === 'waiting', 'waiting');
    const source = path.join(await temporaryDirectory(), 'source');
    await writeFile(source, 'one\ntwo\n');
    await copyFile(source, path.join(root, 'copied'));
    await peer.closed();
    expect([peer.text, peer.open?.position, ...peer.ending]).toEqual(['two\n', 4, 'finished', 1000]);
  });

  test('is told that it did not appear, and not before the time is over', async () => {
    const { url } = await common.guest();
    const begun = performance.now();
    const peer = await V2Peer.follow(url('/never'), { wait: 0.3 });
    await peer.closed();
    expect(performance.now() - begun).toBeGreaterThanOrEqual(300);
    expect(peer.story).toEqual(['waiting', 'end']);
    expect(peer.end).toEqual({
      type: 'end',
      position: 0,
      reason: 'missing',
      detail: expect.stringMatching(/./),
    });
    expect(peer.closeCode).toBe(1011);
  });

  test('waits on for a file while a directory is in its place', async () => {
    const { url, root } = await common.guest();
    const peer = await V2Peer.follow(url('/d'), { wait: 0.7 });
    await mkdir(path.join(root, 'd'));
    await peer.closed();
    expect(peer.ending).toEqual(['missing', 1011]);
  });

  test('is not made wait for what is there, and not with a wait of nothing', async () => {
    const { url } = await serve();
    expect((await followed(url('/f'), { wait: 60 })).story).toEqual(['open', 'bytes', 'end']);
    expect((await refusalOf(url('/missing'), 'FOLLOW', { wait: 0 }))[0]).toBe(404);
  });

  test('may leave meanwhile, and others still get it', async () => {
    const { url } = await common.guest();
    const [leaving, staying] = [
      await V2Peer.follow(url('/later'), { wait: 60 }),
      await V2Peer.follow(url('/later'), { wait: 60 }),
    ];
    leaving.cut();
    await leaving.closed();
    const appender = await V2Peer.append(url('/later'));
    await appender.send('here');
    await appender.finish();
    await staying.closed();
    expect(staying.text).toBe('here');
  });

  test('sees nothing of an append that was refused', async () => {
    const { url } = await common.guest();
    const peer = await V2Peer.follow(url('/later'), { wait: 60 });
    const witness = await V2Peer.follow(url('/never'), { wait: 0.7 });
    await peer.until(() => peer.story.join() === 'waiting', 'waiting');
    expect((await refusalOf(url('/later'), 'APPEND', { expect: 5 }))[0]).toBe(409);
    await witness.closed();
    expect(peer.story).toEqual(['waiting']);
    const appender = await V2Peer.append(url('/later'));
    await appender.send('here');
    await appender.finish();
    await peer.closed();
    expect([peer.text, ...peer.ending]).toEqual(['here', 'finished', 1000]);
  });
});

describe('when the server shuts down', () => {
  test('followers are told after their tail to come back, and so are appenders', async () => {
    const { app, url } = await startServer({ closeTimeoutMs: NEVER_MS });
    const appender = await V2Peer.append(url('/f'), { session: sessionOf('a') });
    const follower = await V2Peer.follow(url('/f'));
    await appender.append('some bytes', 10);
    await app.close();
    await Promise.all([appender.closed(), follower.closed()]);
    expect(appender.ending).toEqual(['shutdown', 1012]);
    expect(appender.end?.position).toBe(10);
    expect(follower.ending).toEqual(['shutdown', 1012]);
    expect([follower.text, follower.end?.position]).toEqual(['some bytes', 10]);
  });

  test('followers that wait for an appender or for a resource are told, at once', async () => {
    const { app, url } = await startServer({ closeTimeoutMs: NEVER_MS, graceMs: NEVER_MS });
    const appender = await V2Peer.append(url('/f'), { session: sessionOf('a') });
    const follower = await V2Peer.follow(url('/f'));
    const waiting = await V2Peer.follow(url('/later'), { wait: 60 });
    await waiting.until(() => waiting.story.join() === 'waiting', 'waiting');
    appender.cut();
    await follower.until(() => follower.story.at(-1) === 'waiting', 'waiting');
    await app.close();
    for (const peer of [follower, waiting]) {
      await peer.closed();
      expect(peer.ending).toEqual(['shutdown', 1012]);
    }
  });
});

describe('a client that', () => {
  test('offers no subprotocol gets text messages only, and no control messages', async () => {
    const { url } = await startServer({ graceMs: NEVER_MS });
    const appender = await V2Peer.append(url('/g'), { session: sessionOf('a') });
    await appender.append('one ', 4);
    const legacy = await V2Peer.follow(url('/g'), {}, { protocols: [] });
    const witness = await V2Peer.follow(url('/g'));
    await legacy.until(() => legacy.oddTexts.join('') === 'one ', 'the bytes as text');
    appender.cut();
    await witness.until(() => witness.story.includes('waiting'), 'waiting');
    const back = await V2Peer.append(url('/g'), { session: sessionOf('a') });
    await back.send('two');
    await back.finish();
    await legacy.closed();
    expect([legacy.websocket.protocol, legacy.oddTexts.join(''), legacy.closeCode]).toEqual([
      '',
      'one two',
      1000,
    ]);
    expect([legacy.controls, legacy.payloads]).toEqual([[], []]);
  });

  test('offers no subprotocol as an appender is told nothing at all', async () => {
    const { url } = await common.guest();
    const appender = await V2Peer.connect(url('/g'), 'APPEND', { protocols: [] });
    await appender.send('bytes');
    await waitFor(async () => (await get(url('/g'))).body.toString() === 'bytes', 'the bytes');
    await appender.finish();
    expect([appender.controls, appender.oddTexts, appender.payloads]).toEqual([[], [], []]);
    expect(appender.closeCode).toBe(1000);
  });

  test.each([[[V2, 'chat']], [['chat', V2]], [['chat', 'httpfstream.v9', V2, 'x']]])(
    'offers %j speaks the one that the server knows',
    async (protocols) => {
      const { url } = await serve();
      const follower = await V2Peer.follow(url('/f'), {}, { protocols });
      await follower.closed();
      expect(follower.websocket.protocol).toBe(V2);
      expect(follower.story).toEqual(['open', 'bytes', 'end']);
      const appender = await V2Peer.append(url('/g'), {}, { protocols });
      expect(appender.websocket.protocol).toBe(V2);
      await appender.finish();
    },
  );

  test('asks without a handshake and offers the subprotocol is told with 426: a proxy took the handshake away', async () => {
    const { url } = await common.guest();
    const appender = await V2Peer.append(url('/g'));
    await appender.append('one', 3);
    expect((await get(url('/g'), { 'sec-websocket-protocol': V2 })).status).toBe(426);
    expect((await get(url('/g'))).body.toString()).toBe('one');
    expect((await head(url('/g'))).headers['content-length']).toBe('3');
    await appender.finish();
  });
});
