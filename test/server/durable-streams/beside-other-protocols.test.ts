import { execFileSync } from 'node:child_process';
import { mkdir, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { rawHandshake } from '../../support/http/raw.ts';
import { jsonOf, send } from '../../support/http/request.ts';
import { pattern } from '../../support/pattern.ts';
import { InProcessServer, LONG_POLL_MS } from '../../support/server/restartable-server.ts';
import type { UrlSource } from '../../support/server/server.ts';
import { standaloneForAll } from '../../support/server/server-for-all.ts';
import { SseReader } from '../../support/streams/sse-reader.ts';
import { StreamPeer } from '../../support/streams/stream-peer.ts';
import { waitFor } from '../../support/wait-for.ts';
import { appendAll, openAppender } from '../../support/websocket/appends.ts';
import { Peer } from '../../support/websocket/peer.ts';
import { V2Peer } from '../../support/websocket/v2-peer.ts';

const common = standaloneForAll({ longPollMs: LONG_POLL_MS });

const startStream = async (body?: string) => makeStream(await common.guest(), body);

/** On a server of its own, for those who ask for paths as they are, stop it, or set how long it waits. */
const startStreamAlone = async (body?: string) => makeStream(await InProcessServer.start(), body);

async function makeStream<S extends UrlSource>(server: S, body?: string) {
  const stream = new StreamPeer(server, '/stream.txt');
  const made = await stream.create({}, body);
  expect(made.status).toBe(201);
  return { server, stream, tail: made.nextOffset };
}

describe('a file and a directory of one name', () => {
  test('are 409: a stream where a directory is', async () => {
    const { server } = await startStream();
    await new StreamPeer(server, '/dir/stream').create({}, 'bytes');
    const taken = new StreamPeer(server, '/dir');
    const refused = await taken.create({}, 'x');
    expect(refused.status).toBe(409);
    expect(['HFS_PATH_CONFLICT', 'HFS_STREAM_CONFLICT']).toContain(refused.code);
    expect([404, 409]).toContain((await taken.append('x')).status);
    expect([404, 409]).toContain((await taken.delete()).status);
    expect((await new StreamPeer(server, '/dir/stream').read()).text).toBe('bytes');
    expect((await new StreamPeer(server, '/dir/').create({}, 'x')).status).toBe(409);
  });

  test('are 409: a stream below a stream', async () => {
    const { server, stream } = await startStream('bytes');
    const below = new StreamPeer(server, '/stream.txt/below');
    const refused = await below.create({}, 'x');
    expect(refused.status).toBe(409);
    expect((await below.read()).status).toBe(404);
    expect((await below.append('x')).status).toBe(404);
    expect((await below.delete()).status).toBe(404);
    expect((await stream.read()).text).toBe('bytes');
  });

  test('are no obstacle once the other one is gone', async () => {
    const { server, stream } = await startStream('bytes');
    await stream.delete();
    const below = new StreamPeer(server, '/stream.txt/below');
    expect((await below.create({}, 'x')).status).toBe(201);
    expect((await stream.create()).status).toBe(409);
    expect((await below.delete()).status).toBe(204);
  });

  test('are 409 for a fork too, and nothing is left of it', async () => {
    const { server, stream } = await startStreamAlone('bytes');
    await mkdir(path.join(server.root, 'taken'));
    const fork = new StreamPeer(server, '/taken');
    expect((await fork.create({ 'stream-forked-from': stream.path })).status).toBe(409);
    expect((await stream.delete()).status).toBe(204);
    expect((await stream.head()).status).toBe(404);
  });
});

describe('what stands at a path and is no file', () => {
  test('is an answer and no endless search: a FIFO, a symlink to nowhere, one that leads out', async () => {
    const { server } = await startStreamAlone('bytes');
    const at = (name: string) => path.join(server.root, name);
    execFileSync('mkfifo', [at('fifo')]);
    await symlink('nowhere', at('dangling'));
    await symlink('/etc/hostname', at('outside'));
    await symlink('.', at('around'));
    await symlink('itself', at('itself'));
    for (const name of ['fifo', 'dangling', 'outside', 'around', 'itself']) {
      const stream = new StreamPeer(server, `/${name}`);
      for (const answer of [
        await stream.create({}, 'x'),
        await send('PUT', stream.url, { body: 'x' }),
        await stream.create({ 'stream-forked-from': '/stream.txt' }),
        await stream.append('x'),
        await stream.read(),
        await stream.delete(),
      ]) {
        expect([name, answer.status < 500]).toEqual([name, true]);
      }
    }
    expect((await readdir(path.join(server.root, '.httpfstream/incoming')).catch(() => [])).length).toBe(0);
  });

  test('is followed when it is a symlink to a stream, which is the same one under both names', async () => {
    const { server, stream } = await startStream('bytes;');
    await symlink('stream.txt', path.join(server.root, 'alias.txt'));
    const alias = new StreamPeer(server, '/alias.txt');
    expect((await alias.produce('by alias;', { seq: 0 })).status).toBe(200);
    expect((await stream.produce('by alias;', { seq: 0 })).status).toBe(204);
    expect((await stream.produce('by name', { seq: 1 })).status).toBe(200);
    expect((await alias.read()).text).toBe('bytes;by alias;by name');
    await stream.close();
    expect((await alias.append('x')).status).toBe(409);
  });
});

describe('a path', () => {
  test('of the server, or reserved by the protocol, is no stream', async () => {
    const { server } = await startStreamAlone();
    for (const urlPath of ['/__ds/subscriptions/x', '/__ds', '/.httpfstream/records/LOG', '/.httpfstream']) {
      const stream = new StreamPeer(server, urlPath);
      for (const answer of [
        await stream.create({}, 'x'),
        await stream.append('x'),
        await stream.read(),
        await stream.delete(),
      ]) {
        expect([urlPath, answer.status >= 400 && answer.status < 500]).toEqual([urlPath, true]);
        expect(answer.code).toMatch(/^HFS_/);
      }
    }
    expect((await new StreamPeer(server, '/below/__ds').create({}, 'fine')).status).toBe(201);
  });

  test('is cleaned before it names a stream, and cannot lead out of the root', async () => {
    const { server, stream } = await startStreamAlone('bytes');
    expect((await send('POST', server.url('/%2e%2e/stream.txt'), textOf('!'))).status).toBeLessThan(500);
    const outside = await send('PUT', server.url('/..%2f..%2foutside'), textOf('x'));
    expect([201, 301, 400, 403]).toContain(outside.status);
    await expect(stat(path.join(server.root, '../outside'))).rejects.toThrow();
    expect((await stream.head()).status).toBe(200);
    expect((await send('PUT', server.url('/%00'), textOf('x'))).status).toBe(400);
    expect((await send('PUT', server.url(`/${'x'.repeat(256)}`), textOf('x'))).status).toBe(400);
  });

  test('that is there is confirmed by PUT, whatever its bytes are, and gets none of those that came with it', async () => {
    const { stream } = await startStream('bytes');
    expect((await stream.create({}, 'others')).status).toBe(200);
    expect((await stream.read()).text).toBe('bytes');
  });

  test('that is new is made by PUT and sessions, and by no POST', async () => {
    const { server } = await startStream();
    const stream = new StreamPeer(server, '/new');
    expect(await stream.append('x')).toMatchObject({ status: 404, code: 'HFS_RESOURCE_NOT_FOUND' });
    expect((await stream.close()).status).toBe(404);
    expect((await stream.produce('x', { seq: 0 })).status).toBe(404);
    expect((await stream.plain()).status).toBe(404);
    await appendAll(server, '/new', 'from a session');
    expect((await stream.read()).text).toBe('from a session');
  });
});

function textOf(body: string) {
  return { headers: { 'content-type': 'text/plain' }, body };
}

describe('a body that comes in chunks', () => {
  test('is appended as one, whatever its chunks are', async () => {
    const { server, stream } = await startStream();
    const sent = pattern(0, 500_000);
    const chunks = [1, 10, 1000, 65_536, 100_000].map((size, index, sizes) => {
      const start = sizes.slice(0, index).reduce((sum, next) => sum + next, 0);
      return sent.subarray(start, start + size);
    });
    const whole = Buffer.concat(chunks);
    expect((await stream.append(chunks)).status).toBe(204);
    expect((await stream.readAll()).equals(whole)).toBe(true);
    const made = new StreamPeer(server, '/made');
    expect((await made.create({}, chunks)).status).toBe(201);
    expect((await made.readAll()).equals(whole)).toBe(true);
  });

  test('is not seen before it is whole, and not at all when it is cut', async () => {
    const { stream } = await startStream('before;');
    let cut: (() => void) | undefined;
    const body = (async function* () {
      yield 'never whole';
      await new Promise<void>((resolve) => {
        cut = resolve;
      });
      throw new Error('cut');
    })();
    const sending = stream.append(body).then(
      () => 'answered',
      () => 'cut',
    );
    await waitFor(() => cut !== undefined, 'the first chunk to be sent');
    expect((await stream.append('meanwhile;')).status).toBe(204);
    expect((await stream.read()).text).toBe('before;meanwhile;');
    cut?.();
    expect(await sending).toBe('cut');
    expect((await stream.append('after')).status).toBe(204);
    expect((await stream.read()).text).toBe('before;meanwhile;after');
  });

  test('over the limit is 413, with and without its length, and nothing of it is kept', async () => {
    const { stream } = await startStream('before;');
    const limit = 16 * 1024 * 1024;
    const block = Buffer.alloc(1024 * 1024, 'x');
    const tooMany = Array.from({ length: 17 }, () => block);
    const answers = [
      await stream.append(Buffer.concat(tooMany)).catch(() => undefined),
      await stream.append(tooMany).catch(() => undefined),
    ];
    for (const answer of answers) {
      // A server may hang up before the client has sent it all, which hides the answer.
      if (answer !== undefined) expect(answer).toMatchObject({ status: 413, code: 'HFS_PAYLOAD_TOO_LARGE' });
    }
    expect(answers.some((answer) => answer !== undefined)).toBe(true);
    expect((await stream.read()).text).toBe('before;');
    expect((await stream.append(Buffer.alloc(limit, 'x'))).status).toBe(204);
    expect((await stream.append(Buffer.alloc(limit + 1, 'x')).catch(() => ({ status: 413 }))).status).toBe(
      413,
    );
    expect((await stream.readAll()).length).toBe(limit + 7);
  });

  test('and is empty is as empty as one without chunks', async () => {
    const { stream } = await startStream();
    expect((await stream.append([])).status).toBe(400);
    expect((await stream.append([], { 'stream-closed': 'true' })).status).toBe(204);
    expect((await stream.head()).headers['stream-closed']).toBe('true');
  });
});

describe('appends that come at once', () => {
  test('are all there and whole, small ones and large ones, to one stream and to many', async () => {
    const { server, stream } = await startStream();
    const others = Array.from({ length: 4 }, (_, index) => new StreamPeer(server, `/other/${index}`));
    for (const other of others) await other.create();
    const sizes = [100, 300 * 1024, 10, 1024 * 1024, 1, 256 * 1024, 256 * 1024 + 1, 5000, 2_000_000, 7];
    const line = (name: string, index: number) => `${name}${index}:${'x'.repeat(sizes[index] as number)}\n`;
    const all = [stream, ...others];
    const answers = await Promise.all(
      all.flatMap((each, name) => sizes.map((_, index) => each.append(line(String(name), index)))),
    );
    expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 204));
    for (const [name, each] of all.entries()) {
      const lines = (await each.readAll()).toString().split('\n');
      expect(lines.pop()).toBe('');
      expect(lines.sort()).toEqual(sizes.map((_, index) => line(String(name), index).trimEnd()).sort());
    }
    // Each was told where the stream was after it.
    const offsets = answers.slice(0, sizes.length).map(({ nextOffset }) => nextOffset);
    expect(new Set(offsets).size).toBe(sizes.length);
    expect([...offsets].sort().at(-1)).toBe((await stream.head()).nextOffset);
  });

  test('by one producer out of order are put in order by who repeats them', async () => {
    const { stream } = await startStream();
    const pending = new Set(Array.from({ length: 20 }, (_, seq) => seq));
    for (let round = 0; round < 50 && pending.size > 0; round++) {
      await Promise.all(
        [...pending].reverse().map(async (seq) => {
          const { status } = await stream.produce(`${seq};`, { seq });
          expect([200, 204, 409]).toContain(status);
          if (status !== 409) pending.delete(seq);
        }),
      );
    }
    expect(pending.size).toBe(0);
    expect((await stream.read()).text).toBe(Array.from({ length: 20 }, (_, seq) => `${seq};`).join(''));
  });

  test('and are the same ones are made once', async () => {
    const { stream } = await startStream();
    for (let seq = 0; seq < 10; seq++) {
      const statuses = await Promise.all(
        Array.from({ length: 10 }, async () => (await stream.produce(`${seq};`, { seq })).status),
      );
      expect(statuses.sort()).toEqual([200, ...Array.from({ length: 9 }, () => 204)]);
    }
    expect((await stream.read()).text).toBe('0;1;2;3;4;5;6;7;8;9;');
  });
});

