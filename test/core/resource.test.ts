import { appendFile, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { LocalLog } from '../../src/core/log/local-log.ts';
import { ResourcePath } from '../../src/wire/resource-path.ts';
import { startCore } from '../support/core/harness.ts';

const RESOURCE = ResourcePath.parse('/f');

describe('a file that was opened before its stream grew', () => {
  /** A file that was open when a session brought bytes and closed the stream. */
  async function openedBefore() {
    const core = await startCore();
    await writeFile(path.join(core.directory, 'f'), 'old ');
    const file = await core.core.resources.open(RESOURCE);
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
    const stream = await core.resources.acquire(RESOURCE);
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
