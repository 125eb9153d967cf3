// Has two tools look at the package as it would be published, which is packed once for both. It must have been built.

import { execSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

process.chdir(fileURLToPath(new URL('..', import.meta.url)));

const directory = mkdtempSync(path.join(os.tmpdir(), 'httpfstream-packed-'));
try {
  execSync(`npm pack --silent --ignore-scripts --pack-destination ${directory}`, {
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  const tarball = path.join(directory, readdirSync(directory)[0]);
  const tools = [
    ['publint', '--strict', tarball],
    ['attw', '--profile', 'esm-only', tarball],
  ];
  const exits = tools.map(([name, ...args]) =>
    once(spawn(`node_modules/.bin/${name}`, args, { stdio: 'inherit' }), 'exit'),
  );
  const isWell = (await Promise.all(exits)).every(([code]) => code === 0);
  if (!isWell) process.exitCode = 1;
} finally {
  rmSync(directory, { recursive: true });
}
