import { once } from 'node:events';
import { readFile, truncate, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { append, follow, openAppend } from '../../../src/client/index.ts';
import { startOrigin, startRelay } from '../../support/relay/origin.ts';
import { waitFor, waitForRemoval, waitForSize } from '../../support/wait-for.ts';
import { sessionOf, V2Peer } from '../../support/websocket/v2-peer.ts';

async function pair() {
  const origin = await startOrigin();
  const relay = await startRelay(origin.url(''));
  return { origin, relay };
}

async function textOf(stream: AsyncIterable<Buffer>): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk);
  return Buffer.concat(chunks).toString();
}

describe('what is at the origin', () => {
  test('is read by way of a relay, kept in a file there, and served when the origin is gone', async () => {
    const { origin, relay } = await pair();
    await append(origin.url('/a/b.txt'), ['hello\n'], { status: () => 3 });
    const response = await fetch(relay.url('/a/b.txt'));
    expect(response.status).toBe(200);
    expect(response.headers.get('stream-status')).toBe('3');
    expect(response.headers.get('content-type')).toBe('text/plain; charset=utf-8');
    expect(await response.text()).toBe('hello\n');
    expect(await readFile(path.join(relay.root, 'a/b.txt'), 'utf8')).toBe('hello\n');
    await origin.app.close();
    expect(await (await fetch(relay.url('/a/b.txt'))).text()).toBe('hello\n');
    expect(await textOf(follow(relay.url('/a/b.txt')))).toBe('hello\n');
  });

  test("says how it has come, and by way of whom; a file of the relay's own says nothing", async () => {
    const { origin, relay } = await pair();
    await append(origin.url('/f'), ['content']);
    await writeFile(path.join(relay.root, 'own'), 'content');
    const said = async (target: string) => {
      const response = await fetch(relay.url(target));
      expect(await response.text()).toBe('content');
      return ['cache-status', 'via'].map((name) => response.headers.get(name));
    };
    const via = expect.stringMatching(/^1\.1 httpfstream-\S+$/);
    const status = expect.stringMatching(/^httpfstream; (?:hit|fwd=\S+(?:; \S+)*)$/);
    for (const target of ['/f', '/f', '/f?verb=FOLLOW', '/f?offset=-1']) {
      expect(await said(target)).toEqual([status, via]);
    }
    await origin.app.close();
    await waitFor(
      async () =>
        (await fetch(relay.url('/f'), { method: 'HEAD' })).headers.get('cache-status') ===
        'httpfstream; fwd=stale',
      'it to be stale',
    );
    for (const _time of [1, 2]) expect(await said('/own')).toEqual([null, null]);
  });

  test('has the generation there, so that a follower may go on here', async () => {
    const { origin, relay } = await pair();
    await append(origin.url('/f'), ['0123456789']);
    const first = follow(origin.url('/f'));
    const [{ generation }] = await once(first, 'open');
    first.destroy();
    const second = follow(relay.url('/f'), { from: 4, generation });
    expect(await textOf(second)).toBe('456789');
    expect(second.generation).toBe(generation);
    await expect(textOf(follow(relay.url('/f'), { generation: generation - 1 }))).rejects.toMatchObject({
      code: 'HFS_RESOURCE_GONE',
    });
  });

  test('has the type that an append has given it, behind several relays, and is no stream there', async () => {
    const { origin, relay } = await pair();
    const last = await startRelay(relay.url(''));
    const text = '{\n  "a": 1\n}';
    const answer = new Response(text, { headers: { 'content-type': 'application/json' } });
    await append(origin.url('/f'), answer);
    expect((await fetch(last.url('/f'), { method: 'HEAD' })).headers.get('content-type')).toBe(
      'application/json',
    );
    const stream = follow(last.url('/f'));
    const [opening] = await once(stream, 'open');
    expect(opening).toMatchObject({ contentType: 'application/json' });
    expect(opening).not.toHaveProperty('stream');
    expect(await textOf(stream)).toBe(text);
    for (const query of ['', '?verb=FOLLOW', '?offset=-1']) {
      const copy = await fetch(last.url(`/f${query}`));
      expect([copy.headers.get('content-type'), await copy.text()]).toEqual(['application/json', text]);
    }
    await relay.app.close();
    await origin.app.close();
    expect((await fetch(last.url('/f'))).headers.get('content-type')).toBe('application/json');
  });

  test('has the type that an appender here gives it only when it has an answer', async () => {
    const { origin, relay } = await pair();
    let answer: (response: Response) => void = () => undefined;
    const asked = new Promise<Response>((resolve) => {
      answer = resolve;
    });
    const appended = append(relay.url('/f'), () => asked, { expect: 0 });
    await waitForSize(path.join(origin.root, 'f'), 0);
    const reader = follow(relay.url('/f'));
    const [opening] = await once(reader, 'open');
    expect(opening).not.toHaveProperty('contentType');
    const told = once(reader, 'type');
    answer(new Response('data: a\n\n', { headers: { 'content-type': 'text/event-stream' } }));
    expect(await told).toEqual(['text/event-stream']);
    await appended;
    expect(await textOf(reader)).toBe('data: a\n\n');
    await origin.app.close();
    expect((await fetch(relay.url('/f'))).headers.get('content-type')).toBe('text/event-stream');
  });

  test('comes live, over one connection, however many follow in whatever way', async () => {
    const { origin, relay } = await pair();
    const appender = openAppend(origin.url('/live.log'));
    appender.write('one\n');
    await waitForSize(path.join(origin.root, 'live.log'), 4);
    const readers = [
      ...Array.from({ length: 3 }, () => textOf(follow(relay.url('/live.log')))),
      fetch(relay.url('/live.log?verb=FOLLOW')).then((response) => response.text()),
    ];
    await waitForSize(path.join(relay.root, 'live.log'), 4);
    readers.push(textOf(follow(relay.url('/live.log'))));
    appender.end('two\n');
    expect(await Promise.all(readers)).toEqual(readers.map(() => 'one\ntwo\n'));
    expect(origin.requests.slice(1)).toEqual(['GET /live.log FOLLOW', 'GET /live.log FOLLOW WebSocket']);
  });

  test('is not there when it is not there, and asked for once', async () => {
    const { origin, relay } = await pair();
    const answers = await Promise.all(Array.from({ length: 20 }, () => fetch(relay.url('/none'))));
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([404]));
    await append(origin.url('/other'), ['x']);
    const asked = origin.requests.filter((request) => request.startsWith('GET /none'));
    expect(asked.length).toBeLessThanOrEqual(2);
  });
});

