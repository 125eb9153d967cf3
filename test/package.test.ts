import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { appendAndFollow } from './support/append-and-follow.ts';
import { loggedPort, PATH, runProgram, runSuccessfully, startProgram } from './support/program.ts';
import { startServer, temporaryDirectory } from './support/server.ts';

const CHECKOUT = path.join(import.meta.dirname, '..');
const COMMANDS = ['httpfstream-server', 'httpfstream-append', 'httpfstream-follow'];

describe('the package, packed and installed in an empty directory', () => {
  /** Where it is installed. */
  let directory: string;
  /** Paths in the tarball. */
  let packed: string[];

  beforeAll(async () => {
    if (!existsSync(path.join(CHECKOUT, 'dist/bin'))) throw new Error('dist is missing: npm run build');
    const parent = await mkdtemp(path.join(os.tmpdir(), 'httpfstream-package-'));
    const remove = () => rm(parent, { recursive: true, force: true });
    try {
      directory = path.join(parent, 'project');
      await mkdir(directory);
      const env = { ...process.env, PATH, npm_config_prefer_offline: 'true' };
      const npm = (args: string[], cwd: string) => runSuccessfully('npm', args, { cwd, env });
      const packArgs = ['pack', '--ignore-scripts', '--json', '--pack-destination', parent];
      const [{ filename, files }] = JSON.parse(await npm(packArgs, CHECKOUT));
      packed = files.map((file: { path: string }) => file.path);
      const tarball = path.join(parent, filename);
      await npm(['install', tarball, '--prefix', '.', '--omit=dev', '--no-audit', '--no-fund'], directory);
    } catch (error) {
      await remove();
      throw error;
    }
    return remove;
  });

  const command = (name: string) => path.join(directory, 'node_modules/.bin', name);

  const runScript = async (text: string) => {
    const script = path.join(directory, 'script.mjs');
    await writeFile(script, text);
    return runSuccessfully('node', [script], { cwd: directory });
  };

  test.runIf(existsSync(path.join(CHECKOUT, 'README.md')))('tells how to use it', () => {
    expect(packed).toContain('README.md');
  });

  test('has a licence and a changelog', () => {
    expect(packed).toContain('LICENSE');
    expect(packed).toContain('CHANGELOG.md');
  });

  test('holds the compiled files and their types, and neither sources, tests nor source maps', () => {
    expect(packed).toContain('dist/src/index.js');
    expect(packed).toContain('dist/src/index.d.ts');
    const allowed = /^(dist\/(bin|src)\/.+\.(js|d\.ts)|docs\/.+|package\.json|[A-Z]+(\.md)?)$/;
    expect(packed.filter((file) => !allowed.test(file))).toEqual([]);
  });

  test('installs nothing that only its development needs', () => {
    expect(existsSync(path.join(directory, 'node_modules/fastify'))).toBe(true);
    expect(existsSync(path.join(directory, 'node_modules/typescript'))).toBe(false);
  });

  test.each(COMMANDS)('brings a command %s that explains itself', async (name) => {
    expect(await runSuccessfully(command(name), ['-help'])).toMatch(new RegExp(`^Usage: ${name} `));
  });

  test('has commands that serve, append and follow, and a server that stops in order', async () => {
    const root = await temporaryDirectory();
    const server = startProgram(command('httpfstream-server'), ['-root', root, '-http', '127.0.0.1:0']);
    const bytes = await appendAndFollow(
      [command('httpfstream-append')],
      [command('httpfstream-follow')],
      `http://127.0.0.1:${await loggedPort(server)}/job.log`,
    );
    expect((await readFile(path.join(root, 'job.log'))).equals(bytes)).toBe(true);
    server.kill('SIGTERM');
    expect(await server.ended).toMatchObject({ exitCode: 0, stderr: '' });
  });

  test('has a client that a script can import', async () => {
    const url = (await startServer()).url('/answer.txt');
    const output = await runScript(`
      import { append, follow } from 'httpfstream/client';
      await append('${url}', ['forty', '-', 'two']);
      for await (const chunk of follow('${url}')) process.stdout.write(chunk);
    `);
    expect(output).toBe('forty-two');
  });

  test('has both for scripts that require what they need, without a warning', async () => {
    const url = (await startServer()).url('/answer.txt');
    const script = path.join(directory, 'script.cjs');
    await writeFile(
      script,
      `
      const { append } = require('httpfstream/client');
      const { httpfstream } = require('httpfstream');
      append('${url}', 'forty-two').then(({ bytes }) => console.log(bytes, typeof httpfstream));
    `,
    );
    const { stdout, stderr } = await runProgram('node', [script], { cwd: directory });
    expect({ stdout: stdout.toString(), stderr }).toEqual({ stdout: '9 function\n', stderr: '' });
  });

  test('has a plugin that an application can register', async () => {
    const root = await temporaryDirectory();
    await writeFile(path.join(root, 'hello.txt'), 'hello');
    const output = await runScript(`
      import Fastify from 'fastify';
      import { httpfstream } from 'httpfstream';
      const app = Fastify();
      await app.register(httpfstream, { root: ${JSON.stringify(root)}, prefix: '/logs' });
      process.stdout.write((await app.inject('/logs/hello.txt')).body);
      await app.close();
    `);
    expect(output).toBe('hello');
  });
});
