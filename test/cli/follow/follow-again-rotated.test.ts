import { readFile, rename } from 'node:fs/promises';
import { describe, expect, onTestFinished, test } from 'vitest';
import { runAppend } from '../../../src/cli/append/run-append.ts';
import { runServer } from '../../../src/cli/server/run-server.ts';
import { NOTIFIES_EACH_CHANGE } from '../../../src/storage/root/file-systems.ts';
import { RotatingLog } from '../../support/disk/rotating-log.ts';
import { get } from '../../support/http/request.ts';
import { CommandHere, portOf, startServerCommand } from '../../support/programs/command.ts';
import { serverForAll } from '../../support/server/server-for-all.ts';
import { waitFor } from '../../support/wait-for.ts';
import { append, followAgain } from './following-again.ts';

const servers = serverForAll();

/** In which ways a file is rotated. */
const ROTATIONS: readonly ((log: RotatingLog) => Promise<void>)[] = [
  // Its program makes it anew at once, …
  async (log) => {
    log.rename();
    log.reopen();
  },
  async (log) => {
    log.unlink();
    log.reopen();
  },
  // … or writes on to the old one, with a new one in its place …
  async (log) => {
    log.rename();
    log.create();
    await log.write(30);
    log.reopen();
  },
  // … or with none.
  async (log) => {
    log.rename();
    await log.write(30);
    log.reopen();
  },
  async (log) => {
    log.unlink();
    await log.write(30);
    log.reopen();
  },
];

/** A program that writes to `/a` of a server. */
function startLog(server: { root: string }): RotatingLog {
  const log = new RotatingLog(`${server.root}/a`);
  onTestFinished(() => log.close());
  return log;
}

