import { execFileSync } from 'node:child_process';
import { constants, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { open, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { watchReader } from '../../../src/cli/io/reader-watch.ts';
import { FOLLOW, shell } from '../../support/programs/shell.ts';
import { startServer, temporaryDirectory } from '../../support/server/server.ts';
import { waitFor, waitForStandstill } from '../../support/wait-for.ts';

async function makePipe() {
  const name = path.join(await temporaryDirectory(), 'pipe');
  execFileSync('mkfifo', [name]);
  const reader = await open(name, constants.O_RDONLY | constants.O_NONBLOCK);
  const writer = await open(name, 'w');
  onTestFinished(async () => {
    await reader.close().catch(() => undefined);
    await writer.close();
  });
  return { name, reader, writer };
}

/** The programs whose standard output is a pipe. */
function writersOf(pipe: string): string[] {
  const writesTo = (pid: string) => {
    try {
      return readlinkSync(`/proc/${pid}/fd/1`) === pipe;
    } catch {
      return false;
    }
  };
  return readdirSync('/proc').filter((pid) => /^\d+$/.test(pid) && writesTo(pid));
}

/** How often a program has been given the processor after it had slept. */
const wakeUpsOf = (pid: string) =>
  Number(/^voluntary_ctxt_switches:\s*(\d+)$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]);

test.runIf(process.platform === 'linux')('who watches a reader sleeps until the reader is gone', async () => {
  const { name, reader, writer } = await makePipe();
  let isGone = false;
  const endWatching = watchReader(writer.fd, () => {
    isGone = true;
  });
  onTestFinished(endWatching);
  await waitFor(() => writersOf(name).length === 1, 'who watches');
  const [pid] = writersOf(name) as [string];
  await waitForStandstill(() => wakeUpsOf(pid), 'it to sleep');
  expect(isGone).toBe(false);
  await reader.close();
  await waitFor(() => isGone, 'it to be noticed');
});

test('a follow that was killed leaves nobody for whom its reader would wait', async () => {
  const server = await startServer();
  await writeFile(`${server.root}/a`, 'x\n');
  // What a shell calls $$ is itself, whose place the follow takes.
  const follow = `sh -c 'echo $$; exec "$@"' sh ${FOLLOW} -F ${server.url('/a')}`;
  const program = shell(`${follow} | cat`);
  await waitFor(() => program.stdout().toString().endsWith('x\n'), 'what it follows');
  process.kill(Number.parseInt(program.stdout().toString(), 10), 'SIGKILL');
  expect((await program.ended).exitCode).toBe(0);
});
