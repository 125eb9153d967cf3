import { copyFile, mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { runProgram } from './support/program.ts';
import { temporaryDirectory } from './support/server.ts';

const CHECKOUT = path.join(import.meta.dirname, '..');
const BIOME = path.join(CHECKOUT, 'node_modules/.bin/biome');

/** What may not be imported from where: in the folder itself, and from below it. */
const FORBIDDEN: Readonly<Record<string, readonly string[]>> = {
  'src/websocket': ['storage', 'core', 'server', 'client', 'cli'],
  'src/storage': ['websocket', 'core', 'server', 'client', 'cli'],
  'src/core': ['websocket', 'server', 'client', 'cli'],
  'src/server': ['client', 'cli'],
  'src/server/node': ['storage', 'core', 'websocket', 'client', 'cli', 'server', 'server/streams'],
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

const WRONG = Object.entries(FORBIDDEN).flatMap(([folder, layers]) =>
  [folder, `${folder}/deep`, `${folder}/deep/er`].flatMap((from) =>
    layers.map((layer) => ({ from, to: `${layer}/a.ts` })),
  ),
);

const RIGHT = Object.entries(ALLOWED).flatMap(([folder, targets]) =>
  [folder, `${folder}/deep`].flatMap((from) => targets.map((to) => ({ from, to }))),
);

const fileOf = ({ from, to }: { from: string; to: string }) =>
  `${from}/imports-${to.replaceAll(/\W/g, '-')}.ts`;

describe('npm run lint', () => {
  let reported = '';

  beforeAll(async () => {
    const directory = await temporaryDirectory();
    for (const name of ['biome.json', '.gitignore']) {
      await copyFile(path.join(CHECKOUT, name), path.join(directory, name));
    }
    for (const wanted of [...WRONG, ...RIGHT]) {
      const file = path.join(directory, fileOf(wanted));
      await mkdir(path.dirname(file), { recursive: true });
      const relative = path.relative(path.join(directory, wanted.from), path.join(directory, 'src', wanted.to));
      const specifier = relative.startsWith('.') ? relative : `./${relative}`;
      await writeFile(file, `import { a } from '${specifier}';\na();\n`);
    }
    const options = ['--only=style/noRestrictedImports', '--reporter=github', '--max-diagnostics=none'];
    reported = (await runProgram(BIOME, ['lint', ...options, '.'], { cwd: directory })).stdout.toString();
  });

  it.each(WRONG)('fails when a file in $from imports $to', (wanted) => {
    expect(reported).toContain(`${fileOf(wanted)},`);
  });

  it.each(RIGHT)('lets a file in $from import $to', (wanted) => {
    expect(reported).not.toContain(`${fileOf(wanted)},`);
  });
});