describe('another origin', () => {
  const ORIGIN = 'https://app.example';
  const preflight = (url: string, origin: string) =>
    send('OPTIONS', url, {
      headers: {
        origin,
        'access-control-request-method': 'PUT',
        'access-control-request-headers': 'content-type, producer-id',
      },
    });

  test('may read and write when it is named, and only then', async () => {
    const server = await InProcessServer.start({ corsOrigins: [ORIGIN, 'http://localhost:3000'] });
    const stream = new StreamPeer(server, '/stream');
    await stream.create({}, 'bytes');
    for (const origin of [ORIGIN, 'http://localhost:3000']) {
      const asked = await preflight(stream.url, origin);
      expect([200, 204]).toContain(asked.status);
      expect(asked.headers['access-control-allow-origin']).toBe(origin);
      for (const method of ['GET', 'HEAD', 'PUT', 'POST', 'DELETE']) {
        expect(asked.headers['access-control-allow-methods']).toContain(method);
      }
      const allowed = String(asked.headers['access-control-allow-headers']).toLowerCase();
      for (const name of [
        'content-type',
        'if-none-match',
        'stream-seq',
        'stream-ttl',
        'stream-closed',
        'producer-id',
        'producer-epoch',
        'producer-seq',
        'stream-forked-from',
      ]) {
        expect(allowed === '*' || allowed.includes(name)).toBe(true);
      }
      for (const answer of [
        await stream.read('-1', { origin }),
        await stream.plain({ origin }),
        await stream.append('!', { origin }),
        await new StreamPeer(server, '/missing').read('-1', { origin }),
        await stream.append('', { origin }),
      ]) {
        expect(answer.headers['access-control-allow-origin']).toBe(origin);
        expect(answer.headers.vary?.toLowerCase()).toContain('origin');
        const exposed = String(answer.headers['access-control-expose-headers']).toLowerCase();
        for (const name of ['stream-next-offset', 'stream-closed', 'stream-up-to-date', 'etag']) {
          expect(exposed === '*' || exposed.includes(name)).toBe(true);
        }
      }
      const reader = await SseReader.open(stream.url, 'now', { origin });
      expect(reader.response.headers['access-control-allow-origin']).toBe(origin);
      reader.destroy();
    }
    for (const origin of ['https://app.example.evil', 'https://evil.example', 'null', 'http://app.example']) {
      const asked = await preflight(stream.url, origin);
      expect(asked.headers['access-control-allow-origin']).toBeUndefined();
      expect((await stream.read('-1', { origin })).headers['access-control-allow-origin']).toBeUndefined();
    }
  });

  test('may nothing by default', async () => {
    const { stream } = await startStream('bytes');
    const answer = await stream.read('-1', { origin: ORIGIN });
    expect(answer.status).toBe(403);
    expect(answer.headers['access-control-allow-origin']).toBeUndefined();
    const asked = await preflight(stream.url, ORIGIN);
    expect(asked.status).toBe(403);
    expect(asked.headers['access-control-allow-origin']).toBeUndefined();
  });

  test('may be any', async () => {
    const server = await InProcessServer.start({ corsOrigins: ['*'] });
    const stream = new StreamPeer(server, '/stream');
    await stream.create({}, 'bytes');
    const { headers } = await stream.read('-1', { origin: ORIGIN });
    expect(['*', ORIGIN]).toContain(headers['access-control-allow-origin']);
    expect(headers['access-control-allow-credentials']).toBeUndefined();
  });
});

