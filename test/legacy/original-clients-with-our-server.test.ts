import { randomBytes } from 'node:crypto';
import { readFile, stat } from 'node:fs/promises';
import { connect } from 'node:net';
import path from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  OriginalAppender,
  OriginalFollower,
  OriginalHandshakeError,
  originalRequestHead,
} from '../support/original/clients.ts';
import { closePayload, FrameReader, frame, Op, originalMessage } from '../support/original/frames.ts';
import { startServer, type TestServer } from '../support/server/server.ts';
import { serverForAll } from '../support/server/server-for-all.ts';
import { waitFor } from '../support/wait-for.ts';

const common = serverForAll();

const MIB = 1024 * 1024;

function onDisk(server: TestServer, file: string): Promise<Buffer> {
  return readFile(path.join(server.root, file));
}

/** Resolves when the file has that many bytes. */
function waitForSize(server: TestServer, file: string, bytes: number): Promise<void> {
  return waitFor(
    async () => (await stat(path.join(server.root, file)).catch(() => undefined))?.size === bytes,
    `${bytes} bytes in ${file}`,
  );
}

/** Writes a file in one append, and waits until the path is free again. */
async function put(server: TestServer, file: string, content: Buffer | string): Promise<void> {
  const appender = await OriginalAppender.connect(server.url(file));
  await appender.write(content);
  await appender.close();
  await waitUntilFree(server, file);
}

/** Resolves when nobody holds the path: a listing calls it live until then. */
function waitUntilFree(server: TestServer, file: string): Promise<void> {
  const directory = file.slice(0, file.lastIndexOf('/') + 1);
  const name = file.slice(directory.length);
  return waitFor(async () => {
    const response = await fetch(server.url(directory), { headers: { accept: 'application/json' } });
    const { entries } = (await response.json()) as { entries: { name: string; live: boolean }[] };
    return entries.some((entry) => entry.name === name && !entry.live);
  }, `${file} to be free`);
}

function status(error: unknown): number | undefined {
  return error instanceof OriginalHandshakeError ? error.head.status : undefined;
}

async function refusal(attempt: Promise<unknown>): Promise<OriginalHandshakeError> {
  const error = await attempt.then(
    () => undefined,
    (reason) => reason,
  );
  expect(error).toBeInstanceOf(OriginalHandshakeError);
  return error as OriginalHandshakeError;
}

describe('the handshake', () => {
  test('the emulated request head is that of the original', () => {
    expect(originalRequestHead('http://h:1/foo/bar.txt?x=1', 'APPEND', 'KEY==')).toBe(
      'GET /foo/bar.txt?x=1 HTTP/1.1\r\nHost: h:1\r\nUpgrade: websocket\r\nConnection: upgrade\r\n' +
        'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: KEY==\r\nX-Verb: APPEND\r\n\r\n',
    );
  });

  test('is answered with the one Connection value that the original takes, and no extension or subprotocol', async () => {
    const server = await common.guest();
    const appender = await OriginalAppender.connect(server.url('/a'));
    const follower = await OriginalFollower.connect(server.url('/a'));
    for (const { headers } of [appender.head, follower.head]) {
      expect(headers.get('connection')).toMatch(/^upgrade$/i);
      expect(headers.has('sec-websocket-extensions')).toBe(false);
      expect(headers.has('sec-websocket-protocol')).toBe(false);
    }
  });

  test('need not be answered before the first message comes', async () => {
    const server = await startServer();
    const socket = connect(server.port, '127.0.0.1');
    const head = originalRequestHead(server.url('/a'), 'APPEND', Buffer.alloc(16).toString('base64'));
    socket.write(Buffer.concat([Buffer.from(head), originalMessage(Op.text, Buffer.from('early'), true)]));
    await waitForSize(server, 'a', 5);
    socket.write(originalMessage(Op.text, Buffer.from(' bird'), true));
    await waitForSize(server, 'a', 10);
    socket.destroy();
    expect(String(await onDisk(server, 'a'))).toBe('early bird');
  });

  test('has the verb in its header, which wins over the query', async () => {
    const server = await common.guest();
    const appender = await OriginalAppender.connect(server.url('/a?verb=FOLLOW'));
    const follower = await OriginalFollower.connect(server.url('/a?verb=APPEND'));
    await appender.write('x');
    await appender.close();
    expect((await follower.outcome).bytes.toString()).toBe('x');
  });
});

