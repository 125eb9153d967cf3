// Makes a checkout ready to run: installs what the lock file names, when that
// has changed since the last time, and compiles. Needs nothing but Node and npm.

import { execSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chmodSync, existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

process.chdir(fileURLToPath(new URL('..', import.meta.url)));

const MARK = 'node_modules/.installed';
const wanted = createHash('sha256')
  .update(process.version)
  .update(readFileSync('package.json'))
  .update(readFileSync('package-lock.json'))
  .digest('hex');
const run = (command) => execSync(command, { stdio: ['ignore', process.stderr, process.stderr] });

if (!existsSync(MARK) || readFileSync(MARK, 'utf8') !== wanted) {
  run('npm ci --include=dev');
  writeFileSync(MARK, wanted);
}
run('npm run --silent build');
for (const name of readdirSync('dist/bin').filter((file) => file.endsWith('.js'))) {
  chmodSync(`dist/bin/${name}`, 0o755);
}
