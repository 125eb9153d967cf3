import { copyFile, mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { expect, it } from 'vitest';
import { runProgram } from './support/program.ts';
import { temporaryDirectory } from './support/server.ts';

const CHECKOUT = path.join(import.meta.dirname, '..');
const BIOME = path.join(CHECKOUT, 'node_modules/.bin/biome');

/** What may not be imported from where, and from below it. */
const FORBIDDEN: Readonly<Record<string, readonly string[]>> = {
  'src/websocket': ['storage', 'core', 'server', 'client', 'cli'],
  'src/storage': ['websocket', 'core', 'server', 'client', 'cli'],
  'src/core': ['websocket', 'server', 'client', 'cli'],
  'src/server': ['client', 'cli'],
  'src/server/node': ['storage', 'core', 'websocket', 'client', 'cli'],
  'src/client': ['storage', 'core', 'server', 'cli'],
  'src/cli': ['storage', 'core', 'websocket'],
};

const ALLOWED: Readonly<Record<string, readonly string[]>> = {
  'src/websocket': ['errors.ts'],
  'src/storage': ['errors.ts', 'storage/a.ts'],
  'src/core': ['errors.ts', 'core/a.ts', 'storage/a.ts'],
  'src/server': ['errors.ts', 'core/a.ts', 'server/node/a.ts', 'storage/a.ts', 'websocket/a.ts'],
  'src/server/node': ['errors.ts', 'server/node/a.ts'],
  'src/client': ['protocol.ts', 'websocket/a.ts'],
  'src/cli': ['client/a.ts', 'server/a.ts'],
};

const WRONG = [
  ...Object.entries(FORBIDDEN).flatMap(([folder, layers]) =>
    [folder, `${folder}/deep`, `${folder}/deep/er`].flatMap((from) =>
      layers.map((layer) => ({ from, to: `${layer}/a.ts` })),
    ),
  ),
  { from: 'src/server/node', to: 'server/a.ts' },
  { from: 'src/server/node', to: 'server/streams/a.ts' },
];

const RIGHT = Object.entries(ALLOWED).flatMap(([from, targets]) => targets.map((to) => ({ from, to })));

const fileOf = ({ from, to }: { from: string; to: string }) =>
  `${from}/imports-${to.replaceAll(/\W/g, '-')}.ts`;

it('lint finds each import that goes up or across the layers, however deep the folder, and no other', async () => {
  const directory = await temporaryDirectory();
  for (const name of ['biome.json', '.gitignore']) {
    await copyFile(path.join(CHECKOUT, name), path.join(directory, name));
  }
  for (const { from, to } of [...WRONG, ...RIGHT]) {
    await mkdir(path.join(directory, from), { recursive: true });
    const relative = path.relative(from, `src/${to}`);
    const specifier = relative.startsWith('.') ? relative : `./${relative}`;
    await writeFile(path.join(directory, fileOf({ from, to })), `import { a } from '${specifier}';\na();\n`);
  }
  const options = ['--only=style/noRestrictedImports', '--reporter=github', '--max-diagnostics=none'];
  const { stdout } = await runProgram(BIOME, ['lint', ...options, '.'], { cwd: directory });
  const found = [...stdout.toString().matchAll(/,file=(?:.*\/)?(src\/[^,]+),/g)].map(([, file]) => file);
  expect(found.sort()).toEqual(WRONG.map(fileOf).sort());
});
