import { readFile } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { descriptorLimit, liveResourcesWithin } from '../../../src/server/node/descriptor-limit.ts';
import { SERVER, shell } from '../../support/programs/shell.ts';
import { temporaryDirectory } from '../../support/server/server.ts';
import { waitFor } from '../../support/wait-for.ts';

/** Runs the server with limits that the shell sets until the test is over, and resolves when it is ready. */
async function startBehind(limits: string) {
  const server = shell(`${limits} && exec ${SERVER} -root '${await temporaryDirectory()}' -http 127.0.0.1:0`);
  await waitFor(() => server.stdout().includes('"ready"'), 'the server to be ready');
  const warnings = server
    .stdout()
    .toString()
    .trim()
    .split('\n')
    .map((text) => JSON.parse(text))
    .filter(({ level }) => level === 40);
  return { pid: server.pid, warnings };
}

test.runIf(process.platform === 'linux')('a soft limit of open files is raised to the hard one', async () => {
  const { pid } = await startBehind('ulimit -Sn 256 && ulimit -Hn 2048');
  expect(await readFile(`/proc/${pid}/limits`, 'utf8')).toMatch(/^Max open files +2048 +2048 /m);
});

test('a hard limit that is too low for many live resources is told, and for how many it is enough', async () => {
  const { warnings } = await startBehind('ulimit -n 4096');
  expect(warnings).toMatchObject([
    {
      openFiles: 4096,
      liveResources: liveResourcesWithin(4096),
      msg: expect.stringContaining('raise its hard limit (ulimit -Hn)'),
    },
  ]);
});

const ENOUGH = 40_000;

test.runIf(descriptorLimit() >= ENOUGH)('one that is high enough is no word worth', async () => {
  const { warnings } = await startBehind(`ulimit -n ${ENOUGH}`);
  expect(warnings).toEqual([]);
});
