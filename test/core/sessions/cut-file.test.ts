import { truncateSync } from 'node:fs';
import { readFile, truncate, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { expect, onTestFinished, test, vi } from 'vitest';
import { Permit } from '../../../src/core/permit.ts';
import { AppendFile } from '../../../src/storage/stored-file.ts';
import { PositionMismatchError } from '../../../src/wire/errors.ts';
import { ResourcePath } from '../../../src/wire/resource-path.ts';
import { RecordingOwner, startCore, writeByThreads } from '../../support/core/harness.ts';
import { appendLine, makeStream } from '../../support/core/streams.ts';
import { NEVER_MS } from '../../support/patience.ts';
import { waitFor } from '../../support/wait-for.ts';

const STREAM = Permit.own(ResourcePath.parse('/stream'));
const session = 'x'.repeat(32);
const OWN = 'own line\n';
const FOREIGN = 'foreign.\n';

/** An append of some bytes to a stream that was empty, and what its client may still do. */
async function append(graceMs: number) {
  const running = await startCore({ graceMs });
  onTestFinished(() => running.core.close());
  await makeStream(running.core, 'stream');
  const lease = await running.open('stream', new RecordingOwner(), { session });
  lease.append(Buffer.from(OWN));
  await lease.ready();
  const file = path.join(running.directory, 'stream');
  /** Resolves to the position where its client, which comes back, goes on. */
  const goOn = async () => {
    const back = await running.open('stream', new RecordingOwner(), { session, expect: 0 });
    await back.end('interrupted');
    return back.received;
  };
  return { ...running, lease, file, goOn };
}

test('nobody goes on with what a file that was cut has got from another program meanwhile', async () => {
  const { lease, file, goOn } = await append(NEVER_MS);
  lease.release();
  await truncate(file, 0);
  await waitFor(() => lease.endReason === 'truncated', 'the end of the session');
  await writeFile(file, FOREIGN);
  await expect(goOn()).rejects.toThrow(PositionMismatchError);
});

test('nobody goes on with what a file that was cut has got by a single append', async () => {
  const { core, lease, file, goOn } = await append(0);
  await lease.end('interrupted');
  await truncate(file, 0);
  await appendLine(core, 'stream', FOREIGN);
  await expect(goOn()).rejects.toThrow(PositionMismatchError);
});

test('nobody goes on with what a file has got by a single append though single appends came before it was cut, too', async () => {
  const { core, lease, file, goOn } = await append(0);
  await lease.end('interrupted');
  await appendLine(core, 'stream', FOREIGN);
  await truncate(file, 0);
  // Somebody looks at it before the next append.
  const stream = await core.resources.acquire(STREAM);
  stream.looked(stream.committed, 0);
  core.resources.release(stream);
  await appendLine(core, 'stream', FOREIGN);
  await expect(goOn()).rejects.toThrow(PositionMismatchError);
});

test('its client goes on with what is there as it left it', async () => {
  const { core, lease, goOn } = await append(0);
  await lease.end('interrupted');
  expect(await goOn()).toBe(OWN.length);
  await appendLine(core, 'stream', FOREIGN);
  await expect(goOn()).rejects.toThrow(PositionMismatchError);
});

test.each([
  ['in line', () => {}],
  ['by a thread', writeByThreads],
])('nothing is written where readers look for other bytes, %s', async (_, prepare) => {
  const { lease, file } = await append(NEVER_MS);
  prepare();
  const writing = [
    vi.spyOn(AppendFile.prototype, 'write'),
    vi.spyOn(AppendFile.prototype, 'writeInLine'),
  ] as const;
  onTestFinished(() => writing.forEach((spy) => void spy.mockRestore()));
  truncateSync(file, 1);
  lease.append(Buffer.from(FOREIGN));
  await waitFor(() => lease.endReason === 'truncated', 'the end of the session');
  expect(writing.flatMap(({ mock }) => mock.calls)).toEqual([]);
  expect(await readFile(file, 'utf8')).toBe(OWN.slice(0, 1));
});