describe('httpfstream-follow -F of a file that is', () => {
  test('renamed or deleted, before or after its program opens a new one: each line comes once, in order', async () => {
    const server = await servers.guest();
    const log = startLog(server);
    await log.write(10);
    const { command } = followAgain(server);
    await waitFor(() => command.stdout.toString() === log.text, 'the beginning');
    for (const rotate of ROTATIONS) {
      await log.write(30);
      await rotate(log);
    }
    await log.write(10);
    await waitFor(() => command.stdoutBytes >= log.text.length, 'all lines');
    expect(command.stdout.toString()).toBe(log.text);
    expect(command.stderr).not.toContain('lost');
  });

  test('renamed ten times a second: each line comes once, in order', async () => {
    const server = await servers.guest();
    const log = startLog(server);
    await log.write(10);
    const { command } = followAgain(server);
    await waitFor(() => command.stdout.toString() === log.text, 'the beginning');
    for (let i = 0; i < 5; i++) {
      await log.write(20);
      log.rename();
      log.reopen();
    }
    await log.write(10);
    await waitFor(() => command.stdoutBytes >= log.text.length, 'all lines');
    expect(command.stdout.toString()).toBe(log.text);
  });

  test('renamed, from its end on: each line comes once, in order', async () => {
    const server = await servers.guest();
    const log = startLog(server);
    await log.write(10);
    const { command } = followAgain(server, '-n', '0');
    await waitFor(async () => {
      await log.write(1);
      return command.stdoutBytes > 0;
    }, 'it to follow');
    await log.write(30);
    log.rename();
    log.reopen();
    await log.write(10);
    await waitFor(() => command.stdout.toString().endsWith(log.text.slice(-80)), 'the last lines');
    expect(command.stdout.toString()).toMatch(/^line /);
    expect(log.text.endsWith(`\n${command.stdout}`)).toBe(true);
  });

  test('copied and cut: what could be had comes once, in order, and it is told that something is lost', async () => {
    const server = await servers.guest();
    const log = startLog(server);
    await log.write(10);
    const { command, says } = followAgain(server);
    await waitFor(() => command.stdout.toString() === log.text, 'the beginning');
    await log.write(100);
    const before = log.text;
    log.copyAndTruncate();
    await says(': file truncated\n');
    await log.write(20);
    const after = log.text.slice(before.length);
    await waitFor(() => command.stdout.toString().endsWith(after), 'the new lines');
    const old = command.stdout.toString().slice(0, -after.length);
    expect(before.startsWith(old)).toBe(true);
    const lost = before.length - old.length;
    const [, atLeast] =
      /: at least (\d+) bytes from byte \d+ on were cut off before they were read\n/.exec(command.stderr) ??
      [];
    // The server has not always looked between the last lines and the cut.
    if (atLeast === undefined) await says('before it was read is lost, if anything was\n');
    else expect(Number(atLeast)).toBeLessThanOrEqual(lost);
  });

  test('copied and cut, and longer again when it asks: nothing of the new lines is left out', async () => {
    const server = await servers.guest();
    const log = startLog(server);
    await log.write(80);
    const { command, says } = followAgain(server);
    await waitFor(() => command.stdout.toString() === log.text, 'the beginning');
    const asked = `${server.url('/a')}?verb=FOLLOW&hold=60`;
    const { headers } = await get(asked);
    log.copyAndTruncate();
    // Has the server look.
    await get(`${asked}&from=0&generation=${headers['stream-generation']}`);
    await log.write(120);
    await waitFor(() => command.stdoutBytes >= log.text.length, 'all lines');
    expect(command.stdout.toString()).toBe(log.text);
    await says(': file truncated\n');
  });

  test('renamed under its appender: all that the server has taken comes once, then the new one', async () => {
    const server = await servers.guest();
    const appender = new CommandHere(runAppend, [server.url('/a')]);
    appender.stdin.write('old ');
    const { command, shows } = followAgain(server);
    await shows('old ');
    await rename(`${server.root}/a`, `${server.root}/a.1`);
    appender.stdin.end('and the rest ');
    expect(await appender.exit).toBe(1);
    await append(server, 'new');
    await waitFor(() => command.stdout.toString().endsWith('new'), 'the new one');
    // Its rest, too, unless the server has noticed before that came.
    expect(command.stdout.toString()).toBe(`${await readFile(`${server.root}/a.1`)}new`);
    expect(command.stderr).not.toContain('lost');
  });

  test('renamed while the server was away: the rest comes once', async () => {
    const server = await startServerCommand();
    const log = startLog(server);
    await log.write(10);
    const { command, says } = followAgain(server, '-v');
    await says('finished (read ');
    server.command.signal('SIGKILL');
    await says(' cannot be reached: ');
    await log.write(10);
    log.rename();
    log.reopen();
    await log.write(10);
    await portOf(new CommandHere(runServer, [`-root=${server.root}`, `-http=127.0.0.1:${server.port}`]));
    await waitFor(() => command.stdout.toString().endsWith(log.text.slice(-20)), 'the last lines');
    expect(command.stdout.toString()).toBe(log.text);
  });

  test('deleted while the server was away: that the rest is lost is told', async () => {
    const server = await startServerCommand();
    const log = startLog(server);
    await log.write(10);
    const { command, says } = followAgain(server, '-v');
    await says('finished (read ');
    const beginning = log.text;
    server.command.signal('SIGKILL');
    await says(' cannot be reached: ');
    await log.write(10);
    log.unlink();
    log.reopen();
    const before = log.text;
    await log.write(10);
    await portOf(new CommandHere(runServer, [`-root=${server.root}`, `-http=127.0.0.1:${server.port}`]));
    const expected = beginning + log.text.slice(before.length);
    await waitFor(() => command.stdout.toString() === expected, 'the last lines');
    expect(command.stderr).toContain(
      `: what was written since byte ${beginning.length} of the old file is lost, if anything was\n`,
    );
  });

  test.runIf(NOTIFIES_EACH_CHANGE)(
    'rotated more quickly than anybody could look: that something is lost is told',
    async () => {
      const server = await servers.guest();
      const log = startLog(server);
      await log.write(10);
      const { command, says } = followAgain(server);
      await waitFor(() => command.stdout.toString() === log.text, 'the beginning');
      // It has asked again by now, if only for this line.
      await log.write(1);
      await waitFor(() => command.stdout.toString() === log.text, 'the next line');
      log.writeAtOnce(10);
      for (let i = 0; i < 3; i++) {
        log.rename();
        log.reopen();
        log.writeAtOnce(10);
      }
      await waitFor(() => command.stdout.toString().endsWith(log.text.slice(-80)), 'the last lines');
      await says(': more may have been written in between, to the old file or to others; that is lost\n');
      expect(command.stdout.toString().split('\n')).toHaveLength(1 + 11 + 10 + 10);
    },
  );
});