describe('while a session holds a stream', () => {
  test('a POST is 503 and may come again, by a producer too; then it is taken', async () => {
    const { server, stream } = await startStream('a;');
    const session = await openAppender(server, stream.path, 'b;');
    for (const refused of [
      await stream.append('x'),
      await stream.produce('x', { seq: 0 }),
      await stream.append('x', { 'stream-closed': 'true' }),
    ]) {
      expect(refused).toMatchObject({ status: 503, code: 'HFS_APPEND_BUSY' });
      expect(refused.headers['retry-after']).toMatch(/^[12]$/);
    }
    expect((await stream.read()).text).toBe('a;b;');
    await session.finish();
    expect((await stream.produce('c', { seq: 0 })).status).toBe(200);
    expect((await stream.read()).text).toBe('a;b;c');
  });

  test('HEAD and reads tell where it is', async () => {
    const { server, stream, tail } = await startStream('a;');
    const session = await openAppender(server, stream.path, 'b;');
    const head = await stream.head();
    expect(head.nextOffset > tail).toBe(true);
    expect((await stream.read(tail)).text).toBe('b;');
    expect((await stream.create()).status).toBe(200);
    await session.finish();
  });

  test('deleting the stream ends it: the session fails, and its path is free', async () => {
    const { server, stream } = await startStream('a;');
    const session = await openAppender(server, stream.path, 'b;');
    const closed = session.closed();
    const deleted = await stream.delete();
    expect([204, 503]).toContain(deleted.status);
    if (deleted.status === 503) {
      await session.finish();
      expect((await stream.delete()).status).toBe(204);
    } else {
      const { code } = await closed;
      expect(code).toBe(1011);
    }
    expect((await stream.create({}, 'anew')).status).toBe(201);
    expect((await stream.read()).text).toBe('anew');
  });

  test('POSTs that come before it and after it are in their order', async () => {
    const { server, stream } = await startStream();
    const expected: string[] = [];
    for (let round = 0; round < 10; round++) {
      await Promise.all(Array.from({ length: 5 }, () => stream.append('p')));
      await appendAll(server, stream.path, 'session;');
      expected.push('pppppsession;');
    }
    expect((await stream.read()).text).toBe(expected.join(''));
    expect(await readFile(path.join(server.root, stream.path), 'utf8')).toBe(expected.join(''));
  });
});

