// Tries the client library on Bun and Deno: node scripts/test-on-runtimes.mjs
// They come from npm and are kept below node_modules/.cache; remove
// node_modules/.cache/runtimes to get the newest releases again.

import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

process.chdir(fileURLToPath(new URL('..', import.meta.url)));

const directory = path.resolve('node_modules/.cache/runtimes');
const stdio = ['ignore', process.stderr, process.stderr];

execFileSync(process.execPath, ['scripts/setup.mjs'], { stdio: 'inherit' });
if (!existsSync(path.join(directory, 'node_modules/.bin'))) {
  const options = ['--prefix', directory, '--no-save', '--ignore-scripts'];
  execFileSync('npm', ['install', ...options, 'bun', 'deno'], { stdio });
  // What their install scripts do, which npm may not run.
  for (const script of ['bun/install.js', 'deno/install.cjs']) {
    execFileSync(process.execPath, [path.join(directory, 'node_modules', script)], { stdio });
  }
}
const PATH = [path.join(directory, 'node_modules/.bin'), process.env.PATH].join(path.delimiter);
const env = { ...process.env, PATH };
// The tests leave out what does not run.
for (const runtime of ['bun', 'deno']) execFileSync(runtime, ['--version'], { stdio: 'inherit', env });
const { status } = spawnSync(
  process.execPath,
  ['node_modules/vitest/vitest.mjs', 'run', '--project', 'together', 'test/runtimes'],
  { stdio: 'inherit', env },
);
process.exitCode = status ?? 1;
