import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { runFollow } from '../../../src/cli/follow/run-follow.ts';
import { runHere } from '../../support/programs/command.ts';
import { startServer } from '../../support/server/server.ts';

test('many resources at a time are followed without a warning', async () => {
  const warnings: string[] = [];
  const onWarning = ({ message }: Error) => void warnings.push(message);
  process.on('warning', onWarning);
  onTestFinished(() => void process.off('warning', onWarning));
  const server = await startServer();
  // More than the listeners that Node takes for a leak.
  const names = Array.from({ length: 12 }, (_, index) => `f${index}`);
  for (const name of names) await writeFile(path.join(server.root, name), `in ${name}\n`);
  const { exit, stdout } = await runHere(
    runFollow,
    names.map((name) => server.url(`/${name}`)),
  );
  expect(exit).toBe(0);
  for (const name of names) expect(stdout).toContain(`in ${name}\n`);
  expect(warnings).toEqual([]);
});
