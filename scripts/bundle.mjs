// Makes of the modules in build/ what is published: a file for each entry of the package, with what they share in files of its own,
// and one for each command, which shares nothing with the entries. To load a few files takes two thirds of the time of some
// hundred modules.

import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire, isBuiltin } from 'node:module';
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

/** What both kinds of bundle have in common. */
const COMMON = {
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
};

const require = createRequire(import.meta.url);

/** Whether `require` finds a CommonJS module by a package's name. */
function isCommonJs(name) {
  try {
    const file = require.resolve(name);
    let directory = path.dirname(file);
    while (!existsSync(path.join(directory, 'package.json'))) directory = path.dirname(directory);
    const { type } = JSON.parse(readFileSync(path.join(directory, 'package.json'), 'utf8'));
    return file.endsWith('.cjs') || (file.endsWith('.js') && type !== 'module');
  } catch {
    return false;
  }
}

/**
 * Takes packages that are CommonJS by `require`. Where they are imported Node looks for the names of their exports first, in the
 * text of each of their files: a third of the time that it takes to start a command.
 */
const requiredPackages = {
  name: 'required-packages',
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /^[^./]/ }, ({ path: name, kind, namespace }) => {
      if (namespace === 'required') return { path: name, external: true };
      // What is imported on first use may be missing, and is known by its error then.
      if (kind !== 'import-statement' || isBuiltin(name) || !isCommonJs(name)) return undefined;
      return { path: name, namespace: 'required' };
    });
    onLoad({ filter: /./, namespace: 'required' }, ({ path: name }) => ({
      // One that a later version has made an ES module is its namespace here.
      contents: `const taken = require(${JSON.stringify(name)});
        module.exports = taken[Symbol.toStringTag] === 'Module' && 'default' in taken ? taken.default : taken;`,
    }));
  },
};

const REQUIRE =
  "import { createRequire as requireOf } from 'node:module'; const require = requireOf(import.meta.url);";

const entryPoints = (entries) =>
  Object.entries(entries).map(([out, module]) => ({ in: `build/${module}.js`, out }));

const bundles = await Promise.all([
  // Here packages are imported: a bundler of those who use it finds them.
  build({ ...COMMON, entryPoints: entryPoints({ ...LIBRARY, ...WORKERS }) }),
  ...COMMANDS.map((name) =>
    build({
      ...COMMON,
      entryPoints: entryPoints({ [name]: name }),
      plugins: [requiredPackages],
      banner: { js: REQUIRE },
    }),
  ),
]);
const outputs = new Set(bundles.flatMap(({ metafile }) => Object.keys(metafile.outputs)));

/** Whether a file of dist/ is made by today's source: a bundle, the types of a module, or a page's. */
function isMadeToday(file) {
  if (file.startsWith('dist/page/') || outputs.has(file)) return true;
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
  // What is left of that line is a string.
  const rest = readFileSync(file, 'utf8')
    .replace(/^#!.*\n/, '')
    .replace('":";\n', '');
  writeFileSync(file, [hashbang, shell, rest].join('\n'));
}
