import { readFile } from 'node:fs/promises';
import { expect, test } from 'vitest';
import {
  descriptorLimit,
  liveResourcesWithin,
} from '../../../src/server/node/connections/descriptor-limit.ts';
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

test('a soft limit of open files is raised to the hard one; that this is too low for many live resources is told, and for how many it is enough', async () => {
  const { pid, warnings } = await startBehind('ulimit -Sn 256 && ulimit -Hn 4096');
  if (process.platform === 'linux') {
    expect(await readFile(`/proc/${pid}/limits`, 'utf8')).toMatch(/^Max open files +4096 +4096 /m);
  }
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
