import path from 'node:path';
import { fileURLToPath } from 'node:url';
import type { IPty } from '@lydell/node-pty';
import { describe, expect, onTestFinished, test } from 'vitest';
import type { CommandName } from '../../support/programs/command.ts';
import { hasPty } from '../../support/programs/has-pty.ts';
import { startServer, temporaryDirectory } from '../../support/server/server.ts';
import { waitFor } from '../../support/wait-for.ts';

/** A terminal that can be closed, as one closes its window. */
interface ClosableTerminal extends IPty {
  destroy(): void;
}

/**
 * Runs a built command at a terminal of its own, where a line is typed, closes that when it shows `sign`, and resolves
 * with how the command ends.
 */
async function endOf(name: CommandName, args: readonly string[], sign: string) {
  // Where there is none for this system, it is not to be loaded.
  const { spawn } = await import('@lydell/node-pty');
  const file = fileURLToPath(new URL(`../../../dist/bin/${name}.js`, import.meta.url));
  const terminal = spawn(process.execPath, [file, ...args], {
    env: { PATH: process.env.PATH },
  }) as ClosableTerminal;
  terminal.write('typed\n');
  let shown = '';
  let isOver = false;
  terminal.onData((text) => {
    shown += text;
  });
  const ended = new Promise<{ exitCode: number; signal?: number | undefined }>((resolve) =>
    terminal.onExit(resolve),
  ).finally(() => {
    isOver = true;
  });
  onTestFinished(() => {
    if (!isOver) process.kill(terminal.pid, 'SIGKILL');
  });
  await waitFor(() => shown.includes(sign), `${name} to run`);
  // The system tells the command; what the package sends beside that would be the second signal.
  terminal.kill = () => {};
  terminal.destroy();
  return ended;
}

describe.runIf(hasPty)('when its terminal is closed', () => {
  test('a server closes in order, exit code 0', async () => {
    const root = path.join(await temporaryDirectory(), 'root');
    const ended = endOf('httpfstream-server', ['-root', root, '-http=127.0.0.1:0'], 'FOLLOW');
    expect(await ended).toEqual({ exitCode: 0, signal: 0 });
  });

  test('an append of what is typed ends, and does not crash', async () => {
    const server = await startServer();
    const ended = endOf('httpfstream-append', ['--tee', server.url('/a')], 'typed\r\ntyped');
    // The exit code depends on what it meets first: the signal, or that nothing can be read any more.
    expect(await ended).toMatchObject({ signal: 0 });
  });

  test.each([{ options: [] }, { options: ['--pty'] }])(
    'an append of what a command writes ends as that does (%j)',
    async ({ options }) => {
      const server = await startServer();
      const command = ['--', 'sh', '-c', 'trap "exit 7" HUP; echo runs; while sleep 0.01; do :; done'];
      const ended = endOf('httpfstream-append', [...options, '--tee', server.url('/a'), ...command], 'runs');
      expect(await ended).toEqual({ exitCode: 7, signal: 0 });
    },
  );

  test('a follow ends, exit code 129', async () => {
    const server = await startServer();
    const ended = endOf('httpfstream-follow', ['-F', server.url('/a')], 'waiting');
    expect(await ended).toEqual({ exitCode: 129, signal: 0 });
  });
});
