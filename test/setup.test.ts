import { chmod, copyFile, mkdir, readFile, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { PATH, runProgram } from './support/programs/program.ts';
import { diskDirectory } from './support/server/server.ts';

const SETUP = path.join(import.meta.dirname, '../scripts/setup.mjs');
const INSTALL = 'ci --include=dev';
const BUILD = 'run --silent build';

/** Notes its arguments, and does as little as the script can see of what npm would do. */
const FAKE_NPM = `#!/bin/sh
printf '%s\\n' "$*" >> "$NPM_CALLS"
echo "output of npm"
case "$1" in
  "$NPM_FAILS_AT") exit 1 ;;
  ci) mkdir -p node_modules ;;
  run) mkdir -p dist/bin && touch dist/bin/tool.js dist/bin/tool.d.ts ;;
esac
`;

/** Makes a checkout with the real script, and an npm that only pretends. */
async function makeCheckout() {
  const directory = await diskDirectory();
  const at = (name: string) => path.join(directory, name);
  await mkdir(at('scripts'));
  await mkdir(at('tools'));
  await copyFile(SETUP, at('scripts/setup.mjs'));
  await writeFile(at('package.json'), '{}');
  await writeFile(at('package-lock.json'), '{"lockfileVersion":3}');
  await writeFile(at('tools/npm'), FAKE_NPM);
  await chmod(at('tools/npm'), 0o755);

  /** Runs the script from another directory; `npmCalls` are those of this run. */
  const setUp = async ({ npmFailsAt = 'nothing' } = {}) => {
    await writeFile(at('npm-calls.txt'), '');
    const ended = await runProgram('node', [at('scripts/setup.mjs')], {
      cwd: at('tools'),
      env: {
        PATH: `${at('tools')}${path.delimiter}${PATH}`,
        NPM_CALLS: at('npm-calls.txt'),
        NPM_FAILS_AT: npmFailsAt,
      },
    });
    const npmCalls = (await readFile(at('npm-calls.txt'), 'utf8')).split('\n').filter(Boolean);
    return { ...ended, npmCalls };
  };
  return { at, setUp };
}

describe('setting up a checkout', () => {
  test('installs and builds what was just cloned', async () => {
    const { setUp } = await makeCheckout();
    expect(await setUp()).toMatchObject({ exitCode: 0, npmCalls: [INSTALL, BUILD] });
  });

  test('only builds the next time', async () => {
    const { setUp } = await makeCheckout();
    await setUp();
    expect(await setUp()).toMatchObject({ exitCode: 0, npmCalls: [BUILD] });
  });

  test.each(['package-lock.json', 'package.json'])('installs again when %s has changed', async (name) => {
    const { at, setUp } = await makeCheckout();
    await setUp();
    await writeFile(at(name), '{"name":"changed"}');
    expect(await setUp()).toMatchObject({ exitCode: 0, npmCalls: [INSTALL, BUILD] });
    expect(await setUp()).toMatchObject({ exitCode: 0, npmCalls: [BUILD] });
  });

  test('fails when the install fails, and tries it again the next time', async () => {
    const { setUp } = await makeCheckout();
    expect(await setUp({ npmFailsAt: 'ci' })).toMatchObject({ exitCode: 1, npmCalls: [INSTALL] });
    expect(await setUp()).toMatchObject({ exitCode: 0, npmCalls: [INSTALL, BUILD] });
  });

  test('fails when the build fails', async () => {
    const { setUp } = await makeCheckout();
    expect(await setUp({ npmFailsAt: 'run' })).toMatchObject({ exitCode: 1, npmCalls: [INSTALL, BUILD] });
  });

  test('makes the commands executable, and nothing else', async () => {
    const { at, setUp } = await makeCheckout();
    await setUp();
    expect((await stat(at('dist/bin/tool.js'))).mode & 0o777).toBe(0o755);
    expect((await stat(at('dist/bin/tool.d.ts'))).mode & 0o111).toBe(0);
  });

  test('leaves stdout to what runs after it', async () => {
    const { setUp } = await makeCheckout();
    const { stdout, stderr } = await setUp();
    expect(stdout.toString()).toBe('');
    expect(stderr).toContain('output of npm');
  });
});
