import { rename, rm, symlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { Permit } from '../../../src/core/permit.ts';
import type { Lease } from '../../../src/core/sessions/lease.ts';
import { ResourcePath } from '../../../src/wire/resource-path.ts';
import { CollectingSink, RecordingOwner, startCore } from '../../support/core/harness.ts';
import { appendLine, makeStream } from '../../support/core/streams.ts';
import { waitFor } from '../../support/wait-for.ts';

const STREAM = ResourcePath.parse('stream');

const isDone = () => true;

describe('a symlink that leads elsewhere', () => {
  const ALIAS = ResourcePath.parse('alias');

  /** A stream that is followed under its name, and first of all by a symlink. */
  async function followedTwice(before: (core: Awaited<ReturnType<typeof startCore>>) => unknown = () => {}) {
    const core = await startCore();
    onTestFinished(() => core.core.close());
    await makeStream(core.core, 'stream', 'first\n');
    const at = (name: string) => path.join(core.directory, name);
    await symlink('stream', at('alias'));
    await writeFile(at('other'), '');
    await before(core);
    const follow = async (name: ResourcePath) => {
      const sink = new CollectingSink();
      sink.follower = await core.core.followers.follow(
        Permit.own(name),
        {},
        sink,
        new AbortController().signal,
      );
      sink.drain();
      await waitFor(() => sink.bytes.toString() === 'first\n', 'the history');
      return sink;
    };
    const repoint = async (target: string) => {
      await symlink(target, at('new'));
      await rename(at('new'), at('alias'));
    };
    return { ...core, byAlias: await follow(ALIAS), byName: await follow(STREAM), follow, repoint };
  }

  test('ends those who follow by it, and nobody else', async () => {
    const { core, directory, byAlias, byName, follow, repoint } = await followedTwice();
    await repoint('other');
    await waitFor(() => byAlias.endReason === 'deleted', 'the end');
    await repoint('stream');
    const again = await follow(ALIAS);
    await appendLine(core, 'stream', 'second\n');
    for (const sink of [byName, again]) {
      await waitFor(() => sink.bytes.toString() === 'first\nsecond\n', 'the second line');
      expect(sink.endReason).toBeUndefined();
    }
    await rm(path.join(directory, 'stream'));
    for (const sink of [byName, again]) await waitFor(() => sink.endReason === 'deleted', 'the end');
  });

  test('ends a session by it, and not those who stay for the stream', async () => {
    const core = await startCore();
    onTestFinished(() => core.core.close());
    await makeStream(core.core, 'stream', 'first\n');
    const at = (name: string) => path.join(core.directory, name);
    await symlink('stream', at('alias'));
    await writeFile(at('other'), '');
    const owner = new RecordingOwner();
    await core.open('alias', owner);
    const sink = new CollectingSink();
    sink.follower = await core.core.followers.follow(
      Permit.own(STREAM),
      {},
      sink,
      new AbortController().signal,
    );
    sink.drain();
    await symlink('other', at('new'));
    await rename(at('new'), at('alias'));
    await waitFor(() => owner.failures.length === 1, 'the end of the session');
    await waitFor(() => appendLine(core.core, 'stream', 'second\n').then(isDone, () => false), 'an append');
    await waitFor(() => sink.bytes.toString() === 'first\nsecond\n', 'the second line');
    expect(sink.endReason).toBeUndefined();
  });

  test('ends a session by it as deleted, and those who follow the file by its name as interrupted', async () => {
    const core = await startCore();
    onTestFinished(() => core.core.close());
    const at = (name: string) => path.join(core.directory, name);
    for (const name of ['plain', 'other']) await writeFile(at(name), '');
    await symlink('plain', at('alias'));
    await core.open('alias');
    const follow = async (name: string) => {
      const sink = new CollectingSink();
      const { signal } = new AbortController();
      sink.follower = await core.core.followers.follow(
        Permit.own(ResourcePath.parse(name)),
        {},
        sink,
        signal,
      );
      sink.drain();
      return sink;
    };
    const [byAlias, byName] = [await follow('alias'), await follow('plain')];
    await symlink('other', at('new'));
    await rename(at('new'), at('alias'));
    await waitFor(() => byAlias.endReason !== undefined && byName.endReason !== undefined, 'the ends');
    expect([byAlias.endReason, byName.endReason]).toEqual(['deleted', 'interrupted']);
  });

  test('ends who reads live by it, and nobody else', async () => {
    const { core, repoint } = await followedTwice();
    const read = async (name: ResourcePath) => {
      const live = await core.followers.openLive(Permit.own(name));
      onTestFinished(() => live.release());
      const sink = new CollectingSink();
      sink.follower = live.join(0, sink);
      sink.drain();
      return sink;
    };
    const [byAlias, byName] = [await read(ALIAS), await read(STREAM)];
    await repoint('other');
    await waitFor(() => byAlias.endReason === 'deleted', 'the end');
    expect(byName.endReason).toBeUndefined();
  });

  test('does so when the session has ended during which it changed', async () => {
    let appender: Lease | undefined;
    const { byAlias, byName, repoint } = await followedTwice(async ({ open }) => {
      appender = await open('stream');
    });
    await repoint('other');
    await appender?.end('finished');
    await waitFor(() => byAlias.endReason === 'deleted', 'the end');
    expect(byName.endReason).toBeUndefined();
  });
});