describe('a session', () => {
  test('on a closed stream is 409 and says why', async () => {
    const { server, stream } = await startStreamAlone('whole');
    await stream.close();
    const refused = await rawHandshake(server.port, stream.path, ['X-Verb: APPEND']);
    expect(refused.status).toBe(409);
    expect(refused.headers['stream-closed']).toBe('true');
    const put = await send('PUT', `${stream.url}?verb=APPEND`, { body: 'x' });
    expect(put).toMatchObject({ status: 409, code: 'HFS_STREAM_CLOSED' });
    expect(put.headers['stream-closed']).toBe('true');
    expect((await stream.read()).text).toBe('whole');
  });

  test('on a stream of JSON values is 409', async () => {
    const { server } = await startStreamAlone();
    const stream = new StreamPeer(server, '/values', 'application/json');
    await stream.create({}, '[1]');
    expect((await rawHandshake(server.port, stream.path, ['X-Verb: APPEND'])).status).toBe(409);
    const put = await send('PUT', `${stream.url}?verb=APPEND`, { body: 'x' });
    expect(put).toMatchObject({ status: 409, code: 'HFS_CONTENT_TYPE_MISMATCH' });
    expect(JSON.parse((await stream.read()).text)).toEqual([1]);
  });

  test('never closes the stream by leaving, and followers of it end', async () => {
    const { server, stream } = await startStream('a;');
    const session = await openAppender(server, stream.path, 'b;');
    const follower = await Peer.connect(server.url(stream.path), 'FOLLOW');
    const ended = follower.closed();
    await session.finish();
    expect((await ended).code).toBe(1000);
    expect(follower.text).toBe('a;b;');
    expect((await stream.head()).headers['stream-closed']).toBeUndefined();
    expect((await stream.append('c')).status).toBe(204);
  });

  test.each([
    ['gave up', 1001, '', undefined],
    ['has told a status', 1000, '{"status":3}', 3],
  ])(
    'that %s is no end of the stream: that it was closed is told who is there and who comes later',
    async (_, code, reason, status) => {
      const { server, stream } = await startStream('a;');
      const there = await V2Peer.follow(stream.url);
      const appender = await V2Peer.append(stream.url);
      await appender.append('b;', 4);
      appender.websocket.close(code, reason);
      await appender.closed();
      expect((await stream.append('', { 'stream-closed': 'true' })).status).toBe(204);
      await there.closed();
      expect(there.end).toEqual({ type: 'end', position: 4, reason: 'finished', closed: true, status });
      expect(there.closeCode).toBe(1000);
      const later = await V2Peer.follow(stream.url);
      await later.closed();
      expect([later.text, later.end, later.closeCode]).toEqual(['a;b;', there.end, 1000]);
      const listed = await send('GET', server.url('/?view=list'));
      expect(jsonOf<{ rows: unknown[][] }>(listed).rows).toEqual([
        ['stream.txt', 4, expect.any(Number), 'finished', ...(status === undefined ? [] : [status])],
      ]);
    },
  );

  test('by PUT with Stream-Closed closes the stream with its last byte', async () => {
    const { stream } = await startStream('a;');
    const reader = await SseReader.open(stream.url);
    const done = await send('PUT', `${stream.url}?verb=APPEND`, {
      headers: { 'stream-closed': 'true' },
      body: ['b;', 'c'],
    });
    expect(done.status).toBe(200);
    await waitFor(() => reader.isEnded, 'the events to end');
    expect(reader.data).toBe('a;b;c');
    expect(reader.controls.at(-1)).toMatchObject({ streamClosed: true });
    expect((await stream.head()).headers['stream-closed']).toBe('true');
    expect((await stream.append('x')).status).toBe(409);
  });
});

