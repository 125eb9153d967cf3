import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, readdir, readFile } from 'node:fs/promises';
import https from 'node:https';
import type { AddressInfo } from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { type BuiltImage, buildWithoutDocker, parseDockerignore } from './support/docs/docker-build.ts';
import { environmentOf, healthCommand, onlyInstruction, parseDockerfile } from './support/docs/dockerfile.ts';
import { canMakeCertificates, makeCertificate } from './support/http/certificate.ts';
import { appendAndFollow, type CommandLine } from './support/programs/append-and-follow.ts';
import { loggedPort, PATH, removeTree, runProgram, startProgram } from './support/programs/program.ts';

const CHECKOUT = path.join(import.meta.dirname, '..');
const DOCKERFILE = path.join(CHECKOUT, 'docker/Dockerfile');

/** `HTTPFSTREAM_SOAK=1` installs the packages anew, `npm test` links those of the checkout, of which the types are checked. */
const INSTALLED = process.env.HTTPFSTREAM_SOAK ? undefined : path.join(CHECKOUT, 'node_modules');

describe('the Dockerfile', async () => {
  const stages = parseDockerfile(await readFile(DOCKERFILE, 'utf8'));
  const last = stages.at(-1)!;

  test('has a stage that builds and a stage that runs, both on one version of Node 24', () => {
    expect(stages.map(({ base, name }) => [base, name])).toEqual([
      [expect.stringMatching(/^node:24\.\d+\.\d+-slim$/), 'build'],
      [stages[0]?.base, undefined],
    ]);
  });

  test('runs as an unprivileged user, who is a number, so that it can be told from root', () => {
    expect(onlyInstruction(last, 'USER').text).toBe('1000:1000');
  });

  test('says what it is, with the version of the package', async () => {
    const { version, license } = JSON.parse(await readFile(path.join(CHECKOUT, 'package.json'), 'utf8'));
    const { text } = onlyInstruction(last, 'LABEL');
    expect(text).toContain('org.opencontainers.image.title="httpfstream"');
    expect(text).toContain(`org.opencontainers.image.version="${version}"`);
    expect(text).toContain(`org.opencontainers.image.licenses="${license}"`);
  });

  test('keeps the files in a volume', () => {
    expect(onlyInstruction(last, 'VOLUME').args).toEqual([environmentOf(last).HTTPFSTREAM_ROOT]);
  });

  test('exposes the port that the server listens on', () => {
    expect(`:${onlyInstruction(last, 'EXPOSE').text}`).toBe(environmentOf(last).HTTPFSTREAM_HTTP);
  });

  test('lets signals reach the server, and asks for the orderly stop', () => {
    expect(onlyInstruction(last, 'ENTRYPOINT').isExecForm).toBe(true);
    expect(onlyInstruction(last, 'STOPSIGNAL').text).toBe('SIGTERM');
  });

  test('checks the health with what the slim image has', () => {
    const { isExecForm, args } = healthCommand(onlyInstruction(last, 'HEALTHCHECK'));
    expect(isExecForm).toBe(true);
    expect(args[0]).toBe('node');
    expect(args.join(' ')).toContain('/-/health');
  });

  test.runIf(canMakeCertificates)(
    'checks it over TLS, too, under whatever names the server has',
    async () => {
      const server = https.createServer(await makeCertificate('logs.example.com'), ({ url }, response) => {
        response.statusCode = url === '/-/health' ? 200 : 404;
        response.end();
      });
      server.listen(0, '127.0.0.1');
      await once(server, 'listening');
      onTestFinished(() => void server.close());
      const [command, ...args] = healthCommand(onlyInstruction(last, 'HEALTHCHECK')).args;
      const { port } = server.address() as AddressInfo;
      const checked = async (tls: Record<string, string>) => {
        const env = { PATH, HTTPFSTREAM_HTTP: `:${port}`, ...tls };
        return (await runProgram(command!, args, { env })).exitCode;
      };
      expect(await checked({ HTTPFSTREAM_TLS_CERT: '/tls/cert.pem' })).toBe(0);
      expect(await checked({})).toBe(1);
    },
  );

  test('agrees with compose.yaml, which publishes it for this machine only', async () => {
    const compose = await readFile(path.join(CHECKOUT, 'docker/compose.yaml'), 'utf8');
    const port = onlyInstruction(last, 'EXPOSE').text;
    expect(compose).toContain('context: ..\n');
    expect(compose).toContain('dockerfile: docker/Dockerfile\n');
    expect(compose).toContain(`- "127.0.0.1:${port}:${port}"\n`);
    expect(compose).toContain(`- data:${onlyInstruction(last, 'VOLUME').text}\n`);
    expect(compose).toContain('read_only: true\n');
  });

  test('agrees with compose.relay.yaml, in which each relay has what it serves from the one before it', async () => {
    const compose = await readFile(path.join(CHECKOUT, 'docker/compose.relay.yaml'), 'utf8');
    const port = onlyInstruction(last, 'EXPOSE').text;
    const volume = onlyInstruction(last, 'VOLUME').text;
    const services = [...compose.matchAll(/^ {2}(\S+):\n {4}<<: \*server\n((?: {4}.*\n)+)/gm)];
    expect(services.map(([, name]) => name)).toEqual(['origin', 'relay-1', 'relay-2', 'relay-3']);
    for (const [i, [, name, settings = '']] of services.entries()) {
      const before = services[i - 1]?.[1];
      expect(/HTTPFSTREAM_UPSTREAM: (\S+)/.exec(settings)?.[1]).toBe(before && `http://${before}:${port}`);
      expect(settings).toContain(`ports: ["127.0.0.1:${8080 + i}:${port}"]\n`);
      expect(settings).toContain(`volumes: ["${name}:${volume}"]\n`);
      expect(compose).toMatch(new RegExp(`^ {2}${name}:$`, 'm'));
    }
    expect(compose).toContain('dockerfile: docker/Dockerfile\n');
    expect(compose).toContain('read_only: true\n');
  });
});

