import { spawnSync } from 'node:child_process';
import { cp, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { patternOf, type Recipe, recipesOf } from './support/docs/cookbook-recipes.ts';
import { PATH, runProgram } from './support/programs/program.ts';
import { InProcessServer } from './support/server/restartable-server.ts';

const PROJECT = path.join(import.meta.dirname, '..');

/** The address on the pages. */
const ADDRESS = 'http://localhost:8080';

/** What the recipes take from a checkout. */
const FILES = ['LICENSE', 'package.json'];

/** What the recipes have from an installation. */
const COMMANDS = ['httpfstream-append', 'httpfstream-follow'];

/** What the recipes need of curl: `%header{…}`. */
const MIN_CURL = [7, 84] as const;

const README = recipesOf(await readFile(path.join(PROJECT, 'README.md'), 'utf8'));
const COOKBOOK = recipesOf(await readFile(path.join(PROJECT, 'docs/cookbook.md'), 'utf8'));

const hasCurl = findCurl();

function findCurl(): boolean {
  const version = spawnSync('curl', ['--version'], { encoding: 'utf8' }).stdout ?? '';
  const [, major = 0, minor = 0] = (/^curl (\d+)\.(\d+)/.exec(version) ?? []).map(Number);
  if (major > MIN_CURL[0] || (major === MIN_CURL[0] && minor >= MIN_CURL[1])) return true;
  process.stderr.write(`curl ${MIN_CURL.join('.')} or newer is not here: the cookbook is not tried\n`);
  return false;
}

/** The program that a recipe is for, and its arguments. */
function commandOf({ language }: Recipe, code: string): [string, string[]] {
  if (language === 'sh') return ['bash', ['-e', '-o', 'pipefail', '-c', code]];
  return [
    process.execPath,
    ['--no-warnings', '--experimental-eventsource', '--input-type=module', '-e', code],
  ];
}

/** Has a server with nothing in it, and what is needed to try recipes there, for the tests of a page. */
function useKitchen() {
  let directory: string;
  let server: InProcessServer;

  beforeAll(async () => {
    directory = await mkdtemp(path.join(os.tmpdir(), 'httpfstream-cookbook-'));
    for (const name of FILES) await cp(path.join(PROJECT, name), path.join(directory, name));
    // What imports the package finds it as a program in a checkout does: by the name in package.json.
    await symlink(path.join(PROJECT, 'dist'), path.join(directory, 'dist'));
    await mkdir(path.join(directory, 'bin'));
    for (const name of COMMANDS) {
      const command = path.join(PROJECT, `dist/bin/${name}.js`);
      await writeFile(path.join(directory, 'bin', name), `#!/bin/sh\nexec sh '${command}' "$@"\n`, {
        mode: 0o755,
      });
    }
    // A recipe says how long a long-poll waits.
    server = new InProcessServer(path.join(directory, 'data'), { longPollMs: 20_000 });
    await server.start();
  });

  afterAll(async () => {
    await server.stop();
    await rm(directory, { recursive: true, force: true });
  });

  return {
    read: (name: string) => readFile(path.join(directory, name), 'utf8'),
    try: async (recipe: Recipe) => {
      const [command, args] = commandOf(recipe, recipe.code.replaceAll(ADDRESS, server.url('')));
      // Nothing of the machine's: neither its proxies nor its .curlrc.
      const env = { PATH: `${directory}/bin:${PATH}`, HOME: directory, LC_ALL: 'C' };
      const ended = await runProgram(command, args, { cwd: directory, env });
      const printed = ended.stdout.toString().replaceAll('\r\n', '\n').replaceAll(server.url(''), ADDRESS);
      expect(ended.stderr).toBe('');
      expect(printed.endsWith('\n') ? printed : `${printed}\n`).toMatch(patternOf(recipe));
      expect(ended.exitCode).toBe(0);
    },
  };
}

const titled = (recipes: readonly Recipe[]) => recipes.map((recipe) => [recipe.title, recipe] as const);

test.each(titled([...README, ...COOKBOOK]))('a recipe says what it prints: %s', (_title, recipe) => {
  expect(['sh', 'js']).toContain(recipe.language);
  expect(recipe.code).toContain(ADDRESS);
  expect(recipe.output).not.toEqual([]);
});

test('the README has the things that people do, and the cookbook many more', () => {
  expect(README.length).toBeGreaterThan(5);
  expect(COOKBOOK.length).toBeGreaterThan(25);
});

describe.runIf(hasCurl)('the README, from its first recipe to its last', () => {
  const kitchen = useKitchen();
  test.each(titled(README))('%s', (_title, recipe) => kitchen.try(recipe));
});

describe.runIf(hasCurl)('the cookbook, from its first recipe to its last', () => {
  const kitchen = useKitchen();
  test.each(titled(COOKBOOK))('%s', (_title, recipe) => kitchen.try(recipe));

  test('and after it the files hold the plain bytes', async () => {
    const stored = (name: string) => kitchen.read(`data/${name}`);
    expect(await stored('numbers.log')).toBe(Array.from({ length: 1000 }, (_, i) => `${i + 1}\n`).join(''));
    expect(await kitchen.read('numbers.copy')).toBe(await stored('numbers.log'));
    for (const name of FILES) expect(await stored(`uploads/${name}`)).toBe(await kitchen.read(name));
    expect(await stored('licence.txt')).toBe(await kitchen.read('LICENSE'));
    expect(await stored('steps.log')).toBe([1, 2, 3, 4, 5, 6].map((i) => `step ${i}\n`).join(''));
    expect(await stored('events')).toBe('{"n":1}\n{"n":2}\n{"n":12345678901234567890}\n{"n":4}\n{"n":5}\n');
    await expect(stored('talk')).rejects.toMatchObject({ code: 'ENOENT' });
  });
});
