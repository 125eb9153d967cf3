import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { Core } from '../../../src/core/core.ts';
import { Copies } from '../../../src/relay/copies/copies.ts';
import { Copying, type Source } from '../../../src/relay/pull/copying.ts';
import { HeldPaths } from '../../../src/relay/pull/held-paths.ts';
import { PullLog } from '../../../src/relay/pull/pull-log.ts';
import { PullProgress } from '../../../src/relay/pull/pull-state.ts';
import { Forwarder } from '../../../src/relay/upstream/forward.ts';
import { Upstream } from '../../../src/relay/upstream/upstream.ts';
import { parseUpstream } from '../../../src/relay/upstream/upstream-option.ts';
import { UpstreamRequest } from '../../../src/relay/upstream/upstream-request.ts';
import { AppendFile } from '../../../src/storage/stored-file.ts';
import { ResourcePath } from '../../../src/wire/resource-path.ts';
import { temporaryDirectory } from '../../support/server/server.ts';
import { waitFor } from '../../support/wait-for.ts';

const F = ResourcePath.parse('/f');

const MIB = 1024 * 1024;

/** @param before done before it is appended to the copy */
async function start(contentType: string | undefined, before: (copying: Copying) => void = () => undefined) {
  const root = await temporaryDirectory();
  const core = await Core.open(root, { durability: 'os', graceMs: 0, fileMode: 0o644 });
  onTestFinished(() => core.close());
  const upstream = new Upstream(parseUpstream('http://h'));
  const { signal } = new AbortController();
  const request = new UpstreamRequest(
    { path: F, upstream, via: '1.1 relay', signal },
    { forwarder: new Forwarder(), headTimeoutMs: 1000, silenceMs: 1000 },
  );
  const none = () => undefined;
  const copying = new Copying(request, new Copies(core, Number.MAX_SAFE_INTEGER).at(F), new PullProgress(), {
    sessions: core.sessions,
    numbers: core.numbers.appends.pull,
    held: new HeldPaths(),
    log: new PullLog({ debug: none, info: none, warn: none }, F, upstream),
    maxBytes: Number.MAX_SAFE_INTEGER,
  });
  const stops: (Error | undefined)[] = [];
  const source: Source = { resume: none, stop: (error) => stops.push(error), tooLong: none };
  copying.noteSize(undefined, false);
  before(copying);
  const lease = await copying.begin(undefined, { generation: 7, contentType, isAtomic: false }, source);
  return { root, core, copying, lease, stops };
}

describe('of JSON', () => {
  test('a value that never ends is not waited for', async () => {
    const { copying, lease, stops } = await start('application/json');
    copying.take(Buffer.from('{"a":1}\n"'));
    for (let bytes = 0; bytes < 16 * MIB; bytes += MIB) copying.take(Buffer.alloc(MIB, 'x'));
    expect(stops[0]?.message).toContain('a value has more than');
    await lease.end('shutdown');
  });

  test('what ends in the middle of a value has not finished', async () => {
    const { root, copying, lease } = await start('application/json');
    copying.take(Buffer.from('{"a":1}\n{"b'));
    await expect(copying.end({ reason: 'finished' })).rejects.toMatchObject({ code: 'HFS_UPSTREAM' });
    await lease.end('shutdown');
    expect(await readFile(path.join(root, 'f'), 'utf8')).toBe('{"a":1}\n');
  });
});

test('a copy is called whole when it is on the disk, not sooner', async () => {
  const { copying } = await start(undefined);
  const outcomes: (string | undefined)[] = [];
  const sync = AppendFile.prototype.sync;
  const spy = vi.spyOn(AppendFile.prototype, 'sync').mockImplementation(async function (this: AppendFile) {
    const copied = await copying.copy.look();
    outcomes.push(typeof copied === 'object' ? copied.outcome?.reason : 'nothing');
    return sync.call(this);
  });
  onTestFinished(() => spy.mockRestore());
  copying.take(Buffer.from('content'));
  await waitFor(() => copying.committed === 7, 'the bytes');
  await copying.end({ reason: 'finished' });
  expect(outcomes).toEqual([undefined]);
  expect(await copying.copy.look()).toMatchObject({ outcome: { reason: 'finished' }, size: 7 });
});

test('what becomes of the appender, and of the connection, while the copy is opened is known then', async () => {
  const { copying, lease } = await start(undefined, (early) => {
    early.waiting(true);
    early.connected(false);
  });
  const told = [copying.progress.state, lease.feed.isWaiting];
  copying.connected(true);
  told.push(copying.progress.state);
  await lease.end('shutdown');
  const storing = (isConnected: boolean) => ({ phase: 'storing', isReadable: true, isConnected });
  expect(told).toEqual([storing(false), true, storing(true)]);
});

test('what ends before all has come that was there at the beginning has not finished', async () => {
  const { copying, lease } = await start(undefined);
  copying.noteSize(10, true);
  copying.take(Buffer.from('some'));
  await expect(copying.end({ reason: 'finished' })).rejects.toMatchObject({ code: 'HFS_UPSTREAM' });
  await lease.end('shutdown');
  expect(await copying.copy.look()).toMatchObject({ outcome: undefined, size: 4 });
});
