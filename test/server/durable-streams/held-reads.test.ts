import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { StreamStore } from '../../../src/core/streams/stream-store.ts';
import { storageFailure } from '../../../src/storage/storage-failure.ts';
import { prepareKilledRoots } from '../../support/core/crash-root.ts';
import { systemError } from '../../support/disk/small-disk.ts';
import { send } from '../../support/http/request.ts';
import { InProcessServer } from '../../support/server/restartable-server.ts';
import { StreamPeer } from '../../support/streams/stream-peer.ts';
import { refusalOf } from '../../support/websocket/v2-peer.ts';

/** What the killed server had acknowledged. */
const TEXT = 'two 0\ntwo 1\ntwo 2\n';

/** A well-formed offset, as a reader has it that was told everything. */
const OFFSET = `1700000000000000_${String(TEXT.length).padStart(16, '0')}`;

const takeKilledRoot = prepareKilledRoots({ os: 8 });

/** A server that could not bring `two` up to date after the one before it was killed. */
async function startHeld(code: string) {
  const { save } = StreamStore.prototype;
  const saving = vi.spyOn(StreamStore.prototype, 'save');
  saving.mockImplementation(async function limited(this: StreamStore, ...args) {
    if (args[1] === 'two') throw storageFailure(systemError(code));
    await save.apply(this, args);
  });
  onTestFinished(() => saving.mockRestore());
  const server = new InProcessServer(takeKilledRoot());
  onTestFinished(() => server.stop());
  await server.start();
  saving.mockRestore();
  return { server, two: new StreamPeer(server, '/two') };
}

describe.each([
  ['the disk is full', 'ENOSPC', 507, 'HFS_STORAGE_FULL'],
  ['the disk is broken', 'EIO', 500, 'HFS_STORAGE_ERROR'],
] as const)('a stream that a start could not bring up to date since %s', (_why, cause, status, code) => {
  test('is read by nobody: what was acknowledged is not denied, nor is less of it said to be all', async () => {
    const { server, two } = await startHeld(cause);
    const answers = {
      appended: await two.produce('two 3\n', { id: 'p', seq: 3 }),
      repeated: await two.produce('two 2\n', { id: 'p', seq: 2 }),
      fromStart: await two.read(),
      fromEnd: await two.read('now'),
      fromOffset: await two.read(OFFSET),
      longPoll: await two.longPoll(OFFSET),
      events: await send('GET', `${two.url}?offset=-1&live=sse`),
      eventsAgain: await send('GET', `${two.url}?offset=-1&live=sse`, {
        headers: { 'last-event-id': OFFSET },
      }),
      plain: await two.plain(),
      range: await two.plain({ range: 'bytes=6-' }),
      liveRange: await two.plain({ range: 'bytes=6-9007199254740991' }),
      cached: await two.plain({ 'if-none-match': '*' }),
      follow: await send('GET', `${two.url}?verb=FOLLOW`),
      followLines: await send('GET', `${two.url}?verb=FOLLOW&lines=1`),
      madeAgain: await two.create(),
      stored: await send('PUT', two.url, { body: TEXT }),
      fork: await new StreamPeer(server, '/fork-of-two').create({ 'stream-forked-from': '/two' }),
      deletedIf: await send('DELETE', two.url, { headers: { 'if-match': '"some"' } }),
    };
    const told = Object.entries(answers).map(([name, answer]) => [
      name,
      answer.status,
      answer.code,
      Object.keys(answer.headers).filter((header) => header.startsWith('stream-')),
    ]);
    expect(told).toEqual(Object.keys(answers).map((name) => [name, status, code, []]));
    const head = await two.head();
    expect([head.status, head.nextOffset, head.headers.etag]).toEqual([status, '', undefined]);
  });

  test('is followed by nobody over a WebSocket', async () => {
    const { two } = await startHeld(cause);
    for (const query of [{}, { lines: 1 }, { from: 6 }]) {
      expect(await refusalOf(two.url, 'FOLLOW', query)).toEqual([status, code]);
    }
  });

  test('is there with everything at a later start, as all others are at once', async () => {
    const { server, two } = await startHeld(cause);
    expect((await new StreamPeer(server, '/one').read()).text).toContain('one 0\none 1\none 2\n');
    await server.restart();
    const answer = await two.read();
    expect([answer.text, answer.headers['stream-up-to-date']]).toEqual([TEXT, 'true']);
    expect((await two.plain()).text).toBe(TEXT);
    expect((await two.produce('two 2\n', { id: 'p', seq: 2 })).status).toBe(204);
  });

  test('can be deleted', async () => {
    const { server, two } = await startHeld(cause);
    expect((await two.delete()).status).toBe(204);
    expect((await two.create({}, 'new')).status).toBe(201);
    expect((await two.read()).text).toBe('new');
    await server.restart();
    expect((await two.read()).text).toBe('new');
  });
});
