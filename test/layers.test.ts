import { copyFile, mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { expect, it } from 'vitest';
import { runProgram } from './support/programs/program.ts';
import { temporaryDirectory } from './support/server/server.ts';

const CHECKOUT = path.join(import.meta.dirname, '..');
const BIOME = path.join(CHECKOUT, 'node_modules/.bin/biome');

/** The protocols of the server, which do not know each other. */
const PROTOCOLS = ['durable-streams', 'files', 'http', 'viewer', 'websocket'].map((name) => `server/${name}`);

/** What they share. */
const SHARED = ['access', 'json', 'request', 'response', 'rights'].map((name) => `server/${name}`);

/** What runs in browsers, beside `http`, and what searches: what most know nothing of. */
const OF_PAGES = ['browser', 'page'];
const BESIDE_THE_CORE = ['search', ...OF_PAGES];

/** What the helpers of Node's HTTP know nothing of. */
const ABOVE_NODE = [
  'rights',
  'storage',
  'core',
  'server',
  ...PROTOCOLS,
  ...SHARED,
  'client',
  'relay',
  'cli',
  ...BESIDE_THE_CORE,
];

const COMMANDS = ['append', 'follow', 'server'].map((name) => `cli/${name}`);

/** What pulls work with: none knows another one. */
const OF_RELAYS = ['copies', 'upstream'].map((name) => `relay/${name}`);

/** What of the HTTP client runs in a browser. */
const IN_BROWSERS = ['http', 'http/answer', 'http/body'];

/** What pages know nothing of. */
const OUTSIDE_PAGES = ['http/node', 'rights', 'storage', 'core', 'server', 'client', 'relay', 'cli'];

/** The rooms of pages: what knows bytes only; what several pages are made of; parts of pages; pages. */
const [OF_BYTES, OF_ALL_PAGES, PARTS, PAGES] = [
  ['bytes', 'groups', 'log'],
  ['file', 'frame', 'keys', 'list', 'rows', 'state', 'token'],
  ['search', 'upload'],
  ['directory', 'kinds', 'view'],
].map((rooms) => rooms.map((name) => `page/${name}`)) as [string[], string[], string[], string[]];

const othersThan = (room: string, rooms: readonly string[]) => rooms.filter((other) => other !== room);

/** What may not be imported from where, and from below it. */
const FORBIDDEN: Readonly<Record<string, readonly string[]>> = {
  wire: ['rights', 'storage', 'core', 'server', 'http', 'client', 'relay', 'cli', ...BESIDE_THE_CORE],
  rights: ['storage', 'core', 'server', 'http', 'client', 'relay', 'cli', ...BESIDE_THE_CORE],
  storage: ['rights', 'core', 'server', 'http', 'client', 'relay', 'cli', ...BESIDE_THE_CORE],
  core: ['server', 'http', 'client', 'relay', 'cli', ...BESIDE_THE_CORE],
  search: ['rights', 'core', 'server', 'http', 'client', 'relay', 'cli', ...OF_PAGES],
  relay: ['server', 'storage', 'cli', ...BESIDE_THE_CORE],
  'relay/pull': ['relay', 'server', 'storage', 'cli', ...BESIDE_THE_CORE],
  ...Object.fromEntries(
    OF_RELAYS.map(
      (room) =>
        [
          room,
          [
            'relay',
            'relay/pull',
            ...othersThan(room, OF_RELAYS),
            'server',
            'storage',
            'cli',
            ...BESIDE_THE_CORE,
          ],
        ] as const,
    ),
  ),
  server: ['storage', 'client', 'cli', ...OF_PAGES],
  'server/node': [...ABOVE_NODE],
  'server/node/requests': ['server/node', ...ABOVE_NODE],
  'server/node/connections': ['server/node/requests', 'server/node', ...ABOVE_NODE],
  'server/relay': [...PROTOCOLS, 'storage', 'client', 'cli', ...BESIDE_THE_CORE],
  ...Object.fromEntries(
    PROTOCOLS.map(
      (room) =>
        [
          room,
          [
            ...othersThan(room, PROTOCOLS),
            'storage',
            'client',
            'relay',
            'cli',
            ...(room === 'server/viewer' ? OF_PAGES : BESIDE_THE_CORE),
          ],
        ] as const,
    ),
  ),
  ...Object.fromEntries(
    SHARED.map(
      (room) => [room, [...PROTOCOLS, 'storage', 'client', 'relay', 'cli', ...BESIDE_THE_CORE]] as const,
    ),
  ),
  ...Object.fromEntries(
    IN_BROWSERS.map(
      (room) =>
        [
          room,
          [
            'http/node',
            'wire',
            'rights',
            'storage',
            'core',
            'server',
            'client',
            'relay',
            'cli',
            ...BESIDE_THE_CORE,
          ],
        ] as const,
    ),
  ),
  'http/node': ['rights', 'storage', 'core', 'server', 'client', 'relay', 'cli', ...BESIDE_THE_CORE],
  client: ['rights', 'storage', 'core', 'server', 'relay', 'cli', ...BESIDE_THE_CORE],
  'client/session': [
    'client',
    'client/append',
    'client/connection',
    'client/follow',
    'http/node',
    'rights',
    'storage',
    'core',
    'server',
    'relay',
    'cli',
    ...BESIDE_THE_CORE,
  ],
  browser: [
    'client',
    'client/append',
    'client/connection',
    'client/follow',
    'http/node',
    'rights',
    'storage',
    'core',
    'search',
    'server',
    'relay',
    'page',
    'cli',
  ],
  page: OUTSIDE_PAGES,
  ...Object.fromEntries(
    OF_BYTES.map((room) => [room, [...OUTSIDE_PAGES, ...OF_ALL_PAGES, ...PARTS, ...PAGES]] as const),
  ),
  ...Object.fromEntries(OF_ALL_PAGES.map((room) => [room, [...OUTSIDE_PAGES, ...PARTS, ...PAGES]] as const)),
  ...Object.fromEntries(PARTS.map((room) => [room, [...OUTSIDE_PAGES, ...PAGES]] as const)),
  'page/view': [...OUTSIDE_PAGES, 'page/directory', 'page/kinds'],
  'page/directory': [...OUTSIDE_PAGES, 'page/kinds', 'page/search', 'page/view'],
  cli: ['storage', 'core', 'relay', ...BESIDE_THE_CORE],
  ...Object.fromEntries(
    COMMANDS.map(
      (room) =>
        [room, [...othersThan(room, COMMANDS), 'storage', 'core', 'relay', ...BESIDE_THE_CORE]] as const,
    ),
  ),
};

const ALLOWED: Readonly<Record<string, readonly string[]>> = {
  wire: ['wire'],
  rights: ['wire', 'rights'],
  storage: ['wire', 'storage', 'storage/journal'],
  core: ['wire', 'rights', 'core', 'core/streams', 'storage', 'storage/records'],
  search: ['wire', 'storage', 'search'],
  relay: ['wire', 'core', 'core/sessions', 'client', 'http', 'relay', 'relay/pull', ...OF_RELAYS],
  'relay/pull': ['wire', 'core', 'client', 'relay/pull', ...OF_RELAYS],
  ...Object.fromEntries(OF_RELAYS.map((room) => [room, ['wire', 'core', 'client', room]] as const)),
  server: ['wire', 'rights', 'core', 'relay', 'server/node', 'server/relay', ...PROTOCOLS, ...SHARED],
  'server/relay': ['wire', 'core', 'relay', 'server', 'server/node', ...SHARED],
  'server/node': ['wire', 'server/node', 'server/node/connections', 'server/node/requests'],
  'server/node/requests': ['wire', 'server/node/connections', 'server/node/requests'],
  'server/http': ['wire', 'core', 'server', 'server/node', ...SHARED, 'server/http'],
  'server/viewer': ['wire', 'core', 'search', 'server', 'server/node', ...SHARED, 'server/viewer'],
  http: ['http', 'http/answer', 'http/body'],
  'http/node': ['wire', 'http', 'http/node'],
  client: ['wire', 'client', 'client/connection', 'client/session', 'http', 'http/body', 'http/node'],
  'client/session': ['wire', 'http', 'client/session'],
  browser: ['wire', 'client/session', 'http', 'browser'],
  page: ['wire', 'client/session', 'browser', 'http', 'page', ...PAGES],
  'page/kinds': ['wire', ...OF_BYTES, ...OF_ALL_PAGES, 'page/view', 'page/kinds'],
  'page/view': ['wire', 'browser', ...OF_BYTES, ...OF_ALL_PAGES, ...PARTS, 'page/view'],
  'page/directory': ['wire', 'client/session', 'browser', ...OF_ALL_PAGES, 'page/upload', 'page/directory'],
  ...Object.fromEntries(PARTS.map((room) => [room, ['wire', 'browser', ...OF_BYTES, ...OF_ALL_PAGES]])),
  ...Object.fromEntries(OF_ALL_PAGES.map((room) => [room, ['wire', ...OF_BYTES, ...OF_ALL_PAGES]])),
  ...Object.fromEntries(OF_BYTES.map((room) => [room, ['wire', ...OF_BYTES]])),
  cli: ['client', 'http', 'http/body', 'server', 'cli/io', ...COMMANDS],
  'cli/append': ['client', 'http', 'http/body', 'http/node', 'cli', 'cli/io', 'cli/append'],
};

/** What is imported, and from where, as folders below src/. */
interface Import {
  from: string;
  to: string;
}

const WRONG: Import[] = Object.entries(FORBIDDEN).flatMap(([room, rooms]) =>
  rooms.flatMap((to) => {
    // Beside which files a folder lies is known of the folder itself only.
    const isAround = room.startsWith(`${to}/`);
    const folders = isAround ? [room] : [room, `${room}/deep`, `${room}/deep/er`];
    return folders.map((from) => ({ from, to }));
  }),
);

const RIGHT = Object.entries(ALLOWED).flatMap(([from, targets]) => targets.map((to) => ({ from, to })));

/** Where a folder has all of its imports, one in each line: a file takes the linter longer than a line. */
const fileOf = (from: string) => `src/${from}/imports.ts`;

const described = ({ from, to }: Import) => `src/${from} -> src/${to}`;

it('lint finds each import that goes up or across the layers, however deep the folder, and no other', async () => {
  const directory = await temporaryDirectory();
  for (const name of ['biome.json', '.gitignore']) {
    await copyFile(path.join(CHECKOUT, name), path.join(directory, name));
  }
  const imports = new Map<string, Import[]>();
  for (const each of [...WRONG, ...RIGHT]) {
    const file = fileOf(each.from);
    imports.set(file, [...(imports.get(file) ?? []), each]);
  }
  for (const [file, ofFile] of imports) {
    await mkdir(path.join(directory, path.dirname(file)), { recursive: true });
    const lines = ofFile.map(({ to }, i) => {
      const relative = path.relative(path.dirname(file), `src/${to}/a.ts`);
      return `import { a as a${i} } from '${relative.startsWith('.') ? relative : `./${relative}`}';\n`;
    });
    await writeFile(path.join(directory, file), lines.join(''));
  }
  const options = ['--only=style/noRestrictedImports', '--reporter=github', '--max-diagnostics=none'];
  const { stdout } = await runProgram(BIOME, ['lint', ...options, '.'], { cwd: directory });
  const found = [...stdout.toString().matchAll(/,file=(?:.*\/)?(src\/[^,]+),line=(\d+),/g)].map(
    ([, file = '', line]) => imports.get(file)?.[Number(line) - 1],
  );
  expect(found.map((each) => each && described(each)).sort()).toEqual(WRONG.map(described).sort());
});

it('lint finds circles, of types only, too', async () => {
  const directory = await temporaryDirectory();
  for (const name of ['biome.json', '.gitignore']) {
    await copyFile(path.join(CHECKOUT, name), path.join(directory, name));
  }
  const files = {
    'a.ts': "import type { B } from './b.ts';\n\nexport interface A {\n  b: B;\n}\n",
    'b.ts': "import { c } from './c.ts';\n\nexport class B {\n  readonly c = c;\n}\n",
    'c.ts': "import type { A } from './a.ts';\n\nexport const c = (a: A) => a;\n",
    'd.ts': "import type { A } from './a.ts';\n\nexport const d = (a: A) => a;\n",
  };
  for (const [name, text] of Object.entries(files)) await writeFile(path.join(directory, name), text);
  const options = ['--only=suspicious/noImportCycles', '--reporter=github', '--max-diagnostics=none'];
  const { stdout } = await runProgram(BIOME, ['lint', ...options, '.'], { cwd: directory });
  const found = [...stdout.toString().matchAll(/,file=(?:.*\/)?([^,/]+\.ts),/g)].map(([, file]) => file);
  expect(found.sort()).toEqual(['a.ts', 'b.ts', 'c.ts']);
});

/** Each import of a module, by name: `import type` and `type` names are left out, since they make nothing. */
function importedFrom(text: string, module: string): string[] {
  const imports = [...text.matchAll(/^import (type )?\{([^}]*)\} from '([^']*)';$/gm)];
  return imports
    .filter(([, isType, , from]) => isType === undefined && from?.endsWith(module))
    .flatMap(([, , names = '']) => names.split(',').map((name) => name.trim()))
    .filter((name) => name !== '' && !name.startsWith('type '));
}

it('permits are made where it is decided who may do what, and for what the server does by itself', async () => {
  const source = path.join(CHECKOUT, 'src');
  const own: string[] = [];
  for (const name of await readdir(source, { recursive: true })) {
    if (!name.endsWith('.ts')) continue;
    const text = await readFile(path.join(source, name), 'utf8');
    if (text.includes('Permit.own(')) own.push(name);
    if (!name.startsWith('server/') || name.startsWith('server/rights/')) continue;
    expect(importedFrom(text, 'core/permit.ts'), name).toEqual([]);
    const ofAdmissions = importedFrom(text, 'rights/admission.ts');
    expect(
      ofAdmissions.filter((each) => each !== 'admissionOf'),
      name,
    ).toEqual([]);
  }
  expect(own.sort()).toEqual([
    'core/recovery/check/file-check.ts',
    'core/sessions/session-registry.ts',
    'core/streams/expiry-sweep.ts',
    'relay/copies/copy-file.ts',
    'relay/pull/copying.ts',
  ]);
});
