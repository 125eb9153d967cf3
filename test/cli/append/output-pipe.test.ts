import { writeSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { buffer } from 'node:stream/consumers';
import { describe, expect, onTestFinished, test } from 'vitest';
import { LingeringOutput, openOutputPipe } from '../../../src/cli/append/output-pipe.ts';
import { runAppend } from '../../../src/cli/append/run-append.ts';
import { pattern } from '../../support/pattern.ts';
import { runHere } from '../../support/programs/command.ts';
import { startServer, type TestServer } from '../../support/server/server.ts';
import { waitFor } from '../../support/wait-for.ts';

const PIPE_BYTES = 64 * 1024;

/** A pipe, of which this process has both ends. */
async function openPipe() {
  const pipe = await openOutputPipe();
  const output = new LingeringOutput(pipe);
  onTestFinished(() => {
    output.destroy();
    pipe.closeWriteDescriptor();
  });
  const { readable } = pipe;
  return { output, readable, write: (bytes: Buffer) => writeSync(pipe.writeDescriptor, bytes) };
}

const run = (server: TestServer, linger: string, script: string) =>
  runHere(runAppend, [`--linger=${linger}`, server.url('/a'), '--', 'sh', '-c', script]);
const textOf = (server: TestServer) => readFile(`${server.root}/a`, 'utf8');

describe('httpfstream-append -- COMMAND', () => {
  test('ends with the command, though a daemon that it left behind holds its output', async () => {
    const server = await startServer();
    const { exit, stderr } = await run(server, '0.05', 'sleep 300 & echo $!; exit 3');
    expect({ exit, stderr }).toEqual({ exit: 3, stderr: '' });
    // It is not harmed.
    process.kill(Number(await textOf(server)));
  });

  test('appends what comes within the time', async () => {
    const server = await startServer();
    const { exit } = await run(server, '300', '(sleep 0.1; echo late) & echo hi');
    expect(exit).toBe(0);
    expect(await textOf(server)).toBe('hi\nlate\n');
  });

  test('ends though somebody writes all the time', async () => {
    const server = await startServer();
    const { exit } = await run(
      server,
      '0',
      `yes & until [ -s '${server.root}/a' ]; do sleep 0.01; done; exit 4`,
    );
    expect(exit).toBe(4);
    expect((await textOf(server)).slice(0, 4)).toBe('y\ny\n');
  });

  test('--linger means nothing on a terminal', async () => {
    const { exit, stderr } = await runHere(runAppend, [
      '--linger=1',
      '--pty',
      'http://127.0.0.1:1/a',
      '--',
      'true',
    ]);
    expect({ exit, stderr }).toMatchObject({ exit: 2, stderr: expect.stringContaining('hung up on') });
  });

  test('--linger means nothing without a command', async () => {
    const { exit, stderr } = await runHere(runAppend, ['--linger=1', 'http://127.0.0.1:1/a']);
    expect({ exit, stderr }).toEqual({
      exit: 2,
      stderr: 'httpfstream-append: --linger needs a command after --\n',
    });
  });
});

describe('lingering output', () => {
  test('has everything that was in the pipe at its end, however slowly it is read', async () => {
    const { output, readable, write } = await openPipe();
    const bytes = pattern(0, 2 * PIPE_BYTES + 1000);
    // As much as it holds itself, and as Node holds, so that the last bytes stay in the pipe.
    write(bytes.subarray(0, PIPE_BYTES));
    await waitFor(() => output.readableLength === PIPE_BYTES, 'the first bytes');
    write(bytes.subarray(PIPE_BYTES, 2 * PIPE_BYTES));
    await waitFor(() => readable.readableLength === PIPE_BYTES, 'those that are read ahead');
    write(bytes.subarray(2 * PIPE_BYTES));
    output.endSoon(0);
    await waitFor(() => output.readableLength === bytes.length, 'all bytes');
    expect((await buffer(output)).equals(bytes)).toBe(true);
  });

  test('of which nobody waits for more has all of it as well', async () => {
    const { output, write } = await openPipe();
    const bytes = pattern(0, 2 * PIPE_BYTES);
    write(bytes.subarray(0, PIPE_BYTES));
    output.endSoon(600_000);
    await waitFor(() => output.readableLength === PIPE_BYTES, 'the first bytes');
    write(bytes.subarray(PIPE_BYTES));
    output.endSoon(0);
    expect((await buffer(output)).equals(bytes)).toBe(true);
  });

  test('of which nothing came ends, too', async () => {
    const { output } = await openPipe();
    output.endSoon(0);
    expect(await buffer(output)).toHaveLength(0);
  });

  test('that is destroyed before its end is over', async () => {
    const { output } = await openPipe();
    output.endSoon(0);
    output.destroy();
    await waitFor(() => output.closed, 'the close');
    expect(output.readableEnded).toBe(false);
  });
});