describe('a handshake that is not accepted', () => {
  function connections(server: TestServer): Promise<number> {
    return new Promise((resolve, reject) => {
      server.app.server.getConnections((error, count) => (error ? reject(error) : resolve(count)));
    });
  }

  test('leaves no connection behind, whatever it is refused for', async () => {
    const server = await startServer();
    await put(server, '/idle', 'x');
    await put(server, '/dir/a', 'x');
    const holder = await OriginalAppender.connect(server.url('/held'));
    // One may be kept alive by fetch, which asked for the listing.
    const areGone = async () => (await connections(server)) <= 2;
    const times = [1, 2, 3];
    for (const urlPath of ['/%zz', '/%00', '/.httpfstream/x', '/held', '/idle/below', '/dir']) {
      for (const _ of times) await refusal(OriginalAppender.connect(server.url(urlPath)));
      await waitFor(areGone, `the connections for ${urlPath} to be gone`);
    }
    for (const urlPath of ['/none', '/idle']) {
      for (const _ of times) {
        await OriginalFollower.connect(server.url(urlPath)).then(
          ({ outcome }) => outcome,
          (error) => expect(status(error)).toBe(404),
        );
      }
      await waitFor(areGone, `the connections for ${urlPath} to be gone`);
    }
    await holder.close();
  });
});

describe('appending', () => {
  test('bytes that are no UTF-8 arrive as they are, although the original calls them text', async () => {
    const server = await common.guest();
    const bytes = Buffer.from([0xff, 0xfe, 0x00, 0xc3, 0x28, 0x80, 0x0a]);
    await put(server, '/raw', bytes);
    expect(await onDisk(server, 'raw')).toEqual(bytes);
  });

  test('a copy from standard input and a single message of everything arrive byte for byte', async () => {
    const server = await common.guest();
    const bytes = randomBytes(3 * MIB + 17);
    const appender = await OriginalAppender.connect(server.url('/dir/a'));
    await appender.copy(bytes);
    await appender.write(bytes);
    await appender.close();
    await waitForSize(server, 'dir/a', 2 * bytes.length);
    expect((await onDisk(server, 'dir/a')).equals(Buffer.concat([bytes, bytes]))).toBe(true);
  });

  test('a later append goes on at the end of the file', async () => {
    const server = await common.guest();
    await put(server, '/a', 'one');
    await put(server, '/a', 'two');
    expect(String(await onDisk(server, 'a'))).toBe('onetwo');
  });

  test('directories are made 0755 and files 0644, so that others may read them, too', async () => {
    const server = await common.guest();
    const mask = process.umask();
    await put(server, '/x/y/a', '1');
    expect((await stat(path.join(server.root, 'x/y'))).mode & 0o777).toBe(0o755 & ~mask);
    expect((await stat(path.join(server.root, 'x/y/a'))).mode & 0o777).toBe(0o644 & ~mask);
  });

  test('a second appender is refused with 403 until the first has gone', async () => {
    const server = await common.guest();
    const first = await OriginalAppender.connect(server.url('/a'));
    expect((await refusal(OriginalAppender.connect(server.url('/a')))).message).toBe('HTTP status 403');
    await first.close();
    await waitUntilFree(server, '/a');
    await put(server, '/a', 'x');
    expect(String(await onDisk(server, 'a'))).toBe('x');
  });

  test.each([
    ['/a%2fb', 'a/b'],
    ['/with%20space', 'with space'],
    ['/back%5Cslash', 'back\\slash'],
    ['/plus+semi;x', 'plus+semi;x'],
    ['/percent%25', 'percent%'],
    ['/%C3%BC', 'ü'],
    ['/.hidden', '.hidden'],
    ['/trailing/', 'trailing'],
    ['/a/%2e%2e/%2e%2e/b', 'b'],
  ])('the path %s names the file %s', async (urlPath, file) => {
    const server = await startServer();
    const appender = await OriginalAppender.connect(server.url(urlPath));
    await appender.write('x');
    await appender.close();
    await waitForSize(server, file, 1);
  });

  test.each(['/%zz', '/nul%00'])('the path %s is refused with 400', async (urlPath) => {
    const server = await common.guest();
    expect(status(await refusal(OriginalAppender.connect(server.url(urlPath))))).toBe(400);
    expect(status(await refusal(OriginalFollower.connect(server.url(urlPath))))).toBe(400);
  });
});

