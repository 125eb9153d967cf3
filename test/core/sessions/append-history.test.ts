import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { Permit } from '../../../src/core/permit.ts';
import { AppendHistory } from '../../../src/core/sessions/append-history.ts';
import { beginRemoval, endRemoval } from '../../../src/core/streams/fork-links.ts';
import type { AppendRecord, FileRecord } from '../../../src/storage/records/file-record.ts';
import type { StreamState } from '../../../src/storage/records/stream-state.ts';
import { Root } from '../../../src/storage/root/root.ts';
import { StorageBusyError } from '../../../src/wire/errors.ts';
import { ResourcePath } from '../../../src/wire/resource-path.ts';
import { startCore } from '../../support/core/harness.ts';
import { recordsOf } from '../../support/core/stored-records.ts';
import { appendLine, makeStream } from '../../support/core/streams.ts';
import { temporaryDirectory } from '../../support/server/server.ts';

const NONE: ReadonlySet<string> = new Set();
const NOT_DURABLE = { durable: false };
const OPEN: AppendRecord = { session: 's', start: 0, state: 'open' };

/** A file to which somebody appends. */
async function begunAppend() {
  const directory = await temporaryDirectory();
  const root = await Root.open(directory);
  await writeFile(path.join(directory, 'f'), 'text');
  const file = await root.openRead(ResourcePath.parse('f'));
  const records = recordsOf(directory);
  await records.open();
  onTestFinished(async () => {
    await file.close();
    await records.close();
  });
  const history = new AppendHistory(records, { isDurable: false, graceMs: 0 });
  await history.begin(file, OPEN);
  const link = { path: 'f', fingerprint: file.stat.fingerprint };
  const remember = (stream: StreamState) =>
    records.write((draft) => {
      const record = draft.get(link.fingerprint) as FileRecord;
      draft.set(link.fingerprint, { ...record, stream });
    }, NOT_DURABLE);
  return { file, records, history, link, remember };
}

test.each(['interrupted', 'finished', 'deleted'] as const)(
  'the end of an append to a file that was deleted is not remembered: %s',
  async (reason) => {
    const { file, records, history, link } = await begunAppend();
    await records.write((draft) => endRemoval(draft, link, NONE), NOT_DURABLE);
    await history.end(file, OPEN, 4, { reason });
    await history.undo(file, OPEN);
    expect([records.get(link.fingerprint), await history.last(file)]).toEqual([undefined, undefined]);
  },
);

test('the end of an append to a file that is only about to be deleted is remembered: it may stay', async () => {
  const { file, records, history, link } = await begunAppend();
  await records.write((draft) => beginRemoval(draft, link, NONE), NOT_DURABLE);
  await history.end(file, OPEN, 4, { reason: 'finished' });
  expect(records.get(link.fingerprint)?.append).toEqual({ ...OPEN, state: 'finished', end: 4 });
});

test('an end that could not be written is written before others append', async () => {
  const { file, records, history, link } = await begunAppend();
  await records.close();
  await history.end(file, OPEN, 4, { reason: 'interrupted' });
  await expect(history.settle(file, 4)).rejects.toThrow();
  await records.open();
  await history.settle(file, 4);
  expect(records.get(link.fingerprint)?.append).toEqual({ ...OPEN, state: 'interrupted', end: 4 });
});

test('an append to which nothing was brought since it had finished has finished when others append', async () => {
  const { file, records, history, link } = await begunAppend();
  await history.begin(file, { ...OPEN, finishedAt: 4 });
  await history.settle(file, 4);
  expect(records.get(link.fingerprint)?.append).toMatchObject({ state: 'finished', end: 4 });
});

test('an end that cannot be written is known until the server ends', async () => {
  const { file, records, history } = await begunAppend();
  await records.close();
  await history.end(file, OPEN, 4, { reason: 'finished' });
  await records.open();
  expect(await history.last(file)).toEqual({ ...OPEN, state: 'finished', end: 4 });
});

