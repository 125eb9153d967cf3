import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, readFile, readlink, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { appendAndFollow } from './support/programs/append-and-follow.ts';
import {
  loggedPort,
  PATH,
  removeTree,
  runProgram,
  runSuccessfully,
  startProgram,
} from './support/programs/program.ts';
import { diskDirectory, startServer } from './support/server/server.ts';

const CHECKOUT = path.join(import.meta.dirname, '..');
/** `HTTPFSTREAM_SOAK=1` has npm install everything, `npm test` links what the checkout has, so that only the package is new. */
const IS_SOAK = process.env.HTTPFSTREAM_SOAK !== undefined;

const COMMANDS = ['httpfstream-server', 'httpfstream-append', 'httpfstream-follow'];

/** What links can lead to in a text: its headings, as they are named on the web. */
function anchorsIn(text: string): string[] {
  const headings = text.matchAll(/^#{1,6} (.+)$/gm);
  return [...headings].map(([, heading = '']) =>
    heading
      .toLowerCase()
      .replace(/[^\p{L}\p{N}\s_-]/gu, '')
      .replaceAll(' ', '-'),
  );
}

interface Locked {
  dev?: boolean;
  inBundle?: boolean;
  deprecated?: string;
}

/** What the lock file has of each directory in node_modules whose package is not only for the development. */
async function lockedPackages(): Promise<[name: string, locked: Locked][]> {
  const { packages } = JSON.parse(await readFile(path.join(CHECKOUT, 'package-lock.json'), 'utf8'));
  return Object.entries<Locked>(packages)
    .filter(([name, { dev }]) => name !== '' && dev !== true)
    .map(([name, locked]) => [name.slice('node_modules/'.length), locked]);
}

/** Links what the package needs from where it is installed in the checkout. */
async function linkPackages(to: string): Promise<void> {
  const from = path.join(CHECKOUT, 'node_modules');
  const names = (await lockedPackages())
    .filter(([name, { inBundle }]) => inBundle !== true && existsSync(path.join(from, name)))
    .map(([name]) => name)
    .filter((name) => !name.includes('/node_modules/'));
  await mkdir(to);
  // One whose commands are missing would be fetched again.
  const targets = (await readdir(path.join(from, '.bin'))).map(async (name) => {
    const target = path.relative('..', await readlink(path.join(from, '.bin', name)));
    return names.some((linked) => target.startsWith(`${linked}/`)) ? [`.bin/${name}`] : [];
  });
  const commands = (await Promise.all(targets)).flat();
  await runSuccessfully('cp', ['-al', '--parents', ...names, ...commands, to], { cwd: from });
}

describe('the package, packed and installed in an empty directory', () => {
  /** Where it is installed. */
  let directory: string;
  /** Paths in the tarball, but for what it brings of others. */
  let packed: string[];
  /** The packages that it brings. */
  let bundled: string[];
  /** What npm has said of the installation. */
  let remarks: string;

  beforeAll(async () => {
    if (!existsSync(path.join(CHECKOUT, 'dist/bin'))) throw new Error('dist is missing: npm run build');
    const parent = await mkdtemp(path.join(os.tmpdir(), 'httpfstream-package-'));
    const remove = () => removeTree(parent);
    try {
      directory = path.join(parent, 'project');
      await mkdir(directory);
      if (!IS_SOAK) await linkPackages(path.join(directory, 'node_modules'));
      const env = { ...process.env, PATH, npm_config_prefer_offline: 'true' };
      const npm = (args: string[], cwd: string) => runSuccessfully('npm', args, { cwd, env });
      const packArgs = ['pack', '--ignore-scripts', '--json', '--pack-destination', parent];
      const [{ filename, files, ...rest }] = JSON.parse(await npm(packArgs, CHECKOUT));
      packed = files
        .map((file: { path: string }) => file.path)
        .filter((file: string) => !file.startsWith('node_modules/'));
      bundled = rest.bundled;
      const tarball = path.join(parent, filename);
      const installArgs = ['install', tarball, '--prefix', '.', '--omit=dev', '--no-audit', '--no-fund'];
      const notices = { npm_config_update_notifier: 'false', npm_config_engine_strict: 'true' };
      const installed = await runProgram('npm', installArgs, { cwd: directory, env: { ...env, ...notices } });
      if (installed.exitCode !== 0) throw new Error(installed.stderr);
      remarks = installed.stderr;
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

  test('is installed without a warning, also by those who take only what is for their Node', async () => {
    expect(remarks).toBe('');
    // Of what is there already nobody is warned.
    expect((await lockedPackages()).filter(([, { deprecated }]) => deprecated !== undefined)).toEqual([]);
  });

  test('has no link that leads nowhere', async () => {
    const dead: string[] = [];
    const texts = packed.filter((file) => file.endsWith('.md'));
    const read = (file: string) => readFile(path.join(directory, 'node_modules/httpfstream', file), 'utf8');
    for (const file of texts) {
      for (const [, target = ''] of (await read(file)).matchAll(/\]\(([^)\s]+)\)|^\[[^\]]+\]: (\S+)/gm)) {
        if (/^[a-z]+:/.test(target)) continue;
        const [location = '', anchor] = target.split('#');
        const leadsTo = location === '' ? file : path.join(path.dirname(file), location);
        const isThere = packed.includes(leadsTo);
        if (!isThere || (anchor !== undefined && !anchorsIn(await read(leadsTo)).includes(anchor))) {
          dead.push(`${file}: ${target}`);
        }
      }
    }
    expect(dead).toEqual([]);
  });

  test('has a licence and a changelog', () => {
    expect(packed).toContain('LICENSE');
    expect(packed).toContain('CHANGELOG.md');
  });

  test('holds the compiled files and their types, and neither sources, tests nor source maps', () => {
    expect(packed).toContain('dist/lib/index.js');
    expect(packed).toContain('dist/src/index.d.ts');
    const allowed =
      /^(dist\/((bin|lib)\/[^/]+\.js|src\/.+\.d\.ts|page\/.+)|(docs|deploy)\/.+|package\.json|[A-Z]+(\.md)?)$/;
    expect(packed.filter((file) => !allowed.test(file))).toEqual([]);
    // Of pages there are the bundles.
    expect(packed).toContain('dist/page/manifest.json');
    expect(packed.filter((file) => file.startsWith('dist/src/page/'))).toEqual([]);
  });

  test('brings the store of records with it, whose install script nobody has to allow', () => {
    expect(bundled).toContain('classic-level');
    expect(bundled.some((name) => ['fastify', 'ws', 'vitest'].includes(name))).toBe(false);
  });

  test('installs nothing that only its development needs', () => {
    expect(existsSync(path.join(directory, 'node_modules/fastify'))).toBe(true);
    expect(existsSync(path.join(directory, 'node_modules/typescript'))).toBe(false);
  });

  test.each(COMMANDS)('brings a command %s that explains itself', async (name) => {
    expect(await runSuccessfully(command(name), ['-help'])).toMatch(new RegExp(`^Usage: ${name} `));
  });

  test('has commands that serve, append and follow, and a server that stops in order', async () => {
    const root = await diskDirectory();
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

  test('has an HTTP client that a script can import', async () => {
    const url = (await startServer()).url('/answer.txt');
    const output = await runScript(`
      import { client, nodeFetch, ok, text } from 'httpfstream/http';
      const own = client('${url}', { fetch: nodeFetch() });
      await ok(await own.put('').body('forty-two').send());
      process.stdout.write(await text(await own.get('').send()));
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
    const root = await diskDirectory();
    await writeFile(path.join(root, 'hello.txt'), 'hello');
    const output = await runScript(`
      import Fastify from 'fastify';
      import { httpfstream } from 'httpfstream';
      const app = Fastify();
      await app.register(httpfstream, { root: ${JSON.stringify(root)}, prefix: '/logs' });
      process.stdout.write((await app.inject('/logs/hello.txt')).body);
      const { body } = await app.inject('/logs/hello.txt?view');
      const [, script] = /src="\\.\\/([^"]+)"/.exec(body);
      console.log(' with a page,', (await app.inject('/logs/' + script)).statusCode);
      console.log((await app.inject('/logs/hello.txt?view=search&mode=regex&q=h.l')).body);
      await app.close();
    `);
    expect(output).toMatch(/^hello with a page, 200\n.*"at":0,.*"end":"complete"/s);
  });
});
