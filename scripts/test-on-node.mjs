// Runs the tests on other versions of Node: node scripts/test-on-node.mjs 22 24 26
// The binaries come from npm and are kept below node_modules/.cache; remove
// node_modules/.cache/node to get the newest releases again.

import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

process.chdir(fileURLToPath(new URL('..', import.meta.url)));

const versions = process.argv.slice(2);
if (versions.length === 0 || !versions.every((version) => /^\d+(\.\d+){0,2}$/.test(version))) {
  console.error('usage: node scripts/test-on-node.mjs VERSION…    such as: 22 24 26');
  process.exit(2);
}

/** Resolves to the path of a Node binary of that version. */
function install(version) {
  // The package `node` fetches this one in an install script, which npm may not run.
  const platform = process.platform === 'win32' ? 'win' : process.platform;
  const name = `node-${platform}-${process.arch}`;
  const directory = path.resolve('node_modules/.cache/node', version);
  const binary = path.join(directory, 'node_modules', name, 'bin', 'node');
  if (!existsSync(binary)) {
    execFileSync(
      'npm',
      ['install', '--prefix', directory, '--no-save', '--ignore-scripts', `${name}@${version}`],
      { stdio: ['ignore', process.stderr, process.stderr] },
    );
  }
  return binary;
}

/** Runs the tests; returns whether they passed. */
function test(binary) {
  const PATH = `${path.dirname(binary)}${path.delimiter}${process.env.PATH}`;
  const { status } = spawnSync(binary, ['node_modules/vitest/vitest.mjs', 'run'], {
    stdio: 'inherit',
    env: { ...process.env, PATH, HTTPFSTREAM_BUILT: '1' },
  });
  return status === 0;
}

execFileSync(process.execPath, ['scripts/setup.mjs'], { stdio: 'inherit' });
const results = versions.map((version) => {
  const binary = install(version);
  const exactVersion = execFileSync(binary, ['--version'], { encoding: 'utf8' }).trim();
  console.log(`\nNode ${exactVersion}`);
  return { exactVersion, passed: test(binary) };
});

console.log('');
for (const { exactVersion, passed } of results) {
  console.log(`Node ${exactVersion}: ${passed ? 'passed' : 'FAILED'}`);
}
process.exitCode = results.every(({ passed }) => passed) ? 0 : 1;
