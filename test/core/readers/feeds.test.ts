import { rename, rm, symlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import type { Lease } from '../../../src/core/sessions/lease.ts';
import { ResourcePath } from '../../../src/wire/resource-path.ts';
import { CollectingSink, startCore } from '../../support/core/harness.ts';
import { appendLine, makeStream } from '../../support/core/streams.ts';
import { waitFor } from '../../support/wait-for.ts';

const STREAM = ResourcePath.parse('stream');

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
      sink.follower = await core.core.followers.follow(name, {}, sink, new AbortController().signal);
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

  test('ends who reads live by it, and nobody else', async () => {
    const { core, repoint } = await followedTwice();
    const read = async (name: ResourcePath) => {
      const live = await core.followers.openLive(name);
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