describe('following', () => {
  test('history and what comes after it arrive in messages that the original reads whole', async () => {
    const server = await common.guest();
    const bytes = randomBytes(5 * MIB);
    await put(server, '/a', bytes.subarray(0, 2 * MIB));
    const appender = await OriginalAppender.connect(server.url('/a'));
    const follower = await OriginalFollower.connect(server.url('/a'));
    await appender.write(bytes.subarray(2 * MIB, 4 * MIB));
    await appender.copy(bytes.subarray(4 * MIB));
    await appender.close();
    const outcome = await follower.outcome;
    expect(outcome).toMatchObject({ exitCode: 0, lostBytes: 0, closeCode: 1000, upgraded: true });
    expect(outcome.bytes.equals(bytes)).toBe(true);
  });

  test('every single byte is sent at once, without waiting for more', async () => {
    const server = await common.guest();
    const appender = await OriginalAppender.connect(server.url('/a'));
    const follower = await OriginalFollower.connect(server.url('/a'));
    for (let i = 1; i <= 20; i++) {
      await appender.write('x');
      await waitFor(() => follower.byteCount === i, `byte ${i}`);
    }
  });

  test('a quiet follower is pinged, answers, and stays', async () => {
    const server = await startServer({ keepAliveMs: 10 });
    const appender = await OriginalAppender.connect(server.url('/a'));
    const follower = await OriginalFollower.connect(server.url('/a'));
    await waitFor(() => follower.pings >= 5, 'five pings');
    await appender.write('still here');
    await appender.close();
    expect(await follower.outcome).toMatchObject({ exitCode: 0, bytes: Buffer.from('still here') });
  });

  test.each([0, 1, 70_000, 3 * MIB])(
    'an idle file of %d bytes is answered with 200 and the file',
    async (size) => {
      const server = await common.guest();
      const bytes = randomBytes(size);
      await put(server, '/a', bytes);
      const follower = await OriginalFollower.connect(server.url('/a'));
      const outcome = await follower.outcome;
      expect(outcome).toMatchObject({ exitCode: 0, upgraded: false });
      expect(outcome.bytes.equals(bytes)).toBe(true);
    },
  );

  test('an idle file reaches a follower that begins to read late', async () => {
    const server = await common.guest();
    const bytes = randomBytes(12 * MIB);
    await put(server, '/a', bytes);
    const follower = await OriginalFollower.connect(server.url('/a'), { stalled: true });
    const other = await OriginalFollower.connect(server.url('/a'));
    expect((await other.outcome).bytes.equals(bytes)).toBe(true);
    follower.resume();
    expect((await follower.outcome).bytes.equals(bytes)).toBe(true);
  });

  test('a missing file is 404, "file does not exist" to the original', async () => {
    const server = await common.guest();
    expect((await refusal(OriginalFollower.connect(server.url('/none')))).message).toBe(
      'file does not exist',
    );
  });

  test('a directory without its slash is redirected, which the original reports', async () => {
    const server = await common.guest();
    await put(server, '/dir/a', 'x');
    expect((await refusal(OriginalFollower.connect(server.url('/dir')))).message).toBe('HTTP status 301');
  });
});