describe('curl -T, which names no type,', () => {
  test('makes a new path, and confirms one that has the same content', async () => {
    const { server } = await startStream();
    const url = server.url('/uploaded.txt');
    const content = 'some content\n'.repeat(10_000);
    expect((await send('PUT', url, { body: content })).status).toBe(201);
    expect((await send('PUT', url, { body: content })).status).toBe(200);
    expect((await send('PUT', url, { body: [content.slice(0, 9), content.slice(9)] })).status).toBe(200);
    expect(await readFile(path.join(server.root, 'uploaded.txt'), 'utf8')).toBe(content);
  });

  test('never overwrites: 409 that says what to do', async () => {
    const { server } = await startStream();
    await writeFile(path.join(server.root, 'there.txt'), 'content');
    for (const body of ['other', 'content and more', 'conten', 'Content']) {
      const refused = await send('PUT', server.url('/there.txt'), { body });
      expect(refused).toMatchObject({ status: 409, code: 'HFS_CONTENT_MISMATCH' });
      expect(refused.text).toMatch(/verb=APPEND|DELETE/);
    }
    expect((await send('PUT', server.url('/there.txt'), { body: 'content' })).status).toBe(200);
    expect(await readFile(path.join(server.root, 'there.txt'), 'utf8')).toBe('content');
  });
});

