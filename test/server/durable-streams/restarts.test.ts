import { readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { RESERVED } from '../../support/disk/root-files.ts';
import { send } from '../../support/http/request.ts';
import { pattern } from '../../support/pattern.ts';
import { makeDirectory } from '../../support/server/reserves.ts';
import { InProcessServer, type RestartableServer } from '../../support/server/restartable-server.ts';
import { temporaryDirectory } from '../../support/server/server.ts';
import { ServerProcess } from '../../support/server/server-process.ts';
import { SharedServer } from '../../support/server/shared-server.ts';
import { parseEvents } from '../../support/streams/sse-reader.ts';
import { StreamPeer } from '../../support/streams/stream-peer.ts';
import { waitFor } from '../../support/wait-for.ts';
import { appendAll, sendBytes } from '../../support/websocket/appends.ts';
import { Peer } from '../../support/websocket/peer.ts';

const fileOf = (server: { root: string }, urlPath: string) => readFile(path.join(server.root, urlPath));

/** `HTTPFSTREAM_SOAK=1` kills servers with both durabilities, `npm test` with the one that does more. */
const KILLED = process.env.HTTPFSTREAM_SOAK ? ['disk', 'os'] : ['disk'];

/** More streams than are held open while nobody uses them. */
const MANY = process.env.HTTPFSTREAM_SOAK ? 1500 : 100;

const WAYS = [
  ['closed and started again', (root: string) => new InProcessServer(root)] as const,
  ...KILLED.map(
    (durability) =>
      [
        `killed and started again, with the durability ${durability}`,
        (root: string) => new ServerProcess(root, ['-durability', durability]),
      ] as const,
  ),
];

/** Of a stream as the server knows it, whatever a test calls it. */
const pathOf = (stream: StreamPeer) => new URL(stream.url).pathname;

describe.each(WAYS)('a server that is %s', (_, make) => {
  let directory: string;
  let server: RestartableServer;
  let shared: SharedServer;

  beforeAll(async () => {
    directory = await makeDirectory('quick');
    server = make(path.join(directory, 'root'));
    await server.start();
    shared = new SharedServer(server);
  });

  afterAll(async () => {
    await server.stop();
    await rm(directory, { recursive: true, force: true });
  });

  const it = test.extend('server', async ({ onTestFinished }) => {
    const guest = await shared.join();
    onTestFinished(() => guest.leave());
    return guest;
  }).concurrent;

  it('has the bytes, the content type and the offsets that it told', async ({ server }) => {
    const stream = new StreamPeer(server, '/a/b.txt', 'Text/Plain; Charset=UTF-8; x="y z"');
    expect((await stream.create({}, 'first ')).status).toBe(201);
    const middle = (await stream.append('second ')).nextOffset;
    const tail = (await stream.append('third')).nextOffset;

    await server.restart();
    const head = await stream.head();
    expect(head.headers['content-type']).toBe('Text/Plain; Charset=UTF-8; x="y z"');
    expect(head.nextOffset).toBe(tail);
    expect(head.headers['stream-closed']).toBeUndefined();
    expect((await stream.read()).text).toBe('first second third');
    expect(await stream.read(middle)).toMatchObject({ status: 200, text: 'third', nextOffset: tail });
    expect((await stream.create()).status).toBe(200);
    expect((await new StreamPeer(server, '/a/b.txt', 'text/html').create()).status).toBe(409);
    expect((await stream.append(' fourth')).status).toBe(204);
    expect((await stream.read(tail)).text).toBe(' fourth');
    await waitFor(
      async () => String(await fileOf(server, '/a/b.txt')) === 'first second third fourth',
      'the file to have it all',
    );
  });

  it('has entity tags that still match', async ({ server }) => {
    const stream = new StreamPeer(server, '/a');
    await stream.create({}, 'bytes');
    const { etag = '' } = (await stream.read()).headers;
    await server.restart();
    expect((await stream.read('-1', { 'if-none-match': etag })).status).toBe(304);
    await stream.append('more');
    expect((await stream.read('-1', { 'if-none-match': etag })).status).toBe(200);
  });

  it('has closed streams, however they were closed', async ({ server }) => {
    const [empty, whole, appended, alone] = ['/empty', '/whole', '/appended', '/alone'].map(
      (urlPath) => new StreamPeer(server, urlPath),
    ) as [StreamPeer, StreamPeer, StreamPeer, StreamPeer];
    await empty.create({ 'stream-closed': 'true' });
    await whole.create({ 'stream-closed': 'true' }, 'whole');
    await appended.create({}, 'begun, ');
    await appended.append('ended', { 'stream-closed': 'true' });
    await alone.create({}, 'alone');
    await alone.close();
    const contents = ['', 'whole', 'begun, ended', 'alone'];

    await server.restart();
    for (const [index, stream] of [empty, whole, appended, alone].entries()) {
      const answer = await stream.read();
      expect(answer.text).toBe(contents[index]);
      expect(answer.headers['stream-closed']).toBe('true');
      expect((await stream.head()).headers['stream-closed']).toBe('true');
      expect(await stream.longPoll(answer.nextOffset)).toMatchObject({
        status: 204,
        headers: { 'stream-closed': 'true' },
      });
      const refused = await stream.append('more');
      expect(refused).toMatchObject({ status: 409, nextOffset: answer.nextOffset });
      expect(refused.headers['stream-closed']).toBe('true');
      expect((await stream.close()).status).toBe(204);
      expect((await stream.create()).status).toBe(409);
      expect((await stream.create({ 'stream-closed': 'true' })).status).toBe(200);
      const events = parseEvents((await send('GET', `${stream.url}?offset=-1&live=sse`)).text);
      expect(JSON.parse(events.at(-1)?.data ?? '')).toMatchObject({ streamClosed: true });
    }
  });

  it('knows what each producer has appended, and which one closed the stream', async ({ server }) => {
    const stream = new StreamPeer(server, '/a');
    await stream.create();
    expect((await stream.produce('a0;', { id: 'a', seq: 0 })).status).toBe(200);
    expect((await stream.produce('a1;', { id: 'a', seq: 1 })).status).toBe(200);
    expect((await stream.produce('b0;', { id: 'b', epoch: 3, seq: 0 })).status).toBe(200);

    await server.restart();
    const again = await stream.produce('a1;', { id: 'a', seq: 1 });
    expect(again.status).toBe(204);
    expect(again.headers['producer-seq']).toBe('1');
    const gap = await stream.produce('a9;', { id: 'a', seq: 9 });
    expect(gap.status).toBe(409);
    expect(gap.headers).toMatchObject({ 'producer-expected-seq': '2', 'producer-received-seq': '9' });
    const fenced = await stream.produce('b0;', { id: 'b', epoch: 2, seq: 0 });
    expect(fenced.status).toBe(403);
    expect(fenced.headers['producer-epoch']).toBe('3');
    expect((await stream.produce('a2;', { id: 'a', seq: 2 })).status).toBe(200);
    expect(
      (await stream.produce('b1', { id: 'b', epoch: 3, seq: 1 }, { 'stream-closed': 'true' })).status,
    ).toBe(200);

    await server.restart();
    const closedAgain = await stream.produce(
      'b1',
      { id: 'b', epoch: 3, seq: 1 },
      { 'stream-closed': 'true' },
    );
    expect(closedAgain).toMatchObject({ status: 204, headers: { 'stream-closed': 'true' } });
    expect((await stream.produce('b2', { id: 'b', epoch: 3, seq: 2 })).status).toBe(409);
    expect((await stream.read()).text).toBe('a0;a1;b0;a2;b1');
  });

  it('knows a large batch of a producer: it is there once', async ({ server }) => {
    const stream = new StreamPeer(server, '/large');
    await stream.create();
    const large = pattern(0, 750_000).toString('hex');
    expect((await stream.produce('small;', { seq: 0 })).status).toBe(200);
    expect((await stream.produce(large, { seq: 1 })).status).toBe(200);
    await server.restart();
    expect((await stream.produce(large, { seq: 1 })).status).toBe(204);
    expect((await stream.produce(';end', { seq: 2 })).status).toBe(200);
    await server.restart();
    expect((await stream.readAll()).equals(Buffer.from(`small;${large};end`))).toBe(true);
    expect((await fileOf(server, '/large')).equals(Buffer.from(`small;${large};end`))).toBe(true);
  });

  it('knows the last Stream-Seq', async ({ server }) => {
    const stream = new StreamPeer(server, '/a');
    await stream.create();
    expect((await stream.append('1', { 'stream-seq': '0005' })).status).toBe(204);
    await server.restart();
    expect(await stream.append('x', { 'stream-seq': '0004' })).toMatchObject({ status: 409 });
    expect(await stream.append('x', { 'stream-seq': '0005' })).toMatchObject({
      status: 409,
      code: 'HFS_SEQUENCE_CONFLICT',
    });
    expect((await stream.append('2', { 'stream-seq': '0006' })).status).toBe(204);
    await server.restart();
    expect((await stream.append('x', { 'stream-seq': '0006' })).status).toBe(409);
    expect((await stream.read()).text).toBe('12');
  });

  it('has forks, and what is left of the streams that they come from', async ({ server }) => {
    const source = new StreamPeer(server, '/source');
    const fork = new StreamPeer(server, '/fork');
    const forkOfFork = new StreamPeer(server, '/fork-of-fork');
    await source.create({}, 'one ');
    await source.append('two ');
    expect((await fork.create({ 'stream-forked-from': pathOf(source) })).status).toBe(201);
    await fork.append('three ');
    expect((await forkOfFork.create({ 'stream-forked-from': pathOf(fork) })).status).toBe(201);
    await forkOfFork.append('four');
    await source.append('elsewhere');
    expect((await source.delete()).status).toBe(204);

    await server.restart();
    expect((await fork.read()).text).toBe('one two three ');
    expect((await forkOfFork.read()).text).toBe('one two three four');
    for (const answer of [await source.read(), await source.head(), await source.append('x')]) {
      expect(answer.status).toBe(410);
    }
    expect((await source.delete()).status).toBe(410);
    expect((await source.create()).status).toBe(409);
    expect(
      (await new StreamPeer(server, '/late').create({ 'stream-forked-from': pathOf(source) })).status,
    ).toBe(409);
    expect((await fork.create({ 'stream-forked-from': pathOf(source) })).status).toBe(200);
    expect((await fork.delete()).status).toBe(204);

    await server.restart();
    expect((await fork.read()).status).toBe(410);
    expect((await source.read()).status).toBe(410);
    expect((await forkOfFork.read()).text).toBe('one two three four');
    expect((await forkOfFork.delete()).status).toBe(204);
    await waitFor(async () => (await source.head()).status === 404, 'the source to be forgotten');
    await waitFor(async () => (await fork.head()).status === 404, 'the fork to be forgotten');

    await server.restart();
    expect((await source.create({}, 'anew')).status).toBe(201);
    expect((await source.read()).text).toBe('anew');
  });

  it('has JSON streams that are still arrays of the same values', async ({ server }) => {
    const stream = new StreamPeer(server, '/a', 'application/json');
    await stream.create({}, '[1, [2]]');
    const offset = (await stream.append('{"three":3.0}')).nextOffset;
    await server.restart();
    await stream.append('[4, 5]');
    expect((await stream.read()).text.replaceAll(/\s/g, '')).toBe('[1,[2],{"three":3.0},4,5]');
    expect((await stream.read(offset)).text.replaceAll(/\s/g, '')).toBe('[4,5]');
    expect((await stream.append('{')).status).toBe(400);
  });

  it('has nothing of a deleted stream, and everything of the one that was made in its place', async ({
    server,
  }) => {
    const gone = new StreamPeer(server, '/gone');
    const anew = new StreamPeer(server, '/anew');
    for (const stream of [gone, anew]) {
      await stream.create({}, 'old bytes, and rather many of them');
      await stream.produce('batch', { seq: 0 });
      await stream.append('in order', { 'stream-seq': '9' });
      expect((await stream.delete()).status).toBe(204);
    }
    await anew.create({}, 'new');

    await server.restart();
    expect((await gone.head()).status).toBe(404);
    expect((await gone.append('x')).status).toBe(404);
    expect((await anew.read()).text).toBe('new');
    expect((await anew.produce(' first', { seq: 0 })).status).toBe(200);
    expect((await anew.append(' second', { 'stream-seq': '1' })).status).toBe(204);
    await server.restart();
    expect((await anew.read()).text).toBe('new first second');
    expect(String(await fileOf(server, '/anew'))).toBe('new first second');
  });

  it('goes on after POSTs and sessions that took turns, and loses no byte of either', async ({ server }) => {
    const stream = new StreamPeer(server, '/log.txt');
    await stream.create();
    await stream.produce('post 0;', { seq: 0 });
    await appendAll(server, '/log.txt', 'session 0;');
    await stream.produce('post 1;', { seq: 1 });
    await appendAll(server, '/log.txt', 'session 1;');
    const expected = 'post 0;session 0;post 1;session 1;';
    expect((await stream.read()).text).toBe(expected);

    await server.restart();
    expect((await stream.read()).text).toBe(expected);
    expect((await stream.produce('post 1;', { seq: 1 })).status).toBe(204);
    expect((await stream.produce('post 2;', { seq: 2 })).status).toBe(200);
    expect(String(await fileOf(server, '/log.txt'))).toBe(`${expected}post 2;`);
  });

  it('has what a session had appended when it stopped in its middle', async ({ server }) => {
    const stream = new StreamPeer(server, '/log.txt');
    await stream.create({}, 'made by PUT;');
    await stream.produce('post 0;', { seq: 0 });
    const session = await Peer.open(server.url('/log.txt'), 'APPEND');
    await sendBytes(session, server, '/log.txt', 'a session under way;');
    await server.restart();
    expect((await stream.read()).text).toBe('made by PUT;post 0;a session under way;');
    const next = await stream.produce('post 0;', { seq: 0 });
    expect([204, 503]).toContain(next.status);
    expect(String(await fileOf(server, '/log.txt'))).toBe('made by PUT;post 0;a session under way;');
  });

  it('has everything of many streams, over several stops in a row', async ({ server }) => {
    const streams = Array.from({ length: 20 }, (_, index) => new StreamPeer(server, `/many/${index}`));
    const expected = streams.map(() => '');
    await Promise.all(streams.map((stream) => stream.create()));
    for (let round = 0; round < 2; round++) {
      await Promise.all(
        streams.map(async (stream, index) => {
          for (let k = 0; k < 4; k++) {
            const line = `stream ${index} round ${round} line ${k}\n`;
            expect((await stream.append(line)).status).toBe(204);
            expected[index] += line;
          }
        }),
      );
      await server.restart();
    }
    await server.restart();
    // This test is the last one of those that share the server: nothing has happened since. What was replayed once must stay.
    await server.restart();
    for (const [index, stream] of streams.entries()) {
      expect(String(await stream.readAll())).toBe(expected[index]);
      expect(String(await fileOf(server, `/many/${index}`))).toBe(expected[index]);
    }
  });

  it('has nothing of a body that was under way, and no file that nobody can name', async ({ server }) => {
    const stream = new StreamPeer(server, '/stream');
    await stream.create({}, 'bytes');
    let isSent = 0;
    const endless = async function* () {
      yield Buffer.alloc(2_000_000, 'x');
      isSent++;
      await new Promise(() => undefined);
    };
    const cut = [
      stream.append(endless()),
      new StreamPeer(server, '/made').create({}, endless()),
      send('PUT', server.url('/uploaded'), { body: endless() }),
    ].map((sending) => sending.catch(() => undefined));
    await waitFor(() => isSent === cut.length, 'the first bytes to be sent');
    await server.restart();
    await Promise.all(cut);
    expect((await stream.read()).text).toBe('bytes');
    expect((await new StreamPeer(server, '/made').head()).status).toBe(404);
    expect((await new StreamPeer(server, '/uploaded').head()).status).toBe(404);
    const incoming = path.join(shared.root, RESERVED, 'incoming');
    await waitFor(async () => (await readdir(incoming).catch(() => [])).length === 0, 'what was left to go');
  });

  it('leaves a file alone that somebody else put in the place of a stream', async ({ server }) => {
    const stream = new StreamPeer(server, '/a.txt');
    await stream.create({}, 'bytes of the stream');
    await stream.append(' and more');
    await server.restart(async () => {
      await writeFile(path.join(server.root, 'a.txt.new'), 'other');
      await rename(path.join(server.root, 'a.txt.new'), path.join(server.root, 'a.txt'));
    });
    expect((await stream.plain()).text).toBe('other');
    expect(String(await fileOf(server, '/a.txt'))).toBe('other');
  });
});

// With a server of its own: one that others use would not stop before they expire.
test.each(WAYS)(
  'a server that is %s knows when streams expire, and that they have while nobody served them',
  async (_, make) => {
    const server = make(path.join(await temporaryDirectory(), 'root'));
    onTestFinished(async () => {
      await server.stop();
    });
    await server.start();
    const expiresAt = new Date(Date.now() + 3_600_000).toISOString();
    const [sliding, fixed, short, soon] = ['/sliding', '/fixed', '/short', '/soon'].map(
      (urlPath) => new StreamPeer(server, urlPath),
    ) as [StreamPeer, StreamPeer, StreamPeer, StreamPeer];
    await sliding.create({ 'stream-ttl': '3600' }, 'sliding');
    await fixed.create({ 'stream-expires-at': expiresAt }, 'fixed');
    await short.create({ 'stream-ttl': '1' }, 'short');
    await soon.create({ 'stream-expires-at': new Date(Date.now() + 1000).toISOString() }, 'soon');
    const expired = Date.now() + 1200;

    await server.stop();
    await waitFor(() => Date.now() > expired, 'the short ones to expire');
    await server.start();
    expect((await sliding.head()).headers['stream-ttl']).toBe('3600');
    expect(Date.parse(String((await fixed.head()).headers['stream-expires-at']))).toBe(Date.parse(expiresAt));
    expect((await sliding.create({ 'stream-ttl': '3600' })).status).toBe(200);
    expect((await sliding.create({ 'stream-ttl': '3601' })).status).toBe(409);
    expect((await sliding.create()).status).toBe(409);
    for (const stream of [short, soon]) {
      expect((await stream.head()).status).toBe(404);
      expect((await stream.read()).status).toBe(404);
      expect((await stream.plain()).status).toBe(404);
      expect((await stream.append('late')).status).toBe(404);
      expect((await stream.create({}, 'anew')).status).toBe(201);
      expect((await stream.read()).text).toBe('anew');
    }
  },
);

test('a server keeps few files open and little in memory, however many streams there were', async () => {
  const server = await ServerProcess.start(await temporaryDirectory());
  const create = async (index: number) => {
    const stream = new StreamPeer(server, `/many/${index}`);
    expect((await stream.create()).status).toBe(201);
    expect((await stream.produce('line\n', { seq: 0 })).status).toBe(200);
    expect((await stream.close()).status).toBe(204);
  };
  let next = 0;
  const createSome = async () => {
    while (next < MANY) await create(next++);
  };
  await create(next++);
  const before = server.descriptorCount();
  await Promise.all(Array.from({ length: 16 }, createSome));
  await waitFor(() => server.descriptorCount() <= before + 20, 'files to be closed');
  await server.restart();
  expect(server.descriptorCount()).toBeLessThanOrEqual(before + 20);
  const last = new StreamPeer(server, `/many/${MANY - 1}`);
  expect((await last.produce('line\n', { seq: 0 })).status).toBe(409);
  expect((await last.read()).headers['stream-closed']).toBe('true');
});
