import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { StreamReplay } from '../../../src/core/recovery/stream-replay.ts';
import { untypedState } from '../../../src/storage/records/stream-state.ts';
import { Root } from '../../../src/storage/root/root.ts';
import { diskDirectory } from '../../support/server/server.ts';

/** What becomes of a file when the log has two runs of a session. */
async function replayed(left: string): Promise<string> {
  const directory = await diskDirectory();
  const name = path.join(directory, 'f');
  await writeFile(name, left);
  const file = await (await Root.open(directory)).openRepair('f');
  onTestFinished(() => file.close());
  const replay = new StreamReplay(untypedState(left.length), left.length);
  await replay.makeRun(4, Buffer.from('one '), file);
  await replay.makeRun(8, Buffer.from('two '), file);
  expect(replay.hasRuns).toBe(true);
  return readFile(name, 'latin1');
}

test.each([
  ['has everything', 'was one two ', 'was one two '],
  ['has more', 'was one two three', 'was one two three'],
  ['lacks all of them', 'was ', 'was one two '],
  ['lacks the end of one', 'was one t', 'was one two '],
  ['has zeros where the disk has lost it', 'was \0\0\0\0two ', 'was one two '],
  ['has zeros at its end', 'was one \0\0\0', 'was one two '],
])('a file that %s gets what a session has brought', async (_what, left, expected) => {
  expect(await replayed(left)).toBe(expected);
});

test.each([
  ['was cut before them', 'wa'],
  ['has something else there', 'was not so'],
  ['was written anew', 'new'],
])('a file that %s is left as it is', async (_what, left) => {
  expect(await replayed(left)).toBe(left);
});
