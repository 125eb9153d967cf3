import { readFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';

const SOURCES = path.join(import.meta.dirname, '../../src');

const IMPORT = /^(?:import|export) (?!type\b)(?:[^;']*? from )?'([^']+)';/gms;

/** What is loaded with a module: files below src/, and packages. */
function loadedWith(file: string, loaded = new Set<string>()): Set<string> {
  if (loaded.has(file)) return loaded;
  loaded.add(file);
  for (const [, name = ''] of readFileSync(path.join(SOURCES, file), 'utf8').matchAll(IMPORT)) {
    if (name.startsWith('.')) loadedWith(path.join(path.dirname(file), name), loaded);
    else loaded.add(name);
  }
  return loaded;
}

const CLIENTS = ['https-proxy-agent', 'ora', '@lydell/node-pty'];

const OF_APPEND = [
  'content-disposition',
  'http/node/client.ts',
  'http/node/transport.ts',
  'client/follow/follow.ts',
  'cli/append/append-command-output.ts',
];

test.each([
  ['append', 'cli/append/run-append.ts', [...CLIENTS, ...OF_APPEND]],
  ['follow', 'cli/follow/run-follow.ts', CLIENTS],
])('httpfstream-%s loads what only some need when they need it', (_name, file, avoided) => {
  const loaded = loadedWith(file);
  expect([...loaded]).toContain('commander');
  expect([...loaded]).toContain('ws');
  expect(avoided.filter((name) => loaded.has(name))).toEqual([]);
});
