import { randomBytes } from 'node:crypto';
import { readFile, rename } from 'node:fs/promises';
import path from 'node:path';
import { expect, test } from 'vitest';
import { Download } from '../support/http/bodies.ts';
import { OriginalFollower } from '../support/original/clients.ts';
import { startServer } from '../support/server/server.ts';
import { SseReader } from '../support/streams/sse-reader.ts';
import { waitFor } from '../support/wait-for.ts';
import { V2Peer } from '../support/websocket/v2-peer.ts';

const LIVE_RANGE = 'bytes=0-9007199254740991';

/** More than sockets hold. */
const HISTORY = Buffer.from(`${randomBytes(6 * 1024 * 1024).toString('hex')}\n`);

test('followers of all kinds get everything of a file that is renamed under its appender, be they far behind', async () => {
  const server = await startServer();
  const url = server.url('/f.txt');
  const file = path.join(server.root, 'f.txt');
  const appender = await V2Peer.append(url);
  await appender.append(HISTORY, HISTORY.length);
  const v2 = await V2Peer.follow(url);
  const slow = await V2Peer.follow(url);
  slow.freeze();
  const legacy = await OriginalFollower.connect(url, { stalled: true });
  const chunked = await Download.open(`${url}?verb=FOLLOW`);
  const range = await Download.open(url, { headers: { range: LIVE_RANGE } });
  const events = await SseReader.open(url);
  await waitFor(() => v2.byteCount === HISTORY.length, 'the history');

  await rename(file, `${file}.1`);
  // Taken unless it is noticed before, as the file takes it from any program that had it open.
  await appender.send('after the rename\n').catch(() => undefined);
  await waitFor(() => v2.end !== undefined, 'the end');
  slow.websocket.resume();
  legacy.resume();

  const all = await readFile(`${file}.1`);
  expect(all.subarray(0, HISTORY.length).equals(HISTORY)).toBe(true);
  expect(v2.ending[0]).toBe('deleted');
  await waitFor(() => slow.end !== undefined, 'the end of the one that is behind');
  expect(await chunked.untilEnd()).toBe('broken');
  expect(await range.untilEnd()).toBe('broken');
  expect(await legacy.outcome).toMatchObject({ closeCode: 1011 });
  for (const { bytes } of [v2, slow, legacy, chunked, range]) expect(bytes.equals(all)).toBe(true);
  await events.waitForClose();
  expect(events.isEnded).toBe(true);
  expect(events.data === all.toString()).toBe(true);
});