describe('a file that was there before', () => {
  test('is an open stream whose type follows its name', async () => {
    const { server } = await startStream();
    await writeFile(path.join(server.root, 'notes.txt'), 'old;');
    const stream = new StreamPeer(server, '/notes.txt');
    const head = await stream.head();
    expect(head.headers['content-type']).toMatch(/^text\/plain/);
    expect(head.nextOffset).toMatch(/^\d{16}_\d{16}$/);
    const matching = { 'content-type': String(head.headers['content-type']) };
    expect((await stream.append('new', matching)).status).toBe(204);
    expect((await stream.read(head.nextOffset)).text).toBe('new');
    expect((await stream.read()).text).toBe('old;new');
    expect((await stream.close()).status).toBe(204);
    expect((await stream.read()).headers['stream-closed']).toBe('true');
  });

  test('that is deleted by somebody else is no stream any more, and what was known of it is gone', async () => {
    const { server, stream, tail } = await startStreamAlone('bytes');
    await stream.close();
    await rm(path.join(server.root, stream.path));
    expect((await stream.head()).status).toBe(404);
    expect((await stream.create({}, 'others')).status).toBe(201);
    expect((await stream.head()).headers['stream-closed']).toBeUndefined();
    expect((await stream.read(tail)).status).toBe(410);
  });
});
