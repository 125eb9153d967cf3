// Makes of the modules in build/ what is published: a file for each entry of the package and each command, and what several
// of them need in files of its own, which they share. To load a few files takes two thirds of the time of some
// hundred modules.

import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

process.chdir(fileURLToPath(new URL('..', import.meta.url)));

const COMMANDS = ['append', 'follow', 'server'].map((name) => `bin/httpfstream-${name}`);

/** Entries of the package, by the module of each. */
const LIBRARY = {
  'lib/index': 'src/index',
  'lib/client': 'src/client/index',
  'lib/browser': 'src/browser/index',
  'lib/http': 'src/http/index',
  'lib/http.node': 'src/http/index.node',
};

/** Run by threads, which are made of a file beside the one that makes them. */
const WORKERS = { 'lib/pattern-worker': 'src/search/pattern-worker' };

const entries = { ...Object.fromEntries(COMMANDS.map((name) => [name, name])), ...LIBRARY, ...WORKERS };

const { metafile } = await build({
  entryPoints: Object.entries(entries).map(([out, module]) => ({ in: `build/${module}.js`, out })),
  outdir: 'dist',
  chunkNames: 'lib/[name]-[hash]',
  bundle: true,
  splitting: true,
  packages: 'external',
  platform: 'node',
  format: 'esm',
  target: 'node20',
  legalComments: 'none',
  metafile: true,
});

/** Whether a file of dist/ is made by today's source: a bundle, the types of a module, or a page's. */
function isMadeToday(file) {
  if (file.startsWith('dist/page/') || metafile.outputs[file] !== undefined) return true;
  return file.endsWith('.d.ts') && existsSync(file.replace(/^dist\//, '').replace(/\.d\.ts$/, '.ts'));
}

// What earlier builds made is not published. Not removed before: a server that runs may not have loaded all of it.
for (const entry of readdirSync('dist', { recursive: true, withFileTypes: true })) {
  const file = path.posix.join(entry.parentPath.replaceAll(path.sep, '/'), entry.name);
  if (entry.isFile() && !isMadeToday(file)) rmSync(file);
}

// The line for the shell is a comment to JavaScript, and is not kept.
for (const name of COMMANDS) {
  const file = `dist/${name}.js`;
  const [hashbang, shell] = readFileSync(`build/${name}.js`, 'utf8').split('\n');
  // What is left of that line follows the hashbang.
  const [, , ...rest] = readFileSync(file, 'utf8').split('\n');
  writeFileSync(file, [hashbang, shell, ...rest].join('\n'));
}
