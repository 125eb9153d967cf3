import { appendFile, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import type { Core } from '../../../src/core/core.ts';
import { NO_LIMITS } from '../../../src/core/limits/limits.ts';
import type { QuotaRule } from '../../../src/core/limits/quotas.ts';
import { Permit } from '../../../src/core/permit.ts';
import { NewFile } from '../../../src/storage/new-file.ts';
import { NOT_DURABLE } from '../../../src/storage/records/records.ts';
import { AppendFile } from '../../../src/storage/stored-file.ts';
import {
  QuotaExceededError,
  ResourceTooLargeError,
  StorageBusyError,
  StorageFullError,
} from '../../../src/wire/errors.ts';
import { ResourcePath } from '../../../src/wire/resource-path.ts';
import { join, RecordingOwner, startCore, writeInLine } from '../../support/core/harness.ts';
import { makeWalksLong } from '../../support/core/long-walk.ts';
import { systemError } from '../../support/disk/small-disk.ts';
import { temporaryDirectory } from '../../support/server/server.ts';
import { waitFor } from '../../support/wait-for.ts';

const ALL: QuotaRule = { pattern: '/**', bytes: 1000 };
const BUILDS: QuotaRule = { pattern: '/builds/*/**', bytes: 100 };

const own = (name: string) => Permit.own(ResourcePath.parse(name));

async function startWith(quotas: readonly QuotaRule[], directory?: string, maxResourceBytes?: number) {
  const limits = { ...NO_LIMITS, quotas, ...(maxResourceBytes && { maxResourceBytes }) };
  return startCore({ limits, ...(directory && { directory }) });
}

/** How many bytes each counts. */
const used = (core: Core) =>
  core.limits.quotas.all.map(({ usedBytes, takenBytes }) => [usedBytes, takenBytes]);

async function put(core: Core, name: string, bytes: number) {
  const request = { contentType: 'text/plain', isUpload: false, isClosed: false };
  const rest = { ttlSeconds: undefined, expiresAt: undefined, fork: undefined };
  return core.streams.create(own(name), { ...request, ...rest }, Buffer.alloc(bytes, '.'));
}

async function post(core: Core, name: string, bytes: number) {
  const resource = await core.resources.acquire(own(name));
  try {
    const append = { contentType: 'text/plain', seq: undefined, producer: undefined, close: false };
    await resource.append({ ...append, bytes: Buffer.alloc(bytes, '.') });
  } finally {
    core.resources.release(resource);
  }
}

test('what is made, appended, and deleted adds to all that match', async () => {
  const { core, open } = await startWith([ALL, BUILDS]);
  await put(core, '/builds/a/log', 10);
  await post(core, '/builds/a/log', 5);
  await put(core, '/other', 100);
  expect(used(core)).toEqual([
    [115, 0],
    [15, 0],
  ]);
  const lease = await open('/builds/b/log');
  lease.append(Buffer.alloc(20));
  await lease.end('finished');
  expect(used(core)).toEqual([
    [135, 0],
    [35, 0],
  ]);
  await core.streams.delete(own('/builds/a/log'));
  expect(used(core)).toEqual([
    [120, 0],
    [20, 0],
  ]);
});

describe('what does not fit is refused as a whole', () => {
  test('of a session, which ends; what was taken before is there, and followers have it', async () => {
    const { core, open, contents } = await startWith([{ pattern: '/**', bytes: 10 }]);
    const owner = new RecordingOwner();
    const lease = await open('/f', owner);
    const follower = join(lease);
    expect(lease.append(Buffer.from('12345678'))).toBe(true);
    lease.append(Buffer.from('abc'));
    lease.append(Buffer.from('d'));
    await lease.end('finished');
    expect(owner.failures).toEqual([expect.any(QuotaExceededError)]);
    expect((await contents('f')).toString()).toBe('12345678');
    expect([follower.bytes.toString(), follower.endReason]).toEqual(['12345678', 'interrupted']);
    expect(used(core)).toEqual([[8, 0]]);
    // There is room for these.
    const next = await open('/f');
    next.append(Buffer.from('90'));
    await next.end('finished');
    expect((await contents('f')).toString()).toBe('1234567890');
  });

  test('of a POST, of which others that fit are made', async () => {
    const { core, contents } = await startWith([{ pattern: '/**', bytes: 10 }]);
    await put(core, '/f', 4);
    const results = await Promise.allSettled([5, 2, 1, 1].map((bytes) => post(core, '/f', bytes)));
    const sizes = [5, 2, 1, 1].filter((_, i) => results[i]?.status === 'fulfilled');
    const made = sizes.reduce((sum, bytes) => sum + bytes, 4);
    expect(made).toBeLessThanOrEqual(10);
    expect(sizes.length).toBeLessThan(4);
    for (const result of results) {
      if (result.status === 'rejected') expect(result.reason).toBeInstanceOf(QuotaExceededError);
    }
    expect((await contents('f')).length).toBe(made);
    expect(used(core)).toEqual([[made, 0]]);
  });

  test('and what the disk refuses takes no room', async () => {
    writeInLine();
    const { core, open } = await startWith([{ pattern: '/**', bytes: 10 }]);
    await put(core, '/f', 1);
    const failing = vi.spyOn(AppendFile.prototype, 'writeInLine').mockImplementation(() => {
      throw systemError('ENOSPC');
    });
    onTestFinished(() => failing.mockRestore());
    await expect(post(core, '/f', 9)).rejects.toThrow(StorageFullError);
    const lease = await open('/g');
    lease.append(Buffer.alloc(9));
    await lease.end('finished');
    expect(lease.failure).toBeInstanceOf(StorageFullError);
    expect(used(core)).toEqual([[1, 0]]);
    failing.mockRestore();
    await post(core, '/f', 9);
    expect(used(core)).toEqual([[10, 0]]);
  });

  test('of what is to be made', async () => {
    const { core } = await startWith([{ pattern: '/a/**', bytes: 10 }]);
    await expect(put(core, '/a/f', 11)).rejects.toThrow(QuotaExceededError);
    expect(used(core)).toEqual([[0, 0]]);
    await put(core, '/a/f', 10);
    await put(core, '/b/f', 1000);
    expect(used(core)).toEqual([[10, 0]]);
  });

  test('of a resource that would become too long', async () => {
    const { core, open, contents } = await startWith([], undefined, 10);
    await expect(put(core, '/a', 11)).rejects.toThrow(ResourceTooLargeError);
    await put(core, '/a', 10);
    await expect(post(core, '/a', 1)).rejects.toThrow(ResourceTooLargeError);
    const owner = new RecordingOwner();
    const lease = await open('/b', owner);
    lease.append(Buffer.alloc(6));
    lease.append(Buffer.alloc(5));
    await lease.end('finished');
    expect(owner.failures).toEqual([expect.any(ResourceTooLargeError)]);
    expect((await contents('b')).length).toBe(6);
  });
});

test('a repeated append of a producer is answered though there is no room any more', async () => {
  const { core } = await startWith([{ pattern: '/**', bytes: 10 }]);
  await put(core, '/f', 0);
  const resource = await core.resources.acquire(own('/f'));
  const append = { contentType: 'text/plain', seq: undefined, close: false, bytes: Buffer.alloc(10) };
  const producer = { id: 'p', epoch: 0, seq: 0 };
  expect((await resource.append({ ...append, producer })).isRepeated).toBe(false);
  expect((await resource.append({ ...append, producer })).isRepeated).toBe(true);
  core.resources.release(resource);
});

test('what other programs have done is counted by the next start, which has the numbers of before at once', async () => {
  const directory = await temporaryDirectory();
  await writeFile(path.join(directory, 'there'), 'x'.repeat(300));
  const first = await startWith([ALL], directory);
  // Nothing was remembered, so that it was counted first.
  expect(used(first.core)).toEqual([[300, 0]]);
  await put(first.core, '/made', 50);
  await first.core.close();
  await rm(path.join(directory, 'there'));
  const second = await startWith([ALL], directory);
  expect(used(second.core)).toEqual([[350, 0]]);
  await second.core.limits.quotas.corrected();
  expect(used(second.core)).toEqual([[50, 0]]);
});

test('the walk counts what is there, whatever happens meanwhile', async () => {
  const { core, open } = await startWith([{ pattern: '/**', bytes: 1_000_000 }]);
  for (let i = 0; i < 300; i++) await put(core, `/f${i}`, 10);
  const live = await open('/f7');
  // What is remembered is wrong, and corrected while it counts.
  await core.records.write((draft) => draft.setQuotaBytes('/**', 7), NOT_DURABLE);
  await core.limits.quotas.start();
  let isOver = false;
  void core.limits.quotas.corrected().then(() => {
    isOver = true;
  });
  let made = 0;
  let i = 0;
  while (!isOver) {
    live.append(Buffer.alloc(1));
    await put(core, `/made${i}`, 1);
    await post(core, `/made${i}`, 2);
    made += 4;
    const lease = await open(`/f${(i % 250) + 8}`);
    lease.append(Buffer.alloc(5));
    await lease.end('finished');
    made += 5;
    if (i % 3 === 0) {
      await core.streams.delete(own(`/made${i}`));
      made -= 3;
    }
    i++;
  }
  await live.end('finished');
  expect(used(core)).toEqual([[3000 + made, 0]]);
});

describe('a quota that is new, of more files than a start waits for', () => {
  /** A start over a file of 300 bytes, after which the walk goes on when `goOn` is called. */
  async function startOverMany(quotas: readonly QuotaRule[]) {
    const directory = await temporaryDirectory();
    await writeFile(path.join(directory, 'there'), 'x'.repeat(300));
    const goOn = makeWalksLong();
    return { ...(await startWith(quotas, directory)), directory, goOn };
  }

  test('lets nothing new begin at its paths until they are counted, and everything else', async () => {
    const { core, open, goOn } = await startOverMany([ALL, { pattern: '/b/**', bytes: 10 }]);
    await expect(put(core, '/a', 1)).rejects.toThrow(StorageBusyError);
    await expect(post(core, '/there', 1)).rejects.toThrow(StorageBusyError);
    await expect(open('/there')).rejects.toThrow(StorageBusyError);
    await expect(open('/a')).rejects.toThrow(StorageBusyError);
    expect((await core.resources.open(own('/there'))).stat.size).toBe(300);
    goOn();
    await core.limits.quotas.corrected();
    expect(used(core)[0]).toEqual([300, 0]);
    await expect(put(core, '/a', 701)).rejects.toThrow(QuotaExceededError);
    await put(core, '/a', 700);
    await core.streams.delete(own('/there'));
  });

  test('is of no concern to other paths', async () => {
    const { core, open, goOn } = await startOverMany([BUILDS]);
    await put(core, '/other', 1);
    await (await open('/there')).end('finished');
    await expect(put(core, '/builds/1/log', 1)).rejects.toThrow(StorageBusyError);
    // What the test ends waits for it.
    goOn();
  });

  test('is not remembered by a server that ends meanwhile: the next one counts it', async () => {
    const { core, directory, goOn } = await startOverMany([ALL]);
    const closed = core.close();
    goOn();
    await closed;
    const next = await startWith([ALL], directory);
    onTestFinished(() => next.core.close());
    expect(used(next.core)).toEqual([[300, 0]]);
  });
});

test('a walk that finds a file before this server knows that it has its name does not count it twice', async () => {
  const { core } = await startWith([ALL]);
  const { publish } = NewFile.prototype;
  const publishing = vi.spyOn(NewFile.prototype, 'publish');
  onTestFinished(() => publishing.mockRestore());
  let isNamed = false;
  let goOn = () => {};
  const walked = new Promise<void>((resolve) => {
    goOn = resolve;
  });
  publishing.mockImplementation(async function slowly(this: NewFile, ...args) {
    await publish.apply(this, args);
    isNamed = true;
    await walked;
  });
  const making = put(core, '/a', 100);
  await waitFor(() => isNamed, 'its name');
  await core.limits.quotas.start();
  await core.limits.quotas.corrected();
  goOn();
  await making;
  expect(used(core)).toEqual([[100, 0]]);
});

describe('what no walk has counted yet', () => {
  /** A start has counted nothing; then another program writes 900 bytes. */
  async function withOthersBytes() {
    const started = await startWith([ALL]);
    await writeFile(path.join(started.directory, 'other'), 'x'.repeat(900));
    return started;
  }

  test('makes no room when it is deleted, but for what it has taken', async () => {
    const { core } = await withOthersBytes();
    await put(core, '/a', 100);
    await core.streams.delete(own('/other'));
    await waitFor(() => used(core)[0]?.[0] === 100, 'the walk');
    await put(core, '/b', 900);
    await expect(put(core, '/c', 1)).rejects.toThrow(QuotaExceededError);
    await core.streams.delete(own('/b'));
    expect(used(core)).toEqual([[100, 0]]);
  });

  test('is counted as soon as something is appended to it', async () => {
    const { core, open } = await withOthersBytes();
    const lease = await open('/other');
    lease.append(Buffer.alloc(50));
    await lease.end('finished');
    expect(used(core)).toEqual([[950, 0]]);
    await expect(put(core, '/a', 51)).rejects.toThrow(QuotaExceededError);
    await core.streams.delete(own('/other'));
    await waitFor(() => used(core)[0]?.[0] === 0, 'the walk');
  });

  test('is not what this server has written, which makes room at once', async () => {
    const { core, open } = await startCore({ limits: { ...NO_LIMITS, quotas: [ALL], maxLive: 1 } });
    const lease = await open('/f');
    lease.append(Buffer.alloc(5));
    await lease.end('finished');
    await put(core, '/g', 7);
    // It takes the place of the first one, of which nothing is in memory then.
    await waitFor(
      () =>
        post(core, '/g', 1).then(
          () => true,
          () => false,
        ),
      'the second one',
    );
    await core.streams.delete(own('/f'));
    expect(used(core)).toEqual([[8, 0]]);
    await core.streams.delete(own('/g'));
    expect(used(core)).toEqual([[0, 0]]);
  });
});

test('what another program appends while the file is live is counted', async () => {
  const { core, open, directory } = await startWith([ALL]);
  const lease = await open('/f');
  lease.append(Buffer.alloc(10));
  await lease.end('finished');
  await appendFile(path.join(directory, 'f'), 'x'.repeat(7));
  const resource = await core.resources.acquire(own('/f'));
  core.resources.release(resource);
  expect(used(core)).toEqual([[17, 0]]);
});
