import { describe, expect, onTestFinished, test } from 'vitest';
import { RotatingLog } from '../support/rotating-log.ts';
import { startServer } from '../support/server.ts';
import { waitFor } from '../support/wait-for.ts';
import { followAgain } from './following-again.ts';

const ROTATIONS: readonly (readonly [string, (log: RotatingLog) => Promise<void>])[] = [
  [
    'renamed, and made anew by its program',
    async (log) => {
      await log.write(50);
      log.rename();
      log.reopen();
    },
  ],
  [
    'renamed, and made anew in its place, while its program writes on to the old one',
    async (log) => {
      await log.write(30);
      log.rename();
      log.create();
      await log.write(50);
      log.reopen();
    },
  ],
  [
    'renamed, while its program writes on before there is a new one',
    async (log) => {
      await log.write(30);
      log.rename();
      await log.write(50);
      log.reopen();
    },
  ],
  [
    'deleted, and made anew by its program',
    async (log) => {
      await log.write(50);
      log.unlink();
      log.reopen();
    },
  ],
  [
    'deleted, while its program writes on before there is a new one',
    async (log) => {
      await log.write(30);
      log.unlink();
      await log.write(50);
      log.reopen();
    },
  ],
  [
    'rotated ten times a second',
    async (log) => {
      await log.write(20);
      log.rename();
      log.reopen();
    },
  ],
];

describe('httpfstream-follow -F of a file that is', () => {
  test.each(ROTATIONS)('%s: each line comes once, in order', async (_, rotate) => {
    const server = await startServer();
    const log = new RotatingLog(`${server.root}/a`);
    onTestFinished(() => log.close());
    await log.write(10);
    const { command } = followAgain(server);
    await waitFor(() => command.stdout.toString() === log.text, 'the beginning');
    for (let i = 0; i < 4; i++) await rotate(log);
    await log.write(10);
    await waitFor(() => command.stdoutBytes >= log.text.length, 'all lines');
    expect(command.stdout.toString()).toBe(log.text);
    expect(command.stderr).not.toContain('lost');
  });
});
