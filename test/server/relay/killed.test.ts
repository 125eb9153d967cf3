import { once } from 'node:events';
import { readFile, stat } from 'node:fs/promises';
import path from 'node:path';
import { expect, test } from 'vitest';
import { follow, openAppend } from '../../../src/client/index.ts';
import { ChaosProxy, NO_CHAOS } from '../../support/chaos/proxy.ts';
import { pattern } from '../../support/pattern.ts';
import { Random } from '../../support/random.ts';
import { startOrigin } from '../../support/relay/origin.ts';
import { temporaryDirectory } from '../../support/server/server.ts';
import { ServerProcess } from '../../support/server/server-process.ts';
import { waitFor, waitForSize } from '../../support/wait-for.ts';

const RETRY = { retry: { times: 1_000_000, minDelayMs: 10, maxDelayMs: 100 } };

const PIECE = 256 * 1024;

const PIECES = 6;

test('a relay that is killed loses nothing of what goes through it in either direction', async () => {
  const origin = await startOrigin({ graceMs: 60_000 });
  const upstream = await ChaosProxy.start(origin.port, new Random(1), NO_CHAOS);
  const root = path.join(await temporaryDirectory(), 'root');
  const relay = await ServerProcess.start(root, ['-upstream', upstream.url('')]);
  const network = await ChaosProxy.start(relay.port, new Random(2), NO_CHAOS);
  const appender = openAppend(network.url('/f'), RETRY);
  appender.write(pattern(0, PIECE));
  await waitForSize(path.join(origin.root, 'f'), PIECE);
  const follower = follow(network.url('/f'), RETRY);
  const chunks: Buffer[] = [];
  follower.on('data', (chunk: Buffer) => chunks.push(chunk));
  await waitFor(() => follower.position === PIECE, 'the first piece');
  for (let piece = 1; piece < PIECES; piece++) {
    appender.write(pattern(piece * PIECE, PIECE));
    if (piece % 3 === 1) {
      await relay.restart();
      network.targetPort = relay.port;
    } else if (piece % 3 === 2) upstream.resetAll();
    else network.resetAll();
    await waitForSize(path.join(origin.root, 'f'), (piece + 1) * PIECE);
  }
  appender.end();
  await once(follower, 'end');
  const all = pattern(0, PIECES * PIECE);
  expect(Buffer.concat(chunks).equals(all)).toBe(true);
  expect((await readFile(path.join(origin.root, 'f'))).equals(all)).toBe(true);
  expect((await readFile(path.join(root, 'f'))).equals(all)).toBe(true);
  expect((await stat(path.join(root, 'f'))).size).toBe(all.length);
});
