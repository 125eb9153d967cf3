import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import * as client from '../src/client/index.ts';
import * as httpErrors from '../src/http/errors.ts';
import * as nodeHttp from '../src/http/index.node.ts';
import * as browserHttp from '../src/http/index.ts';
import * as server from '../src/index.ts';
import * as wireErrors from '../src/wire/errors.ts';
import { VERSION } from '../src/wire/version.ts';

const SOURCE = path.join(import.meta.dirname, '../src');

function filesIn(folder: string): string[] {
  const names = readdirSync(path.join(SOURCE, folder), { recursive: true, encoding: 'utf8' });
  return names.filter((name) => name.endsWith('.ts')).map((name) => path.join(folder, name));
}

/** The names of the library's own errors that the files of some folders make. */
function madeIn(...folders: string[]): string[] {
  const made = folders
    .flatMap((folder) => filesIn(folder))
    .flatMap((file) => readFileSync(path.join(SOURCE, file), 'utf8').match(/(?<=new )\w+Error(?=\()/g) ?? []);
  return [...new Set(made)].filter((name) => name in wireErrors || name in httpErrors).sort();
}

describe('who uses the library can tell errors by their classes', () => {
  it.each([
    ['the server', server, ['core', 'storage', 'server']],
    ['the client', client, ['client']],
    ['the HTTP client', nodeHttp, ['http']],
    ['the HTTP client in browsers', browserHttp, ['http']],
  ])('of %s', (_what, exported, folders) => {
    const made = madeIn(...folders);
    expect(made.length).toBeGreaterThan(7);
    expect(made.filter((name) => !(name in exported))).toEqual([]);
  });
});

it('the version that programs tell is that of the package', () => {
  const manifest = readFileSync(path.join(SOURCE, '../package.json'), 'utf8');
  expect(VERSION).toBe(JSON.parse(manifest).version);
});