describe('an end at the origin is the end at three relays', () => {
  async function chain() {
    const origin = await startOrigin({ graceMs: 0 });
    const first = await startRelay(origin.url(''));
    const second = await startRelay(first.url(''));
    const third = await startRelay(second.url(''));
    return { origin, relays: [first, second, third], last: third };
  }

  test('finished, with the status of a command', async () => {
    const { origin, last } = await chain();
    const appender = openAppend(origin.url('/f'), { status: () => 7 });
    appender.write('one');
    await waitForSize(path.join(origin.root, 'f'), 3);
    const follower = follow(last.url('/f'));
    await once(follower, 'readable');
    appender.end(' two');
    expect(await textOf(follower)).toBe('one two');
    expect(follower.status).toBe(7);
    const response = await fetch(last.url('/f?verb=FOLLOW'));
    expect(response.headers.get('stream-status')).toBe('7');
    expect(await response.text()).toBe('one two');
  });

  test('interrupted', async () => {
    const { origin, last } = await chain();
    const appender = openAppend(origin.url('/f'));
    appender.write('one');
    await waitForSize(path.join(origin.root, 'f'), 3);
    const follower = follow(last.url('/f'));
    await once(follower, 'readable');
    const overHttp = fetch(last.url('/f?verb=FOLLOW')).then((response) => response.text());
    appender.destroy();
    await expect(textOf(follower)).rejects.toMatchObject({ code: 'HFS_STREAM_INTERRUPTED' });
    await expect(overHttp).rejects.toThrow();
    // And so for who comes later.
    await expect(textOf(follow(last.url('/f')))).rejects.toMatchObject({ code: 'HFS_STREAM_INTERRUPTED' });
  });

  test('deleted: it is gone from all of them, and what is made anew is another one', async () => {
    const { origin, relays, last } = await chain();
    const appender = openAppend(origin.url('/f'));
    appender.on('error', () => undefined);
    appender.write('one');
    await waitForSize(path.join(origin.root, 'f'), 3);
    const follower = follow(last.url('/f'));
    await once(follower, 'readable');
    await fetch(origin.url('/f'), { method: 'DELETE' });
    await expect(textOf(follower)).rejects.toMatchObject({ code: 'HFS_RESOURCE_GONE' });
    for (const { root } of relays) await waitForRemoval(path.join(root, 'f'));
    await append(origin.url('/f'), ['another']);
    await waitFor(async () => (await fetch(last.url('/f'))).status === 200, 'the new one');
    expect(await (await fetch(last.url('/f'))).text()).toBe('another');
  });

  test('truncated', async () => {
    const { origin, last } = await chain();
    const appender = openAppend(origin.url('/f'));
    appender.on('error', () => undefined);
    appender.write('one two');
    await waitForSize(path.join(origin.root, 'f'), 7);
    const follower = follow(last.url('/f'));
    await once(follower, 'readable');
    await truncate(path.join(origin.root, 'f'), 3);
    await expect(textOf(follower)).rejects.toMatchObject({ code: 'HFS_STREAM_TRUNCATED' });
    await waitFor(async () => (await (await fetch(last.url('/f'))).text()) === 'one', 'what is left');
  });

  test('an open stream stays open while nobody appends, keeps its type, and ends when it is closed', async () => {
    const { origin, last } = await chain();
    await fetch(origin.url('/s'), { method: 'PUT', headers: { 'content-type': 'application/json' } });
    const post = (body: string, headers = {}) =>
      fetch(origin.url('/s'), {
        method: 'POST',
        headers: { 'content-type': 'application/json', ...headers },
        body,
      });
    await post('[{"a":1},{"a":2}]');
    const follower = textOf(follow(last.url('/s')));
    await waitForSize(path.join(last.root, 's'), 16);
    expect(await (await fetch(last.url('/s'))).json()).toEqual([{ a: 1 }, { a: 2 }]);
    await post('{"a":3}', { 'stream-closed': 'true' });
    expect(await follower).toBe('{"a":1}\n{"a":2}\n{"a":3}\n');
    const response = await fetch(last.url('/s?offset=-1'));
    expect(response.headers.get('stream-closed')).toBe('true');
    expect(response.headers.get('stream-next-offset')).toBe(
      (await fetch(origin.url('/s'))).headers.get('stream-next-offset'),
    );
    expect(await response.json()).toEqual([{ a: 1 }, { a: 2 }, { a: 3 }]);
  });

  test('who waits for what is not there is told so, and gets it when it comes', async () => {
    const { origin, last } = await chain();
    const follower = follow(last.url('/later'), { wait: 60 });
    await once(follower, 'waiting');
    const appender = openAppend(origin.url('/later'));
    appender.write('he');
    await waitForSize(path.join(last.root, 'later'), 2);
    // And so do those who did not wait.
    expect(await (await fetch(last.url('/later'))).text()).toBe('he');
    appender.end('re');
    expect(await textOf(follower)).toBe('here');
  });

  test('who comes while the appender is away gets what is there', async () => {
    const origin = await startOrigin({ graceMs: 60_000 });
    const relay = await startRelay(origin.url(''));
    const peer = await V2Peer.append(origin.url('/f'), { session: sessionOf('a') });
    await peer.append('one', 3);
    const watcher = await V2Peer.follow(origin.url('/f'));
    peer.websocket.terminate();
    await watcher.until(() => watcher.story.includes('waiting'), 'the origin to notice');
    const follower = follow(relay.url('/f'), { retry: false });
    const [chunk] = await once(follower, 'data');
    expect(String(chunk)).toBe('one');
    // And knows it, as at the origin.
    const second = follow(relay.url('/f'), { retry: false });
    await once(second.resume(), 'waiting');
    for (const stream of [follower, second]) stream.destroy();
  });

  test('the appender was lost and may come back: waiting, and live', async () => {
    const origin = await startOrigin({ graceMs: 60_000 });
    const relay = await startRelay(origin.url(''));
    const peer = await V2Peer.append(origin.url('/f'), { session: sessionOf('a') });
    await peer.append('one', 3);
    const follower = follow(relay.url('/f'));
    follower.resume();
    await once(follower, 'open');
    const waiting = once(follower, 'waiting');
    peer.websocket.terminate();
    await waiting;
    const live = once(follower, 'live');
    await V2Peer.append(origin.url('/f'), { session: sessionOf('a') });
    await live;
    follower.destroy();
  });
});
