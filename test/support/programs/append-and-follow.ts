import { randomBytes } from 'node:crypto';
import { expect } from 'vitest';
import { waitFor } from '../wait-for.ts';
import { type ProgramOptions, startProgram } from './program.ts';

/** A program and its first arguments; the URL comes after them. */
export type CommandLine = readonly [command: string, ...args: string[]];

/**
 * Appends through one command and follows through the other while that goes
 * on, and expects that every byte comes out and both exit with 0.
 *
 * @returns the bytes
 */
export async function appendAndFollow(
  append: CommandLine,
  follow: CommandLine,
  url: string,
  options: ProgramOptions = {},
): Promise<Buffer> {
  const start = ([command, ...args]: CommandLine) => startProgram(command, [...args, url], options);
  const halves = [randomBytes(200_000), randomBytes(200_000)] as const;
  const bytes = Buffer.concat(halves);

  const appender = start(append);
  appender.stdin.write(halves[0]);
  const exists = async () => (await fetch(url, { method: 'HEAD' })).ok;
  // A command that has failed is told of at the end, with what it said.
  await Promise.race([waitFor(exists, 'the resource to exist'), appender.ended]);
  const follower = start(follow);
  const isHalfFollowed = () => follower.stdout().length === halves[0].length;
  await Promise.race([waitFor(isHalfFollowed, 'the first half to be followed'), follower.ended]);
  appender.stdin.end(halves[1]);

  const [appended, followed] = await Promise.all([appender.ended, follower.ended]);
  expect(appended).toMatchObject({ exitCode: 0, stderr: '' });
  expect(followed).toMatchObject({ exitCode: 0, stderr: '' });
  expect(followed.stdout.equals(bytes)).toBe(true);
  return bytes;
}
