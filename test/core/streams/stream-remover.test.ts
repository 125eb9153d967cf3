import { readdir } from 'node:fs/promises';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import type { FeedRegistry } from '../../../src/core/feed-registry.ts';
import { StreamRegistry } from '../../../src/core/streams/stream-registry.ts';
import { Records } from '../../../src/storage/records/records.ts';
import { ResourcePath } from '../../../src/wire/resource-path.ts';
import { startCore } from '../../support/core-harness.ts';
import { RESERVED } from '../../support/root-files.ts';
import { storedIn } from '../../support/stored-records.ts';
import { appendLine, makeStream, textOf } from '../../support/streams-core.ts';
import { waitFor } from '../../support/wait-for.ts';

const STREAM = ResourcePath.parse('stream');

/** Which files a root remembers that are being removed. */
async function removalsIn(root: string): Promise<string[]> {
  return [...(await storedIn(root)).keys()].filter((key) => key.startsWith('removal!'));
}

/** Lets something happen when the next change was written. */
function onceWritten(happens: () => Promise<void>): void {
  const { write } = Records.prototype;
  const writing = vi.spyOn(Records.prototype, 'write');
  onTestFinished(() => writing.mockRestore());
  writing.mockImplementationOnce(async function late(this: Records, ...args) {
    await write.apply(this, args);
    await happens();
  });
}

describe('a stream that has outlived its time when somebody comes who saw it live', () => {
  const TTL_SECONDS = 100;

  async function streamWithTime() {
    vi.useFakeTimers({ toFake: ['Date'] });
    onTestFinished(() => {
      vi.useRealTimers();
    });
    const core = await startCore();
    onTestFinished(() => core.registry.close());
    await makeStream(core.registry, 'stream', 'first\n', { ttlSeconds: TTL_SECONDS });
    return core;
  }

  /** Somebody has opened it in time, and holds it only when `come` is called. */
  function onTheWay(registry: FeedRegistry) {
    const { acquire } = StreamRegistry.prototype;
    const acquiring = vi.spyOn(StreamRegistry.prototype, 'acquire');
    onTestFinished(() => acquiring.mockRestore());
    let goOn = () => {};
    const told = new Promise<void>((resolve) => {
      goOn = resolve;
    });
    let held: Promise<unknown> | undefined;
    acquiring.mockImplementationOnce(function late(this: StreamRegistry, ...args) {
      const stream = told.then(() => acquire.apply(this, args));
      held = stream;
      return stream;
    });
    const appended = appendLine(registry, 'stream', 'second\n');
    const come = async () => {
      goOn();
      await held;
    };
    return { come, appended, isOnTheWay: () => held !== undefined };
  }

  test('stays for an append that comes while it is being deleted, and can be deleted later', async () => {
    const { registry, directory } = await streamWithTime();
    const { come, appended, isOnTheWay } = onTheWay(registry);
    await waitFor(isOnTheWay, 'the file to be open');
    vi.setSystemTime(Date.now() + TTL_SECONDS * 1000);
    onceWritten(come);
    const file = await registry.streams.open(STREAM);
    await file.close();
    await appended;
    expect(await removalsIn(directory)).toEqual([]);
    await registry.streams.touch(file.stat.fingerprint, { version: 1, size: 0, ttlSeconds: TTL_SECONDS });
    expect(await textOf(registry, 'stream')).toBe('first\nsecond\n');
    vi.setSystemTime(Date.now() + TTL_SECONDS * 1000);
    await expect(registry.streams.open(STREAM)).rejects.toMatchObject({ code: 'HFS_RESOURCE_NOT_FOUND' });
    expect([await readdir(directory), await removalsIn(directory)]).toEqual([[RESERVED], []]);
  });

  test('stays when it is used while it is being deleted', async () => {
    const { registry, directory } = await streamWithTime();
    const { fingerprint } = await registry.streams.open(STREAM).then(async (file) => {
      await file.close();
      return file.stat;
    });
    vi.setSystemTime(Date.now() + TTL_SECONDS * 1000);
    onceWritten(async () => {
      void registry.streams.touch(fingerprint, { version: 1, size: 0, ttlSeconds: TTL_SECONDS });
    });
    expect(await textOf(registry, 'stream')).toBe('first\n');
    expect(await removalsIn(directory)).toEqual([]);
  });

  test('is deleted all the same by who asks for that', async () => {
    const { registry, directory } = await streamWithTime();
    onceWritten(async () => {
      const stream = await registry.streams.acquire(STREAM);
      registry.streams.release(stream);
    });
    await registry.streams.delete(STREAM);
    expect(await readdir(directory)).toEqual([RESERVED]);
  });
});
