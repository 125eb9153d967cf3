import path from 'node:path';
import { expect, onTestFinished, test, vi } from 'vitest';
import { append, openAppend } from '../../src/client/index.ts';
import { Core } from '../../src/core/core.ts';
import type { Upstream } from '../../src/relay/upstream/upstream.ts';
import { parseUpstream } from '../../src/relay/upstream/upstream-option.ts';
import { Upstreams } from '../../src/relay/upstreams.ts';
import { ResourcePath } from '../../src/wire/resource-path.ts';
import { F, NOBODY, startRelay } from '../support/relay/bare-relay.ts';
import { ScriptedServer, say } from '../support/relay/scripted.ts';
import { temporaryDirectory } from '../support/server/server.ts';
import { waitFor, waitForSize } from '../support/wait-for.ts';

const DAY_MS = 24 * 3_600_000;

async function openCore() {
  const core = await Core.open(await temporaryDirectory(), { durability: 'os', graceMs: 0, fileMode: 0o644 });
  onTestFinished(() => core.close());
  return core;
}

/** As a process that has just begun. */
function start(core: Core, url = 'http://h/base') {
  const upstreams = new Upstreams([parseUpstream(url)], core);
  return { upstreams, upstream: upstreams.of(ResourcePath.parse('/f')) as Upstream };
}

async function isRecalled(core: Core, url?: string): Promise<boolean> {
  const { upstreams, upstream } = start(core, url);
  await upstreams.recall(upstream);
  return upstream.wasHttpfstream;
}

test('what was an httpfstream server is known to have been one after a restart, for a week, and no other one', async () => {
  const core = await openCore();
  const { upstreams, upstream } = start(core);
  await upstreams.recall(upstream);
  upstream.kind = 'http';
  await upstreams.note(upstream);
  expect(await isRecalled(core)).toBe(false);
  upstream.kind = 'httpfstream';
  await upstreams.note(upstream);
  expect([await isRecalled(core), await isRecalled(core, 'http://h/other')]).toEqual([true, false]);
  vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 6 * DAY_MS });
  onTestFinished(() => void vi.useRealTimers());
  expect(await isRecalled(core)).toBe(true);
  // It goes on to be one.
  await upstreams.note(upstream);
  vi.setSystemTime(Date.now() + 6 * DAY_MS);
  expect(await isRecalled(core)).toBe(true);
  vi.setSystemTime(Date.now() + 2 * DAY_MS);
  expect(await isRecalled(core)).toBe(false);
});

test('what cannot be read, or noted, at the moment is tried again', async () => {
  const core = await openCore();
  const { upstreams, upstream } = start(core);
  upstream.kind = 'httpfstream';
  const failing = () => Promise.reject(new Error('the disk is broken'));
  const write = vi.spyOn(core.records, 'write').mockImplementationOnce(failing);
  await upstreams.note(upstream);
  expect(await isRecalled(core)).toBe(false);
  await upstreams.note(upstream);
  expect([write.mock.calls.length, await isRecalled(core)]).toEqual([2, true]);
  const next = start(core);
  vi.spyOn(core.records, 'readable').mockImplementationOnce(failing);
  await expect(next.upstreams.recall(next.upstream)).rejects.toThrow('the disk is broken');
  await next.upstreams.recall(next.upstream);
  expect(next.upstream.wasHttpfstream).toBe(true);
});

test('what is used as an httpfstream server is known as one, though nothing else is found out of it', async () => {
  const { core, relay, origin } = await startRelay();
  const appender = openAppend(origin.url('/f'));
  onTestFinished(() => void appender.on('error', () => undefined).destroy());
  appender.write('one');
  await waitForSize(path.join(origin.root, 'f'), 3);
  vi.useFakeTimers({ toFake: ['Date'], now: Date.now() });
  onTestFinished(() => void vi.useRealTimers());
  const isKnown = () => isRecalled(core, origin.url(''));
  expect(await relay.kindOf(F, NOBODY)).toBe('httpfstream');
  vi.setSystemTime(Date.now() + 8 * DAY_MS);
  expect(await isKnown()).toBe(false);
  await relay.kindOf(F, NOBODY);
  await waitFor(isKnown, 'it to be noted as it is asked what it is');
  await relay.ready(F, NOBODY);
  vi.setSystemTime(Date.now() + 8 * DAY_MS);
  await waitFor(isKnown, 'it to be noted while something is followed');
});

test('a server that a plain HTTP server has replaced is forgotten after a week, with what is here of it', async () => {
  const { relay, origin } = await startRelay();
  await append(origin.url('/f'), ['one']);
  await relay.ready(F, NOBODY);
  await waitFor(() => !relay.isFetching(F), 'it to be here');
  await origin.app.close();
  await ScriptedServer.start((_request, socket) => say(socket, '200 OK', {}, 'page'), origin.port);
  vi.useFakeTimers({ toFake: ['Date'], now: Date.now() });
  onTestFinished(() => void vi.useRealTimers());
  const size = async () => {
    relay.changed(F);
    await relay.ready(F, NOBODY);
    await waitFor(() => !relay.isFetching(F), 'it to be looked at');
    return (await relay.storedAt(F))?.copied.size;
  };
  for (let day = 0; day < 7; day += 2) {
    expect([day, await size(), relay.upstreamOf(F)?.kind]).toEqual([day, undefined, undefined]);
    vi.setSystemTime(Date.now() + 2 * DAY_MS);
  }
  expect([await size(), relay.upstreamOf(F)?.kind]).toEqual([4, 'http']);
});
