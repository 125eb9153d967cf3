// Compiles, where npm has been asked for a package that is made of sources: in a
// checkout after npm install, and as a dependency that is named by a Git address.
// Without the development's packages there is nothing to compile with, which is
// as it was asked for.

import { execSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

process.chdir(fileURLToPath(new URL('..', import.meta.url)));
if (existsSync('node_modules/typescript')) {
  execSync('npm run --silent build', { stdio: ['ignore', process.stderr, process.stderr] });
}
