import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { expect, test } from 'vitest';
import { OriginalAppender } from '../../support/original/clients.ts';
import { loggedPort, startProgram } from '../../support/programs/program.ts';
import { temporaryDirectory } from '../../support/server/server.ts';
import { waitFor } from '../../support/wait-for.ts';

const PROCESS_IO = pathToFileURL(path.join(import.meta.dirname, '../../../build/src/cli/io/process-io.js'));

const SERVER = path.join(import.meta.dirname, '../../../dist/bin/httpfstream-server.js');

/** What runs a program as the first process of a namespace, as in a container. It takes Linux, and the right to do it. */
const AS_FIRST = ['-Urpf', '--mount-proc'];
const canBeFirst = spawnSync('unshare', [...AS_FIRST, 'true']).status === 0;

test.runIf(canBeFirst)(
  'a second signal ends the first process of a container, too, exit code 143',
  async () => {
    const args = [...AS_FIRST, '--kill-child', process.execPath, SERVER, '-http=127.0.0.1:0'];
    const server = startProgram('unshare', [...args, `-root=${await temporaryDirectory()}`]);
    // It never reads that it is to go, so that the server waits for it.
    await OriginalAppender.connect(`http://127.0.0.1:${await loggedPort(server)}/a`);
    const tell = () => process.kill(childOf(server.pid), 'SIGTERM');
    tell();
    await waitFor(() => server.stdout().includes('"closing"'), 'the closing to begin');
    tell();
    expect(await server.ended).toMatchObject({ exitCode: 143, signal: null, stderr: '' });
  },
);

test.skipIf(process.platform === 'win32')(
  'a thread that waits for a file system that does not answer holds up no exit',
  async () => {
    const pipe = path.join(await temporaryDirectory(), 'pipe');
    spawnSync('mkfifo', [pipe]);
    const program = `
      const { exitSoon } = await import(${JSON.stringify(PROCESS_IO)});
      // Nobody ever writes to it: as long as it is opened, a thread of Node's waits.
      (await import('node:fs')).open(${JSON.stringify(pipe)}, () => {});
      exitSoon(3);`;
    const ended = await startProgram(process.execPath, ['--input-type=module', '-e', program]).ended;
    const expected =
      'execve' in process ? { exitCode: 3, signal: null } : { exitCode: null, signal: 'SIGKILL' };
    expect(ended).toMatchObject({ ...expected, stderr: '' });
  },
);

/** The process that another one has started, by their ids. */
function childOf(pid: number | undefined): number {
  return Number(readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8'));
}