test('the build context has nothing but what the build needs', async () => {
  const isIgnored = parseDockerignore(await readFile(path.join(CHECKOUT, '.dockerignore'), 'utf8'));
  const stages = parseDockerfile(await readFile(DOCKERFILE, 'utf8'));
  const needed = stages
    .flatMap(({ instructions }) => instructions)
    .filter(({ name, flags }) => name === 'COPY' && flags.from === undefined)
    .flatMap(({ args }) => args.slice(0, -1));
  const scripts = (await readdir(path.join(CHECKOUT, 'scripts'))).map((name) => `scripts/${name}`);
  const sent = [...(await readdir(CHECKOUT)), ...scripts].filter((name) => !isIgnored(name));
  expect(sent.toSorted()).toEqual(needed.toSorted());
});

describe('the image, built step by step as the Dockerfile says', () => {
  let image: BuiltImage;
  /** Environment of a process in the image, and nothing else. */
  let env: Record<string, string>;

  beforeAll(async () => {
    const directory = await mkdtemp(path.join(os.tmpdir(), 'httpfstream-image-'));
    const remove = () => removeTree(directory);
    try {
      image = await buildWithoutDocker(DOCKERFILE, CHECKOUT, directory, INSTALLED);
    } catch (error) {
      await remove();
      throw error;
    }
    env = { PATH, ...environmentOf(image.stage) };
    env.HTTPFSTREAM_ROOT = image.inImage(env.HTTPFSTREAM_ROOT!);
    return remove;
  });

  const localised = (args: string[]) => args.map((arg) => (arg.startsWith('/') ? image.inImage(arg) : arg));

  /** Like `docker run IMAGE -http 127.0.0.1:0`. */
  const startServer = async () => {
    const [command, ...args] = localised(onlyInstruction(image.stage, 'ENTRYPOINT').args);
    const options = { cwd: image.workingDirectory, env };
    const server = startProgram(command!, [...args, '-http', '127.0.0.1:0'], options);
    return { server, port: await loggedPort(server) };
  };

  const checkHealth = (port: number) => {
    const [command, ...args] = localised(healthCommand(onlyInstruction(image.stage, 'HEALTHCHECK')).args);
    return runProgram(command!, args, {
      cwd: image.workingDirectory,
      env: { ...env, HTTPFSTREAM_HTTP: `:${port}` },
    });
  };

  test('contains only what runs', async () => {
    const contents = await readdir(image.workingDirectory);
    expect(contents.toSorted()).toEqual(['dist', 'node_modules', 'package.json']);
    const packages = await readdir(path.join(image.workingDirectory, 'node_modules'));
    expect(packages).toContain('fastify');
    expect(packages).not.toContain('typescript');
  });

  test('gives its user the volume', () => {
    const volume = onlyInstruction(image.stage, 'VOLUME').text;
    expect(existsSync(image.inImage(volume))).toBe(true);
    expect(image.owners).toEqual([`1000:1000 ${volume}`]);
  });

  test('is healthy, appends, follows, keeps the bytes in the volume, and stops in order when the container is stopped, and is not healthy then', async () => {
    const { server, port } = await startServer();
    expect(await checkHealth(port)).toMatchObject({ exitCode: 0, stderr: '' });
    const program = (name: string): CommandLine => ['node', image.inImage(`/app/dist/bin/${name}.js`)];
    const bytes = await appendAndFollow(
      program('httpfstream-append'),
      program('httpfstream-follow'),
      `http://127.0.0.1:${port}/logs/build.log`,
      { env },
    );
    const volume = image.inImage(onlyInstruction(image.stage, 'VOLUME').text);
    expect((await readFile(path.join(volume, 'logs/build.log'))).equals(bytes)).toBe(true);
    server.kill(onlyInstruction(image.stage, 'STOPSIGNAL').text as NodeJS.Signals);
    expect(await server.ended).toMatchObject({ exitCode: 0, signal: null, stderr: '' });
    expect(await checkHealth(port)).toMatchObject({ exitCode: 1 });
  });
});
