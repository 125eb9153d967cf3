import { spawnSync } from 'node:child_process';
import { cp, mkdtemp, readFile, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { patternOf, type Recipe, recipesOf } from './support/cookbook-recipes.ts';
import { type CookbookServer, startCookbookServer } from './support/cookbook-server.ts';
import { PATH, runProgram } from './support/program.ts';

const PROJECT = path.join(import.meta.dirname, '..');

/** The address in the README. */
const ADDRESS = 'http://localhost:8080';

/** What the recipes take from a checkout. */
const FILES = ['LICENSE', 'package.json'];

/** What the recipes need of curl: `%header{…}`. */
const MIN_CURL = [7, 84] as const;

const recipes = recipesOf(await readFile(path.join(PROJECT, 'README.md'), 'utf8'));

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

test('every recipe of the cookbook says what it prints', () => {
  expect(recipes.length).toBeGreaterThan(25);
  for (const { title, language, code, output } of recipes) {
    expect(['sh', 'js'], title).toContain(language);
    expect(code, title).toContain(ADDRESS);
    expect(output, title).not.toEqual([]);
  }
});

describe.runIf(hasCurl)('the cookbook, from its first recipe to its last', () => {
  let directory: string;
  let server: CookbookServer;

  beforeAll(async () => {
    directory = await mkdtemp(path.join(os.tmpdir(), 'httpfstream-cookbook-'));
    for (const name of FILES) await cp(path.join(PROJECT, name), path.join(directory, name));
    server = await startCookbookServer(path.join(directory, 'data'));
  });

  afterAll(async () => {
    await server?.stop();
    await rm(directory, { recursive: true, force: true });
  });

  const titled = recipes.map((recipe) => [recipe.title, recipe] as const);
  test.each(titled)('%s', async (_title, recipe) => {
    const [command, args] = commandOf(recipe, recipe.code.replaceAll(ADDRESS, server.address));
    // Nothing of the machine's: neither its proxies nor its .curlrc.
    const env = { PATH, HOME: directory, LC_ALL: 'C' };
    const ended = await runProgram(command, args, { cwd: directory, env });
    const printed = ended.stdout.toString().replaceAll('\r\n', '\n').replaceAll(server.address, ADDRESS);
    expect(ended.stderr).toBe('');
    expect(printed.endsWith('\n') ? printed : `${printed}\n`).toMatch(patternOf(recipe));
    expect(ended.exitCode).toBe(0);
  });

  test('and after it the files hold the plain bytes', async () => {
    const stored = (name: string) => readFile(path.join(directory, 'data', name), 'utf8');
    const given = (name: string) => readFile(path.join(directory, name), 'utf8');
    expect(await stored('numbers.log')).toBe(Array.from({ length: 1000 }, (_, i) => `${i + 1}\n`).join(''));
    expect(await given('numbers.copy')).toBe(await stored('numbers.log'));
    for (const name of FILES) expect(await stored(`uploads/${name}`)).toBe(await given(name));
    expect(await stored('licence.txt')).toBe(await given('LICENSE'));
    expect(await stored('steps.log')).toBe([1, 2, 3, 4, 5, 6].map((i) => `step ${i}\n`).join(''));
    expect(await stored('events')).toBe('{"n":1}\n{"n":2}\n{"n":12345678901234567890}\n{"n":4}\n{"n":5}\n');
    await expect(stored('talk')).rejects.toMatchObject({ code: 'ENOENT' });
  });
});
