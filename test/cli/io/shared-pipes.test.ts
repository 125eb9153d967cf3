import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { loggedPort } from '../../support/programs/program.ts';
import { APPEND, FOLLOW, SERVER, shell } from '../../support/programs/shell.ts';
import { temporaryDirectory } from '../../support/server/server.ts';
import { serverForAll } from '../../support/server/server-for-all.ts';
import { waitFor } from '../../support/wait-for.ts';

const servers = serverForAll();

const O_NONBLOCK = 0o4000;

/** Which of a process's standard streams would not wait, for this process or any other that shares them. */
async function nonBlockingOf(pid: number): Promise<number[]> {
  const flags = await Promise.all(
    [0, 1, 2].map(async (descriptor) => {
      const info = await readFile(`/proc/${pid}/fdinfo/${descriptor}`, 'utf8');
      return Number.parseInt(/^flags:\s*(\d+)$/m.exec(info)?.[1] as string, 8);
    }),
  );
  return [0, 1, 2].filter((descriptor) => ((flags[descriptor] as number) & O_NONBLOCK) !== 0);
}

/** Runs a command line with three pipes of the system. */
async function startWithPipes(line: string) {
  const file = path.join(await temporaryDirectory(), 'pid');
  const command = `echo $$ > ${file}; exec ${line}`.replaceAll("'", "'\\''");
  const program = shell(`{ cat | sh -c '${command}' 2>&1 >&3 | cat >&2; } 3>&1 | cat`);
  const pid = async () => Number(await readFile(file, 'utf8'));
  // The programs at the other ends of the pipes go when it is gone, and nothing more comes for it.
  onTestFinished(async () => {
    program.stdin.end();
    process.kill(await pid(), 'SIGKILL');
    await program.ended;
  });
  return { program, pid };
}

describe.runIf(process.platform === 'linux')(
  'pipes that a command shares with other programs still wait',
  () => {
    test('httpfstream-follow', async () => {
      const server = await servers.guest();
      await writeFile(`${server.root}/a`, 'x');
      const { program, pid } = await startWithPipes(`${FOLLOW} -F ${server.url('/a')}`);
      await waitFor(() => program.stdout().length === 1, 'the byte');
      expect(await nonBlockingOf(await pid())).toEqual([]);
    });

    test.each([
      ['', ''],
      ['--tee', ''],
      ['', '-- cat'],
      ['--tee', '-- cat'],
    ])('httpfstream-append -v %s URL %s', async (option, command) => {
      const server = await servers.guest();
      const { program, pid } = await startWithPipes(`${APPEND} -v ${option} ${server.url('/a')} ${command}`);
      program.stdin.write('x');
      const textOf = (file: string) => readFile(file, 'utf8').catch(() => '');
      await waitFor(async () => (await textOf(`${server.root}/a`)) === 'x', 'the byte');
      expect(await nonBlockingOf(await pid())).toEqual([]);
    });

    test('httpfstream-server, with all its threads', async () => {
      const root = await temporaryDirectory();
      const { program, pid } = await startWithPipes(
        `${SERVER} -root=${root} -http=127.0.0.1:0 -durability=disk`,
      );
      const url = `http://127.0.0.1:${await loggedPort(program)}/a`;
      const headers = { 'Content-Type': 'text/plain' };
      expect((await fetch(url, { method: 'PUT', headers })).status).toBe(201);
      expect((await fetch(url, { method: 'POST', headers, body: 'x' })).ok).toBe(true);
      expect(await nonBlockingOf(await pid())).toEqual([]);
    });
  },
);
