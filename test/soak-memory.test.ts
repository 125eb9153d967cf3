import { stat } from 'node:fs/promises';
import path from 'node:path';
import { expect, test } from 'vitest';
import { type StartedProgram, startProgram } from './support/programs/program.ts';
import { diskDirectory } from './support/server/server.ts';
import { ServerProcess } from './support/server/server-process.ts';
import { waitFor } from './support/wait-for.ts';

const MIB = 1024 * 1024;

/** `HTTPFSTREAM_SOAK=1` runs the long form, `npm test` the short one. */
const TOTAL_BYTES = process.env.HTTPFSTREAM_SOAK ? 10 * 1024 * MIB : 112 * MIB;

/** What each process may take on top of its buffers and of what it had when it was warm. */
const MAX_GROWTH_BYTES = 64 * MIB;

/** The default of `bufferBytes`. */
const APPEND_BUFFER_BYTES = 8 * MIB;

/** What a follower's readable holds before it asks to wait. */
const FOLLOW_BUFFER_BYTES = MIB;

const CLIENT = path.join(import.meta.dirname, 'support/programs/client-memory.mjs');

async function startClient(role: 'append' | 'follow', url: string): Promise<StartedProgram> {
  const client = startProgram(process.execPath, [CLIENT, role, url, String(TOTAL_BYTES)]);
  await Promise.race([
    waitFor(() => client.stdout().includes('open\n'), `the ${role} to open`),
    client.ended,
  ]);
  return client;
}

/** By how much its memory grew; fails unless it ended well. */
async function growthOf(client: StartedProgram): Promise<number> {
  const { exitCode, stdout, stderr } = await client.ended;
  expect(stderr).toBe('');
  expect(exitCode).toBe(0);
  return Number(/done (\d+)/.exec(String(stdout))?.[1]);
}

test(`${TOTAL_BYTES / MIB} MiB in both directions fit in a small memory, on both sides`, async () => {
  const root = await diskDirectory();
  const server = await ServerProcess.start(root);
  const url = server.url('/a');
  const appender = await startClient('append', url);
  const follower = await startClient('follow', url);
  const residentMiB: number[] = [];
  const sampling = setInterval(() => residentMiB.push(server.residentMiB()), 50);
  try {
    expect(await growthOf(appender)).toBeLessThan(APPEND_BUFFER_BYTES + MAX_GROWTH_BYTES);
    expect(await growthOf(follower)).toBeLessThan(FOLLOW_BUFFER_BYTES + MAX_GROWTH_BYTES);
  } finally {
    clearInterval(sampling);
  }
  expect((await stat(path.join(root, 'a'))).size).toBe(TOTAL_BYTES);
  // And from the disk, what nobody appends to.
  expect(await growthOf(await startClient('follow', url))).toBeLessThan(
    FOLLOW_BUFFER_BYTES + MAX_GROWTH_BYTES,
  );
  expect(Math.max(...residentMiB) - (residentMiB[0] as number)).toBeLessThan(MAX_GROWTH_BYTES / MIB);
});
