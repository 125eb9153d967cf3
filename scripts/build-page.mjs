// Bundles what runs in the viewer's pages: a script for each kind of page, from what tsc has made of
// src/page/entries/, and its style from the CSS beside that. What is loaded on first use, and what that shares with the script,
// becomes a file of its own; kinds share none, since many small files take longer to load, and are larger compressed. Their names
// carry the hash of what is in them, so that browsers may keep them for ever; the manifest says which there are.

import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

process.chdir(fileURLToPath(new URL('..', import.meta.url)));

const OUTPUT = 'dist/page';
const ENTRIES = 'src/page/entries';
const names = readdirSync(ENTRIES);
const kinds = names.filter((name) => name.endsWith('.ts')).map((name) => path.basename(name, '.ts'));
const styles = names.filter((name) => name.endsWith('.css'));

const outputs = {};
const files = new Map();
for (const entryPoints of [
  ...kinds.map((kind) => [`build/${ENTRIES}/${kind}.js`]),
  styles.map((name) => `${ENTRIES}/${name}`),
]) {
  const { metafile, outputFiles } = await build({
    entryPoints,
    outdir: OUTPUT,
    entryNames: '[name].[hash]',
    chunkNames: '[name].[hash]',
    bundle: true,
    splitting: true,
    minify: true,
    format: 'esm',
    target: ['chrome123', 'firefox121', 'safari17.5'],
    legalComments: 'none',
    metafile: true,
    write: false,
  });
  Object.assign(outputs, metafile.outputs);
  for (const { path: file, contents } of outputFiles) files.set(path.basename(file), contents);
}

/** The file that was made of an entry. */
function outputOf(entry) {
  const found = Object.entries(outputs).find(([, { entryPoint }]) => entryPoint === entry);
  return found && path.basename(found[0]);
}

/** The files that a script loads at once, itself aside: a browser that knows them need not read one to find the next. */
function importsOf(name, found = new Set()) {
  for (const { path: file, kind } of outputs[`${OUTPUT}/${name}`].imports) {
    const imported = path.basename(file);
    if (kind !== 'import-statement' || found.has(imported)) continue;
    found.add(imported);
    importsOf(imported, found);
  }
  return [...found];
}

const manifest = {
  kinds: Object.fromEntries(
    kinds.map((kind) => {
      const style = outputOf(`${ENTRIES}/${kind}.css`);
      const script = outputOf(`build/${ENTRIES}/${kind}.js`);
      return [kind, { script, imports: importsOf(script), ...(style && { style }) }];
    }),
  ),
  files: [...files.keys()].sort(),
};
files.set('manifest.json', Buffer.from(`${JSON.stringify(manifest, null, 2)}\n`));

mkdirSync(OUTPUT, { recursive: true });
for (const [name, contents] of files) {
  if (!isThere(name, contents)) writeFileSync(path.join(OUTPUT, name), contents);
}
for (const name of readdirSync(OUTPUT)) {
  if (!files.has(name)) rmSync(path.join(OUTPUT, name));
}

/** What has not changed is left alone: a server that runs may be reading it. */
function isThere(name, contents) {
  try {
    return readFileSync(path.join(OUTPUT, name)).equals(contents);
  } catch {
    return false;
  }
}
