import { spawnSync } from 'node:child_process';
import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { Command } from 'commander';
import { expect, test } from 'vitest';
import { addServerOptions } from '../src/cli/server/server-options.ts';
import { optionRows } from './support/docs/option-rows.ts';
import { PATH, runProgram } from './support/programs/program.ts';

const PROJECT = path.join(import.meta.dirname, '..');

const VARIABLES = addServerOptions(new Command()).options.map(({ envVar }) => envVar);

test('docs/options.md has every option of the server, as it is in the code, and no other', async () => {
  const page = await readFile(path.join(PROJECT, 'docs/options.md'), 'utf8');
  const rows = page.split('\n').filter((line) => line.startsWith('| `-'));
  expect(rows).toEqual(optionRows());
});

test('what deploy/ and docker/ set are options that there are', async () => {
  const files = await Promise.all(
    ['deploy', 'docker'].map((name) =>
      readdir(path.join(PROJECT, name), { recursive: true, withFileTypes: true }),
    ),
  );
  const texts = await Promise.all(
    files
      .flat()
      .filter((entry) => entry.isFile())
      .map((entry) => readFile(path.join(entry.parentPath, entry.name), 'utf8')),
  );
  const named = texts.join('\n').match(/HTTPFSTREAM_[A-Z_]+/g) ?? [];
  expect(named.length).toBeGreaterThan(3);
  expect(named.filter((name) => !VARIABLES.includes(name))).toEqual([]);
});

const hasSystemd = spawnSync('systemd-analyze', ['--version']).status === 0;

test.runIf(hasSystemd)('systemd takes the units', async () => {
  const units = ['socket', 'service'].map((kind) => path.join(PROJECT, `deploy/systemd/httpfstream.${kind}`));
  const { exitCode, stderr } = await runProgram('systemd-analyze', ['verify', ...units], { env: { PATH } });
  expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: '' });
});