test('a copy to which nothing was appended yet is a part, and stays one when something else is appended', async () => {
  const { core } = await startCore();
  const copy = { generation: 7, source: { url: 'http://localhost/' } };
  await makeStream(core, 'f', '', { contentType: undefined, copy });
  await makeStream(core, 'own', '');
  const outcomeOf = async (name: string) => {
    const file = await core.resources.open(Permit.own(ResourcePath.parse(name)));
    try {
      return await core.sessions.history.outcome(file, { size: 0 });
    } finally {
      await file.close();
    }
  };
  expect([await outcomeOf('f'), await outcomeOf('own')]).toMatchObject([
    { reason: 'interrupted' },
    { reason: 'finished' },
  ]);
  await appendLine(core, 'f', 'x');
  const resource = await core.resources.acquire(Permit.own(ResourcePath.parse('f')));
  await resource.checkpoint().finally(() => core.resources.release(resource));
  expect(await outcomeOf('f')).toMatchObject({ reason: 'interrupted' });
});

test('a file of no append to which anything is known is as it lies there: stored', async () => {
  const { file, records, history } = await begunAppend();
  const { fingerprint } = file.stat;
  await history.end(file, OPEN, 4, { reason: 'finished' });
  expect(await history.outcome(file, { size: 4 })).toEqual({ reason: 'finished', status: undefined });
  await records.write((draft) => draft.delete(fingerprint), NOT_DURABLE);
  expect(await history.outcome(file, { size: 4 })).toEqual({ reason: 'finished', stored: true });
});

describe('a stream that is closed', () => {
  const CLOSED = { size: 4, closed: true } as const;

  test.each(['interrupted', 'finished'] as const)(
    'has finished, whoever knows it, after a session that was %s',
    async (reason) => {
      const { file, history, remember } = await begunAppend();
      const state = { version: 1, contentType: 'text/plain', size: 4 };
      await remember(state);
      await history.end(file, OPEN, 4, { reason, ...(reason === 'finished' && { status: 3 }) });
      const finished = { reason: 'finished', closed: true, status: reason === 'finished' ? 3 : undefined };
      expect(await history.outcome(file, { size: 4 })).toMatchObject({ reason });
      expect(await history.outcome(file, CLOSED)).toEqual(finished);
      await remember({ ...state, closed: true });
      expect(await history.outcome(file, { size: 4 })).toEqual(finished);
    },
  );

  test('is interrupted when it is shorter than it was', async () => {
    const { file, history, remember } = await begunAppend();
    await history.end(file, OPEN, 2, { reason: 'interrupted' });
    await remember({ version: 1, ...CLOSED });
    expect(await history.outcome(file, CLOSED)).toMatchObject({ reason: 'finished' });
    expect(await history.outcome(file, { ...CLOSED, size: 3 })).toEqual({ reason: 'interrupted' });
  });

  test('has finished where it was cut before, though what is remembered is of that time', async () => {
    const { file, history, remember } = await begunAppend();
    await history.end(file, OPEN, 1000, { reason: 'finished' });
    await remember({ version: 1, size: 1000 });
    const finished = { reason: 'finished', closed: true };
    expect(await history.outcome(file, { ...CLOSED, version: 2 })).toEqual(finished);
    await remember({ version: 2, ...CLOSED });
    expect(await history.outcome(file, CLOSED)).toEqual(finished);
  });

  test('has finished when what is remembered cannot be read', async () => {
    const { file, records, history } = await begunAppend();
    const reading = vi.spyOn(records, 'get').mockImplementation(() => {
      throw new StorageBusyError('the store is opened anew');
    });
    expect(await history.outcome(file, CLOSED)).toEqual({ reason: 'finished', closed: true });
    expect(await history.outcome(file, { size: 4 })).toEqual({ reason: 'interrupted' });
    reading.mockRestore();
  });

  test('tells no status of an append that went on after it had finished, and closed it', async () => {
    const { file, history, remember } = await begunAppend();
    await history.begin(file, { ...OPEN, finishedAt: 2, status: 3 });
    await remember({ version: 1, ...CLOSED });
    expect(await history.outcome(file, CLOSED)).toEqual({ reason: 'finished', closed: true });
  });

  test('tells no status of an append that was left open after it had finished, and went on', async () => {
    const { file, history } = await begunAppend();
    await history.begin(file, { ...OPEN, finishedAt: 2, status: 3 });
    await history.settle(file, 4);
    expect(await history.outcome(file, CLOSED)).toEqual({ reason: 'finished', closed: true });
  });
});
