import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import os from 'node:os';
import { findNginx } from './nginx.mjs';
import { versionOf } from './peers.mjs';
import { openFilesLimit } from './process-stats.mjs';

/** What the figures depend on, for whoever reads them later. */
export function describeMachine({ baseline }) {
  const cpus = os.cpus();
  return {
    cpu: cpus[0]?.model ?? 'unknown',
    cores: cpus.length,
    memoryGiB: Math.round(os.totalmem() / 2 ** 30),
    kernel: `${os.type()} ${os.release()}`,
    node: process.version,
    ws: packageVersion('../node_modules/ws/package.json'),
    httpfstream: packageVersion('../package.json'),
    baseline: baseline && versionOf(baseline),
    nginx: nginxVersion(),
    'open files': openFilesLimit(),
  };
}

function packageVersion(file) {
  return JSON.parse(readFileSync(new URL(file, import.meta.url), 'utf8')).version;
}

function nginxVersion() {
  const nginx = findNginx();
  if (nginx === undefined) return undefined;
  // It prints its version on stderr.
  return execFileSync('/bin/sh', ['-c', `'${nginx}' -v 2>&1`], { encoding: 'utf8', timeout: 5000 })
    .replace('nginx version: ', '')
    .trim();
}
