import { stat } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { append, openAppend } from '../../src/client/index.ts';
import { parseUpstream } from '../../src/relay/upstream/upstream-option.ts';
import { AppendFile } from '../../src/storage/stored-file.ts';
import { ResourcePath } from '../../src/wire/resource-path.ts';
import { type BareRelay, F, NOBODY, startRelay } from '../support/relay/bare-relay.ts';
import { ScriptedServer } from '../support/relay/scripted.ts';
import { waitFor, waitForRemoval, waitForSize } from '../support/wait-for.ts';

const G = ResourcePath.parse('/g');

const BYTES = 100_000;

/** Has files of so many bytes at the origin, and here. */
async function fetchAll({ origin, relay }: BareRelay, paths: readonly ResourcePath[]): Promise<void> {
  for (const resource of paths) {
    await append(origin.url(resource.toString()), [Buffer.alloc(BYTES)]);
    await relay.ready(resource, NOBODY);
    await waitFor(() => !relay.isFetching(resource), 'it to be here');
  }
}

/** Holds back what is deleted. */
function holdDeletions({ core }: BareRelay) {
  const { streams } = core;
  const remove = streams.delete.bind(streams);
  let release = () => {};
  const released = new Promise<void>((resolve) => {
    release = resolve;
  });
  const deletions = vi.spyOn(streams, 'delete').mockImplementation(async (resource) => {
    await released;
    await remove(resource);
  });
  onTestFinished(() => release());
  return { release, hasBegun: () => deletions.mock.calls.length > 0 };
}

const isFollowed = ({ origin }: BareRelay) =>
  origin.requests.filter((request) => request.startsWith('GET /f FOLLOW')).length;

describe('nothing is fetched in the place of what is being deleted', () => {
  test('because it was read longest ago', async () => {
    const server = await startRelay({ keepBytes: BYTES + 8192 });
    const { release, hasBegun } = holdDeletions(server);
    await fetchAll(server, [F, G]);
    await waitFor(hasBegun, 'room to be made');
    const asked = isFollowed(server);
    const ready = server.relay.ready(F, NOBODY);
    await server.relay.ready(G, NOBODY);
    expect([server.relay.isFetching(F), isFollowed(server)]).toEqual([false, asked]);
    release();
    await ready;
    await waitFor(() => !server.relay.isFetching(F), 'it to be here again');
    expect((await stat(path.join(server.root, 'f'))).size).toBe(BYTES);
  });

  test('because somebody wants it anew', async () => {
    const server = await startRelay();
    const { release, hasBegun } = holdDeletions(server);
    await fetchAll(server, [F]);
    const invalidated = server.relay.invalidate(F);
    const asked = isFollowed(server);
    const ready = server.relay.ready(F, NOBODY);
    await waitFor(hasBegun, 'it to be deleted');
    await server.relay.ready(G, NOBODY).catch(() => undefined);
    expect([server.relay.isFetching(F), isFollowed(server)]).toEqual([false, asked]);
    release();
    await invalidated;
    await ready;
    await waitFor(() => !server.relay.isFetching(F), 'it to be here again');
    expect((await stat(path.join(server.root, 'f'))).size).toBe(BYTES);
  });

  test('nor when that is done, and the server closes', async () => {
    const server = await startRelay();
    const { release, hasBegun } = holdDeletions(server);
    await fetchAll(server, [F]);
    const invalidated = server.relay.invalidate(F);
    await waitFor(hasBegun, 'it to be deleted');
    const refused = expect(server.relay.ready(F, NOBODY)).rejects.toMatchObject({
      code: 'HFS_SERVER_CLOSING',
    });
    await server.relay.close();
    release();
    await invalidated;
    await refused;
    expect(server.relay.isFetching(F)).toBe(false);
  });
});

test('what was not found at the start is counted when it is read', async () => {
  const first = await startRelay();
  await fetchAll(first, [F, G]);
  const { core, origin, root } = first;
  const files = vi.spyOn(core.records, 'files').mockImplementation(() => {
    throw new Error('the disk is broken');
  });
  const { relay, lines } = await startRelay({
    core,
    keepBytes: BYTES + 8192,
    upstreams: [parseUpstream(origin.url(''))],
  });
  await relay.findCopies();
  expect(lines).toEqual([expect.stringContaining('what is kept may be more than is known')]);
  files.mockRestore();
  await relay.ready(F, NOBODY);
  await relay.ready(G, NOBODY);
  await waitForRemoval(path.join(root, 'f'));
});

test('who has gone before it was found out what the upstream is waits for nothing', async () => {
  const { relay, core } = await startRelay();
  const readable = vi.spyOn(core.records, 'readable').mockImplementation(() => new Promise(() => undefined));
  onTestFinished(() => readable.mockRestore());
  const client = new AbortController();
  const ready = relay.ready(F, { ...NOBODY, waitMs: 600_000, signal: client.signal });
  client.abort();
  await expect(ready).rejects.toMatchObject({ name: 'AbortError' });
  expect(relay.isFetching(F)).toBe(false);
});

describe('what is written by way of here while it is fetched', () => {
  test('is read at the upstream by who asks for all of it, until that is over, and followed here', async () => {
    const { relay, origin } = await startRelay();
    const appender = openAppend(origin.url('/f'));
    appender.write('one');
    await waitForSize(path.join(origin.root, 'f'), 3);
    expect(await relay.ready(F, NOBODY)).toMatchObject({ way: 'coming', fetched: { committed: 3 } });
    relay.changed(F);
    expect(await relay.ready(F, NOBODY)).toEqual({ way: 'pass' });
    expect(await relay.readyIfHere(F, NOBODY)).toMatchObject({ way: 'pass' });
    expect(await relay.ready(F, { ...NOBODY, follows: true })).toMatchObject({
      way: 'coming',
      fetched: { committed: 3 },
    });
    appender.end('two');
    await waitFor(() => !relay.isFetching(F), 'the end');
    const asked = origin.requests.length;
    expect(await relay.ready(F, NOBODY)).toMatchObject({ way: 'stored' });
    expect(origin.requests.length).toBeGreaterThan(asked);
  });
});

test('a part is not waited for until its end is known', async () => {
  const { relay, origin } = await startRelay();
  await append(origin.url('/f'), [Buffer.alloc(BYTES)]);
  let release = () => {};
  const released = new Promise<void>((resolve) => {
    release = resolve;
  });
  const spy = vi.spyOn(AppendFile.prototype, 'sync').mockImplementation(() => released);
  onTestFinished(() => {
    release();
    spy.mockRestore();
  });
  await relay.ready(F, NOBODY);
  await waitFor(() => spy.mock.calls.length > 0, 'all of it');
  expect(await relay.readyIfHere(F, NOBODY)).toMatchObject({ fetched: { size: BYTES } });
});

test('who waits does not have a server asked again at once that is away', async () => {
  const server = await ScriptedServer.start((_request, socket) => void socket.destroy());
  const { relay } = await startRelay({ upstreams: [parseUpstream(server.url)] });
  const client = new AbortController();
  onTestFinished(() => client.abort());
  const waiter = { ...NOBODY, waitMs: 600_000, signal: client.signal };
  await expect(relay.ready(F, waiter)).rejects.toMatchObject({ code: 'HFS_UPSTREAM' });
  const asked = server.requests.length;
  await expect(relay.ready(F, waiter)).rejects.toMatchObject({ code: 'HFS_UPSTREAM' });
  expect(server.requests).toHaveLength(asked);
});
