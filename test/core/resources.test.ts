import fs from 'node:fs';
import { appendFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterEach, describe, expect, it, onTestFinished, vi } from 'vitest';
import { ANYBODY, Permit } from '../../src/core/permit.ts';
import { RootDirectory } from '../../src/storage/root/root-directory.ts';
import { ForbiddenRightError } from '../../src/wire/errors.ts';
import { ResourcePath } from '../../src/wire/resource-path.ts';
import { CollectingSink, startCore } from '../support/core/harness.ts';

const F = ResourcePath.parse('/f');
const { signal } = new AbortController();

afterEach(() => {
  vi.restoreAllMocks();
});

/** A core with a file `f`; how often names are looked up from then on. */
async function startWithFile() {
  const core = await startCore();
  onTestFinished(() => core.core.close());
  const name = path.join(core.directory, 'f');
  await writeFile(name, 'some');
  const append = async (path: string) => {
    const appender = await core.open(path);
    onTestFinished(() => appender.end('finished'));
    return appender;
  };
  const lookingUp = vi.spyOn(RootDirectory.prototype, 'hold');
  return { ...core, append, name, counts: () => lookingUp.mock.calls.length };
}

const COPY = { generation: 7, source: { url: 'http://h/c' } };

/** A core with a copy `c`. */
async function startWithCopy() {
  const { core, open } = await startCore();
  onTestFinished(() => core.close());
  const c = Permit.own(ResourcePath.parse('/c'));
  const wanted = {
    contentType: undefined,
    copy: COPY,
    ttlSeconds: undefined,
    expiresAt: undefined,
    isClosed: false,
    fork: undefined,
    isUpload: false,
  };
  await core.streams.create(c, wanted, Buffer.alloc(0));
  return { core, open, c };
}

describe('a copy', () => {
  it('to which something is appended is none any more, and keeps its generation', async () => {
    const { core, open, c } = await startWithCopy();
    const look = async () => {
      const file = await core.resources.open(c);
      await file.close();
      return { isCopy: file.isCopy, generation: file.generation };
    };
    expect(await look()).toEqual({ isCopy: true, generation: 7 });
    const appender = await open('/c');
    appender.append(Buffer.from('own'));
    await appender.end('finished');
    expect(await look()).toEqual({ isCopy: false, generation: 7 });
  });

  it('comes from where it is remembered to come from, when that cannot be noted anew', async () => {
    const { core, c } = await startWithCopy();
    const resource = await core.resources.acquire(c);
    onTestFinished(() => core.resources.release(resource));
    const source = async () => {
      const file = await core.resources.open(c);
      const { state } = await core.resources.view(file);
      await file.close();
      return state.copy?.source;
    };
    const noted = { url: 'http://h/other' };
    const full = vi.spyOn(core.records, 'write').mockRejectedValueOnce(new Error('the disk is full'));
    await expect(resource.noteSource(noted)).rejects.toThrow('the disk is full');
    expect(full).toHaveBeenCalledOnce();
    expect(await source()).toEqual(COPY.source);
    await resource.noteSource(noted);
    expect(await source()).toEqual(noted);
  });
});

describe('a path is looked up once', () => {
  it('to read a file', async () => {
    const { core, counts } = await startWithFile();
    await (await core.resources.openAny(Permit.own(F))).close();
    expect(counts()).toBe(1);
  });

  it('to follow a file to which nobody appends', async () => {
    const { core, counts } = await startWithFile();
    const sink = new CollectingSink();
    sink.follower = await core.followers.follow(Permit.own(F), {}, sink, signal);
    sink.follower.leave();
    expect(counts()).toBe(1);
  });

  it('to append to a file, to follow that, and to find that it is live', async () => {
    const { core, append, counts } = await startWithFile();
    const appender = await append('/f');
    expect(counts()).toBe(1);
    const sink = new CollectingSink();
    sink.follower = await core.followers.follow(Permit.own(F), {}, sink, signal);
    expect(counts()).toBe(2);
    sink.follower.leave();
    expect(await core.followers.withLiveFeed(Permit.own(F), (feed) => feed === appender.feed)).toBe(true);
    expect(counts()).toBe(3);
  });
});

describe('what is opened', () => {
  it('is read by who may follow it; others are told how much there is, and of what type', async () => {
    const { core, directory } = await startWithFile();
    await writeFile(path.join(directory, 'long'), 'x'.repeat(600));
    const LONG = ResourcePath.parse('/long');
    for (const use of ['follow', 'append', 'list', 'delete', 'form'] as const) {
      const permit = Permit.require({ ...ANYBODY }, use, LONG);
      const file = await core.resources.openAny(permit);
      onTestFinished(() => file.close());
      expect((await core.resources.view(file)).state.size).toBe(600);
      expect(String(file.readInLine(0, 512))).toHaveLength(512);
      const read = [
        () => file.readInLine(1, 512),
        () => file.read(0, 1),
        () => file.readInto(Buffer.alloc(1), 0),
      ];
      for (const each of read) {
        if (use === 'follow') await expect(Promise.resolve(each())).resolves.toBeDefined();
        else expect(each).toThrow(ForbiddenRightError);
      }
    }
    const head = await core.resources.open(Permit.require(ANYBODY, 'append', LONG));
    onTestFinished(() => head.close());
    expect(() => head.read(0, 1)).toThrow(ForbiddenRightError);
  });
});

describe('what is opened by the one look-up', () => {
  it('is closed when a live feed is followed, which has the file open', async () => {
    const { core, append } = await startWithFile();
    const appender = await append('/f');
    const closing = vi.spyOn(fs, 'closeSync');
    const sink = new CollectingSink();
    sink.follower = await core.followers.follow(Permit.own(F), {}, sink, signal);
    // What was looked up, and what was opened.
    expect(closing).toHaveBeenCalledTimes(2);
    expect(sink.follower.feed === appender.feed).toBe(true);
    sink.follower.leave();
  });

  it('is followed to where the file ends when somebody joins it', async () => {
    const { core, name } = await startWithFile();
    const { openUsed } = core.resources;
    vi.spyOn(core.resources, 'openUsed').mockImplementation(async (resource) => {
      const file = await openUsed.call(core.resources, resource);
      await appendFile(name, ' more');
      return file;
    });
    const sink = new CollectingSink();
    sink.follower = await core.followers.follow(Permit.own(F), {}, sink, signal);
    expect(sink.follower.feed.committed).toBe('some more'.length);
    sink.follower.leave();
  });
});
