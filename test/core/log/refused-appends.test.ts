import path from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { Core } from '../../../src/core/core.ts';
import { Root } from '../../../src/storage/root/root.ts';
import { play, type Step } from '../../support/core/crash-root.ts';
import { appendLine, textOf } from '../../support/core/streams.ts';
import { temporaryDirectory } from '../../support/server/server.ts';

/** What a stream has after a kill -9, when an append had met an error at a step, and what that was answered. */
async function afterKill(operation: string, step?: Step) {
  const directory = path.join(await temporaryDirectory(), 'root');
  const facts = await play(directory, operation, { step });
  const core = new Core(await Root.open(directory), { durability: 'os', graceMs: 0 });
  onTestFinished(() => core.close());
  await core.serve();
  const steps = facts.at(-1)?.steps ?? 0;
  const answers = facts.filter(({ kind, outcome }) => kind === 'append' && outcome !== 'sent');
  return { core, steps, answers: answers.map(({ lines, outcome }) => `${lines} ${outcome}`) };
}

/** What was left by each step of an operation at which it was refused. */
async function refusals(operation: string, line: string) {
  const { steps } = await afterKill(operation);
  const found: Awaited<ReturnType<typeof afterKill>>[] = [];
  for (let at = 1; at <= steps; at++) {
    const after = await afterKill(operation, { at, how: 'ENOSPC' });
    if (after.answers.includes(`${line} refused`)) found.push(after);
  }
  return found;
}

describe.each([
  ['a small append', 'append to a stream', 'line 0', '', 'line 0\n'],
  [
    'an append of more than goes through the log',
    'append much to a file that nobody made as a stream',
    'large 1',
    'plain 0\nline 0\n',
    undefined,
  ],
])('%s that a full disk has refused, at any step,', (_what, operation, line, before, retry) => {
  test('is not there after a kill -9, and is there once when it is sent again', async () => {
    const refused = await refusals(operation, line);
    // Such as the log, and the file when the log has it.
    expect(refused.length).toBeGreaterThanOrEqual(2);
    for (const { core, answers } of refused) {
      expect(answers.filter((answer) => answer.startsWith(line))).toEqual([
        `${line} refused`,
        `${line} refused`,
      ]);
      const name = operation.includes('file') ? 'plain' : 'stream';
      expect(await textOf(core, name)).toBe(before);
      await appendLine(core, name, retry ?? 'again\n');
      expect(await textOf(core, name)).toBe(`${before}${retry ?? 'again\n'}`);
    }
  });
});
