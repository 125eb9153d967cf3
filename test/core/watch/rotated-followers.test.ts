import { appendFile, truncate, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { Permit } from '../../../src/core/permit.ts';
import type { FollowRequest } from '../../../src/core/request.ts';
import { ResourcePath } from '../../../src/wire/resource-path.ts';
import { CollectingSink, startCore } from '../../support/core/harness.ts';
import { waitFor } from '../../support/wait-for.ts';

const RESOURCE = ResourcePath.parse('/f');
const HOLD_MS = 100_000;

/** A server with a file that is followed by those who come back. */
async function followedFile(content: string) {
  const core = await startCore();
  onTestFinished(() => core.core.close());
  const file = path.join(core.directory, 'f');
  await writeFile(file, content);
  const { generation } = await core.root.stat(RESOURCE);
  /** @param room how many writes there is room for */
  const begin = async (request: FollowRequest = {}, room?: number) => {
    const sink = new CollectingSink();
    const { signal } = new AbortController();
    const held = { holdMs: HOLD_MS, ...request };
    const follower = await core.core.followers.follow(Permit.own(RESOURCE), held, sink, signal);
    sink.follower = follower;
    sink.drain(room);
    return { sink, follower };
  };
  /** What one gets who comes back to a position. */
  const comeBack = async (from: number) => {
    const { sink } = await begin({ generation, from });
    await waitFor(() => sink.endReason !== undefined, 'the end');
    return [sink.bytes.toString(), sink.endReason];
  };
  /** Cuts it, lets that be seen, and writes it again. */
  const rewrite = async (content: string) => {
    await truncate(file, 0);
    await comeBack(0);
    await appendFile(file, content);
  };
  return { core, file, generation, begin, comeBack, rewrite };
}

const TRUNCATED = ['', 'truncated'];

describe('a follower who comes back to a file that was cut and is longer than it was', () => {
  it('is told so, wherever others went on to meanwhile', async () => {
    const { file, comeBack, rewrite } = await followedFile('0123456789');
    await comeBack(0);
    await comeBack(0);
    await appendFile(file, 'and so on.');
    expect(await comeBack(10)).toEqual(['and so on.', 'finished']);
    await rewrite('something else, and longer');
    expect(await comeBack(20)).toEqual(TRUNCATED);
    // As everybody does who was told.
    expect(await comeBack(0)).toEqual(['something else, and longer', 'finished']);
    expect(await comeBack(10)).toEqual(TRUNCATED);
    expect(await comeBack(26)).toEqual(['', 'finished']);
  });

  it('is told so after an append that it followed to its end', async () => {
    const { core, begin, comeBack, rewrite } = await followedFile('0123456789');
    const appender = await core.open('f');
    const { sink } = await begin();
    appender.append(Buffer.from('and so on.'));
    await appender.end('finished');
    await waitFor(() => sink.endReason === 'finished', 'the end');
    await rewrite('something else, and longer');
    expect(await comeBack(20)).toEqual(TRUNCATED);
  });

  it('is told so when its connection broke while it followed an append, be it that nothing has arrived', async () => {
    const { core, generation, begin, comeBack, rewrite } = await followedFile('0123456789');
    const appender = await core.open('f');
    const { sink, follower } = await begin({ generation, from: 5 });
    appender.append(Buffer.from('and so on.'));
    await waitFor(() => sink.bytes.length === 15, 'what was appended');
    follower.leave();
    await appender.end('finished');
    await rewrite('something else, and longer');
    expect(await comeBack(5)).toEqual(TRUNCATED);
    expect(await comeBack(20)).toEqual(TRUNCATED);
  });

  it('is told so when its connection broke before it had all of a file', async () => {
    const { begin, comeBack, rewrite } = await followedFile('x'.repeat(1_000_000));
    const { sink, follower } = await begin({}, 1);
    await waitFor(() => sink.received.length > 0, 'the first bytes');
    const { position } = follower;
    expect(position).toBeLessThan(1_000_000);
    follower.leave();
    await rewrite('y'.repeat(2_000_000));
    expect(await comeBack(position)).toEqual(TRUNCATED);
  });
});