describe('the end', () => {
  /** Runs one append with a follower; `end` ends it somehow. */
  async function outcomeOf(end: (appender: OriginalAppender) => Promise<unknown>) {
    const server = await common.guest();
    const appender = await OriginalAppender.connect(server.url('/a'));
    const follower = await OriginalFollower.connect(server.url('/a'));
    await appender.write('hello');
    await waitFor(() => follower.byteCount === 5, 'what was appended');
    await end(appender);
    const outcome = await follower.outcome;
    await waitUntilFree(server, '/a');
    return outcome;
  }
  const clean = { exitCode: 0, closeCode: 1000, bytes: Buffer.from('hello') };
  const masked = { masked: true };

  test('a bare close between two messages is clean', async () => {
    expect(await outcomeOf((appender) => appender.close())).toMatchObject(clean);
  });

  test.each([
    ['with code 1000', closePayload(1000)],
    ['without a code', Buffer.alloc(0)],
  ])('a close frame %s is clean', async (_, payload) => {
    expect(await outcomeOf((appender) => appender.writeRaw(frame(Op.close, payload, masked)))).toMatchObject(
      clean,
    );
  });

  test('a close frame with another code is none: followers see 1011', async () => {
    const leave = frame(Op.close, closePayload(1001), masked);
    const outcome = await outcomeOf((appender) => appender.writeRaw(leave));
    expect(outcome).toMatchObject({ exitCode: 1, closeCode: 1011 });
  });

  test.each([
    ['in a frame header', frame(Op.text, 'x', masked).subarray(0, 1), ''],
    ['in a mask', frame(Op.text, 'x', masked).subarray(0, 4), ''],
    ['in a payload', frame(Op.text, 'torn message', masked).subarray(0, 10), 'torn'],
    ['between two fragments', frame(Op.text, 'torn', { masked: true, fin: false }), 'torn'],
  ])('a bare close %s is none: followers get what came, and 1011', async (_, torn, rest) => {
    const outcome = await outcomeOf(async (appender) => {
      await appender.writeRaw(torn);
      await appender.close();
    });
    expect(outcome).toMatchObject({ exitCode: 1, closeCode: 1011 });
    expect(String(outcome.bytes)).toBe(`hello${rest}`);
  });

  test('a reset is none: followers see 1011', async () => {
    const outcome = await outcomeOf((appender) => appender.reset());
    expect(outcome).toMatchObject({ exitCode: 1, closeCode: 1011 });
  });

  test('a server that shuts down tells followers 1011 after everything that was committed: 1001 is the end to them', async () => {
    const server = await startServer();
    const bytes = randomBytes(2 * MIB);
    const appender = await OriginalAppender.connect(server.url('/a'));
    const follower = await OriginalFollower.connect(server.url('/a'));
    await appender.write(bytes);
    await waitForSize(server, 'a', bytes.length);
    await server.app.close();
    const outcome = await follower.outcome;
    expect(outcome).toMatchObject({ exitCode: 1, closeCode: 1011, lostBytes: 0 });
    expect(outcome.bytes.equals(bytes)).toBe(true);
    const told = [...new FrameReader().read(await appender.readAll())];
    expect(told.map(({ opcode, payload }) => [opcode, payload.readUInt16BE(0)])).toEqual([[Op.close, 1001]]);
  });

  test('a close frame is answered when the bytes are in the file', async () => {
    const server = await common.guest();
    const bytes = randomBytes(3 * MIB);
    const appender = await OriginalAppender.connect(server.url('/a'));
    await appender.write(bytes);
    await appender.writeRaw(frame(Op.close, closePayload(1000), masked));
    const answer = [...new FrameReader().read(await appender.readAll())];
    expect(answer.map(({ opcode }) => opcode)).toEqual([Op.close]);
    expect((await onDisk(server, 'a')).equals(bytes)).toBe(true);
  });
});

