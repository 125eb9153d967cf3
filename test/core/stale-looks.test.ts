import { appendFile, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { FileSync } from '../../src/core/file-sync.ts';
import { AppendPipeline } from '../../src/core/single-append/append-pipeline.ts';
import type { StreamRecord } from '../../src/core/single-append/stream-record.ts';
import { Syncer } from '../../src/core/syncer.ts';
import { RedoLog } from '../../src/storage/journal/redo-log.ts';
import { untypedState } from '../../src/storage/records/stream-state.ts';
import { Root } from '../../src/storage/root.ts';
import { WriteTurns } from '../../src/storage/write-turns.ts';
import { ResourcePath } from '../../src/wire/resource-path.ts';
import { startCore } from '../support/core-harness.ts';
import { temporaryDirectory } from '../support/server.ts';

const RESOURCE = ResourcePath.parse('/f');

describe('a file that was opened before its stream grew', () => {
  /** A file that was open when a session brought bytes and closed the stream. */
  async function openedBefore() {
    const core = await startCore();
    await writeFile(path.join(core.directory, 'f'), 'old ');
    const file = await core.core.streams.open(RESOURCE);
    onTestFinished(() => file.close());
    const before = await core.core.streams.view(file);
    const appender = await core.open('f', undefined, { closes: true });
    appender.append(Buffer.from('new'));
    await appender.end('finished');
    return { ...core, file, before };
  }

  it('is seen as closed only with all of its bytes', async () => {
    const { core, file } = await openedBefore();
    const { state } = await core.streams.view(file);
    expect(state).toMatchObject({ closed: true, size: 7 });
    await core.close();
  });

  it('has not been cut, as far as what is remembered beside it tells', async () => {
    const { core, directory, file, before } = await openedBefore();
    await core.close();
    const next = await startCore({ directory });
    const { state, names } = await next.core.streams.view(file);
    expect(state).toMatchObject({ closed: true, size: 7 });
    expect(names.nameOf(4)).toBe(before.names.nameOf(4));
    await next.core.close();
  });
});

describe('the first append to a stream', () => {
  it('does not take what another program has brought while the file was opened for a cut', async () => {
    const directory = await temporaryDirectory();
    await writeFile(path.join(directory, 'f'), 'old ');
    const root = await Root.open(directory);
    const turns = new WriteTurns();
    const log = new RedoLog<StreamRecord>(root.own('redo'), turns, false);
    const nothing = async () => {};
    const pipeline: AppendPipeline = new AppendPipeline({
      fingerprint: 'f',
      location: 'f',
      state: untypedState(4),
      type: undefined,
      log,
      turns,
      openFile: async () => {
        const file = await root.openAppend(RESOURCE, { create: false });
        const { size } = await file.state();
        await appendFile(path.join(directory, 'f'), 'theirs ');
        // A reader has looked, and told the stream.
        pipeline.amend({ size: 11 });
        return { file, size };
      },
      room: nothing,
      assertRoom: () => undefined,
      sync: new FileSync(new Syncer(1000)),
      isDurable: false,
      save: nothing,
      logged: () => {},
      committed: () => {},
      settled: () => {},
    });
    const append = {
      bytes: Buffer.from('ours'),
      contentType: undefined,
      seq: undefined,
      producer: undefined,
    };
    const after = await pipeline.append({ ...append, close: false }, () => {});
    expect(after).toMatchObject({ size: 15 });
    expect(after?.generation).toBeUndefined();
    expect(await readFile(path.join(directory, 'f'), 'utf8')).toBe('old theirs ours');
    await pipeline.cool();
  });
});
