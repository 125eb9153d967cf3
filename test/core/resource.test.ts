import { appendFile, readFile, truncate, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { LocalLog } from '../../src/core/log/local-log.ts';
import { Permit } from '../../src/core/permit.ts';
import { AppendHistory } from '../../src/core/sessions/append-history.ts';
import { Records } from '../../src/storage/records/records.ts';
import { StorageBusyError } from '../../src/wire/errors.ts';
import { ResourcePath } from '../../src/wire/resource-path.ts';
import { CollectingSink, startCore } from '../support/core/harness.ts';
import { appendLine, makeStream } from '../support/core/streams.ts';
import { waitFor } from '../support/wait-for.ts';

const RESOURCE = ResourcePath.parse('/f');

describe('a file that was opened before its stream grew', () => {
  /** A file that was open when a session brought bytes and closed the stream. */
  async function openedBefore() {
    const core = await startCore();
    await writeFile(path.join(core.directory, 'f'), 'old ');
    const file = await core.core.resources.open(Permit.own(RESOURCE));
    onTestFinished(() => file.close());
    const before = await core.core.resources.view(file);
    const appender = await core.open('f', undefined, { closes: true });
    appender.append(Buffer.from('new'));
    await appender.end('finished');
    return { ...core, file, before };
  }

  it('is seen as closed only with all of its bytes', async () => {
    const { core, file } = await openedBefore();
    const { state } = await core.resources.view(file);
    expect(state).toMatchObject({ closed: true, size: 7 });
    await core.close();
  });

  it('has not been cut, as far as what is remembered beside it tells', async () => {
    const { core, directory, file, before } = await openedBefore();
    await core.close();
    const next = await startCore({ directory });
    const { state, names } = await next.core.resources.view(file);
    expect(state).toMatchObject({ closed: true, size: 7 });
    expect(names.nameOf(4)).toBe(before.names.nameOf(4));
    await next.core.close();
  });
});

describe('the first append to a stream', () => {
  it('does not take what another program has brought while the file was opened for a cut', async () => {
    const { core, directory } = await startCore();
    const file = path.join(directory, 'f');
    await writeFile(file, 'old ');
    const stream = await core.resources.acquire(Permit.own(RESOURCE));
    const { open } = LocalLog.prototype;
    const opening = vi.spyOn(LocalLog.prototype, 'open');
    opening.mockImplementation(async function meanwhile(this: LocalLog, ...args) {
      const opened = await open.apply(this, args);
      await appendFile(file, 'theirs ');
      // A reader has looked, and told the stream.
      stream.advance(11);
      return opened;
    });
    onTestFinished(() => opening.mockRestore());
    const bytes = Buffer.from('ours');
    const append = { bytes, contentType: undefined, seq: undefined, producer: undefined, close: false };
    const { state } = await stream.append(append);
    expect(opening).toHaveBeenCalledOnce();
    expect(state).toMatchObject({ size: 15 });
    expect(state.generation).toBeUndefined();
    expect(await readFile(file, 'utf8')).toBe('old theirs ours');
    core.resources.release(stream);
    await core.close();
  });
});

describe('who follows a file that others read live', () => {
  /** A plain file with a line, which is read live. */
  async function readLive() {
    const core = await startCore();
    onTestFinished(() => core.core.close());
    await writeFile(path.join(core.directory, 'f'), 'old ');
    const live = await core.core.followers.openLive(Permit.own(RESOURCE));
    onTestFinished(() => live.release());
    const sink = new CollectingSink();
    sink.follower = live.join(0, sink);
    sink.drain();
    const follow = async () => {
      const other = new CollectingSink();
      const { signal } = new AbortController();
      other.follower = await core.core.followers.follow(Permit.own(RESOURCE), {}, other, signal);
      other.drain();
      return other;
    };
    return { ...core, sink, follow };
  }

  it('takes nothing from them that was appended while it was looked up', async () => {
    const { core, sink, follow } = await readLive();
    const { outcome } = AppendHistory.prototype;
    const lookingUp = vi.spyOn(AppendHistory.prototype, 'outcome');
    onTestFinished(() => lookingUp.mockRestore());
    lookingUp.mockImplementationOnce(async function meanwhile(this: AppendHistory, ...args) {
      await appendLine(core, 'f', 'new ');
      return outcome.apply(this, args);
    });
    const other = await follow();
    await waitFor(() => other.endReason !== undefined, 'the end');
    await appendLine(core, 'f', 'newer ');
    await waitFor(() => sink.bytes.toString() === 'old new newer ', 'what was appended');
    expect([other.bytes.toString(), sink.endReason]).toEqual(['old ', undefined]);
  });

  it('ends them when it finds the file cut', async () => {
    const { directory, sink, follow } = await readLive();
    await waitFor(() => sink.bytes.length === 4, 'the history');
    await truncate(path.join(directory, 'f'), 2);
    const other = await follow();
    await waitFor(() => other.endReason !== undefined, 'the end');
    expect([other.bytes.toString(), sink.endReason]).toEqual(['ol', 'truncated']);
  });

  it('shares the feed with them though what is remembered of it cannot be read', async () => {
    const core = await startCore();
    onTestFinished(() => core.core.close());
    await makeStream(core.core, 'f', 'old ');
    const live = await core.core.followers.openLive(Permit.own(RESOURCE));
    onTestFinished(() => live.release());
    const reading = vi.spyOn(Records.prototype, 'get').mockImplementation(() => {
      throw new StorageBusyError('the records are opened anew');
    });
    onTestFinished(() => reading.mockRestore());
    const sink = new CollectingSink();
    const { signal } = new AbortController();
    sink.follower = await core.core.followers.follow(Permit.own(RESOURCE), {}, sink, signal);
    sink.drain();
    expect(reading).toHaveBeenCalled();
    reading.mockRestore();
    await appendLine(core.core, 'f', 'new ');
    await waitFor(() => sink.bytes.length === 8 || sink.endReason !== undefined, 'what was appended');
    expect([sink.bytes.toString(), sink.endReason]).toEqual(['old new ', undefined]);
  });
});