describe('the faults of the original', () => {
  test('no byte is both in the history and live, and none is lost between them', async () => {
    const server = await common.guest();
    const appender = await OriginalAppender.connect(server.url('/a'));
    const followers: Promise<OriginalFollower>[] = [];
    let appended = '';
    for (let i = 0; i < 400; i++) {
      const line = `${i} ${'x'.repeat(i % 97)}\n`;
      appended += line;
      const written = appender.write(line);
      if (i % 20 === 10) followers.push(OriginalFollower.connect(server.url('/a')));
      await written;
    }
    const joined = await Promise.all(followers);
    await appender.close();
    const outcomes = await Promise.all(joined.map(({ outcome }) => outcome));
    expect(outcomes).toHaveLength(20);
    for (const { bytes, lostBytes } of outcomes) {
      expect(lostBytes).toBe(0);
      expect(bytes.toString()).toBe(appended);
    }
  });

  test('whatever joins, stalls, goes on and is cut while bytes come, each follower has them exactly once', async () => {
    const server = await common.guest();
    const step = fc.oneof(
      fc.record({ do: fc.constant('append' as const), bytes: fc.integer({ min: 1, max: 300_000 }) }),
      fc.record({ do: fc.constant('join' as const), stalled: fc.boolean() }),
      fc.record({
        do: fc.constantFrom('stall' as const, 'resume' as const, 'cut' as const),
        which: fc.nat(9),
      }),
    );
    let run = 0;
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 25 }), async (steps) => {
        const url = server.url(`/run-${run++}`);
        const appender = await OriginalAppender.connect(url);
        const appended: Buffer[] = [];
        let followers: OriginalFollower[] = [];
        for (const each of steps) {
          if (each.do === 'append') {
            const bytes = randomBytes(each.bytes);
            appended.push(bytes);
            await appender.write(bytes);
          } else if (each.do === 'join') {
            followers.push(await OriginalFollower.connect(url, { stalled: each.stalled }));
          } else {
            const follower = followers[each.which];
            if (each.do === 'stall') follower?.stall();
            else if (each.do === 'resume') follower?.resume();
            else if (follower) {
              await follower.cut();
              followers = followers.filter((other) => other !== follower);
            }
          }
        }
        await appender.close();
        for (const follower of followers) follower.resume();
        const outcomes = await Promise.all(followers.map(({ outcome }) => outcome));
        const whole = Buffer.concat(appended);
        for (const outcome of outcomes) {
          expect(outcome).toMatchObject({ exitCode: 0, lostBytes: 0, closeCode: 1000 });
          expect(outcome.bytes.equals(whole)).toBe(true);
        }
      }),
      { numRuns: process.env.HTTPFSTREAM_SOAK ? 250 : 12 },
    );
  });

  test('a stalled follower holds nobody back, does not lock the path, and gets everything in the end', async () => {
    const server = await common.guest();
    const bytes = randomBytes(12 * MIB);
    const appender = await OriginalAppender.connect(server.url('/a'));
    const stalled = await OriginalFollower.connect(server.url('/a'), { stalled: true });
    const other = await OriginalFollower.connect(server.url('/a'));
    await appender.copy(bytes);
    await appender.close();
    const outcome = await other.outcome;
    expect(outcome.closeCode).toBe(1000);
    expect(outcome.bytes.equals(bytes)).toBe(true);

    await put(server, '/a', 'next');
    stalled.resume();
    const late = await stalled.outcome;
    expect(late).toMatchObject({ exitCode: 0, lostBytes: 0 });
    expect(late.bytes.equals(bytes)).toBe(true);
  });

  test('a follower that is cut in mid-append disturbs nobody and does not lock the path', async () => {
    const server = await common.guest();
    const bytes = randomBytes(4 * MIB);
    const appender = await OriginalAppender.connect(server.url('/a'));
    const other = await OriginalFollower.connect(server.url('/a'));
    for (let at = 0; at < bytes.length; at += MIB / 2) {
      const doomed = await OriginalFollower.connect(server.url('/a'), { stalled: at % MIB === 0 });
      const written = appender.copy(bytes.subarray(at, at + MIB / 2));
      await doomed.cut();
      await written;
    }
    await appender.close();
    expect((await other.outcome).bytes.equals(bytes)).toBe(true);
    await put(server, '/a', 'next');
  });

  test('plain GETs during an append get what is there, and disturb nothing', async () => {
    const server = await common.guest();
    const bytes = randomBytes(2 * MIB);
    const appender = await OriginalAppender.connect(server.url('/a'));
    const follower = await OriginalFollower.connect(server.url('/a'));
    const copied = appender.copy(bytes);
    for (let i = 0; i < 10; i++) {
      const response = await fetch(server.url('/a'));
      const snapshot = Buffer.from(await response.arrayBuffer());
      expect(response.status).toBe(200);
      expect(snapshot.length).toBe(Number(response.headers.get('content-length')));
      expect(snapshot.equals(bytes.subarray(0, snapshot.length))).toBe(true);
    }
    await waitFor(() => follower.byteCount > 0, 'the first bytes');
    const range = await fetch(server.url('/a'), { headers: { range: 'bytes=10-19' } });
    expect(range.status).toBe(206);
    expect(Buffer.from(await range.arrayBuffer())).toEqual(bytes.subarray(10, 20));
    await copied;
    await appender.close();
    expect((await follower.outcome).bytes.equals(bytes)).toBe(true);
    expect((await onDisk(server, 'a')).equals(bytes)).toBe(true);
  });

  test('many followers that end together all end well', async () => {
    const server = await common.guest();
    const bytes = randomBytes(MIB / 4);
    for (let round = 0; round < 2; round++) {
      const url = server.url(`/a${round}`);
      const appender = await OriginalAppender.connect(url);
      const followers = await Promise.all(Array.from({ length: 40 }, () => OriginalFollower.connect(url)));
      await appender.write(bytes);
      await appender.close();
      for (const follower of followers) {
        const outcome = await follower.outcome;
        expect(outcome).toMatchObject({ exitCode: 0, closeCode: 1000, lostBytes: 0 });
        expect(outcome.bytes.equals(bytes)).toBe(true);
      }
    }
  });

  test('the tail of a follower 3 MB behind arrives after the end', async () => {
    const server = await startServer({ keepAliveMs: 10 });
    const bytes = randomBytes(3_000_000);
    const appender = await OriginalAppender.connect(server.url('/a'));
    const prompt = await OriginalFollower.connect(server.url('/a'));
    const slow = await OriginalFollower.connect(server.url('/a'));
    await waitFor(() => slow.pings > 0, 'a ping, so that pongs are under way');
    slow.stall();
    await appender.write(bytes);
    await appender.close();
    await prompt.outcome;
    slow.resume();
    const outcome = await slow.outcome;
    expect(outcome).toMatchObject({ exitCode: 0, closeCode: 1000, lostBytes: 0 });
    expect(outcome.bytes.equals(bytes)).toBe(true);
  });

  test('an idle appender is sent not a single byte, so that its bare close is no reset', async () => {
    const server = await startServer({ keepAliveMs: 5 });
    const appender = await OriginalAppender.connect(server.url('/a'));
    const follower = await OriginalFollower.connect(server.url('/a'));
    await waitFor(() => follower.pings >= 20, 'twenty keep-alive intervals');
    await appender.write('after a long silence');
    await waitFor(() => follower.byteCount > 0, 'the bytes');
    expect(await appender.endAndReadAll()).toEqual(Buffer.alloc(0));
    expect(await follower.outcome).toMatchObject({ exitCode: 0, bytes: Buffer.from('after a long silence') });
  });

  test('what an appender wrote just before its bare close arrives, after any silence', async () => {
    const server = await startServer({ keepAliveMs: 5 });
    const bytes = randomBytes(2 * MIB);
    const appender = await OriginalAppender.connect(server.url('/a'));
    const follower = await OriginalFollower.connect(server.url('/a'));
    await waitFor(() => follower.pings >= 20, 'twenty keep-alive intervals');
    await appender.copy(bytes);
    await appender.close();
    const outcome = await follower.outcome;
    expect(outcome).toMatchObject({ exitCode: 0, closeCode: 1000 });
    expect(outcome.bytes.equals(bytes)).toBe(true);
  });

  test('no timer runs for a follower, a message or an idle appender', async () => {
    const timers = () => process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length;
    const server = await startServer({ keepAliveMs: 5 });
    const appender = await OriginalAppender.connect(server.url('/a'));
    const first = await OriginalFollower.connect(server.url('/a'));
    await waitFor(() => first.pings > 0, 'a ping');
    const before = timers();
    const followers = await Promise.all(
      Array.from({ length: 50 }, () => OriginalFollower.connect(server.url('/a'))),
    );
    for (let i = 0; i < 200; i++) await appender.write('line\n');
    await waitFor(() => followers.every(({ byteCount }) => byteCount === 1000), 'all bytes everywhere');
    expect(timers()).toBeLessThanOrEqual(before + 2);
  });

  test('binary appends are taken', async () => {
    const server = await common.guest();
    const bytes = randomBytes(100_000);
    const appender = await OriginalAppender.connect(server.url('/a'));
    const follower = await OriginalFollower.connect(server.url('/a'));
    await appender.writeRaw(originalMessage(Op.binary, bytes, true));
    await appender.close();
    expect((await follower.outcome).bytes.equals(bytes)).toBe(true);
    expect((await onDisk(server, 'a')).equals(bytes)).toBe(true);
  });

  test('error bodies show no path of the server', async () => {
    const server = await startServer();
    await put(server, '/file', 'x');
    await put(server, '/dir/a', 'x');
    const holder = await OriginalAppender.connect(server.url('/held'));
    const handshake = {
      connection: 'upgrade',
      upgrade: 'websocket',
      'sec-websocket-version': '13',
      'sec-websocket-key': Buffer.alloc(16).toString('base64'),
    };
    const requests = [
      '/none',
      '/file/below',
      '/dir',
      '/held',
      '/.httpfstream/x',
      '/%00',
      '/',
      `/${'n'.repeat(300)}`,
    ];
    for (const url of requests) {
      for (const verb of ['APPEND', 'FOLLOW']) {
        for (const headers of [{}, handshake]) {
          const answer = await server.app.inject({ url, headers: { 'x-verb': verb, ...headers } });
          expect(`${JSON.stringify(answer.headers)} ${answer.body}`).not.toContain(server.root);
        }
      }
    }
    await holder.close();
  });
});
