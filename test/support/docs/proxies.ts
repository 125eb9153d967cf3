import { spawnSync } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { nginxArguments, nginxConfiguration } from '../programs/nginx.ts';
import { accepts, freePort } from '../programs/ports.ts';
import { startProgram } from '../programs/program.ts';
import { temporaryDirectory } from '../server/server.ts';
import { waitFor } from '../wait-for.ts';

/** A proxy as `docs/proxies.md` has it. */
export interface ProxyKind {
  name: string;
  /** How the language of its block in the documentation is called. */
  language: string;
  /** Argument with which it says its version, and ends. */
  versionArgument: string;
  /** Whether it cuts what is silent, unless it is told not to. */
  limits: boolean;
  /** What the documentation has where the test has a port of its own. */
  listens: string;
  listensAt: (port: number) => string;
  /** What surrounds the documented part. */
  around: (documented: string, directory: string) => string;
  command: (file: string, directory: string) => readonly string[];
}

const BACKEND = '127.0.0.1:8080';

/** How long something may be silent, as documented. */
const LONG = '24h';

export const PROXIES: readonly ProxyKind[] = [
  {
    name: 'nginx',
    language: 'nginx',
    versionArgument: '-v',
    limits: true,
    listens: 'listen 80;',
    listensAt: (port) => `listen 127.0.0.1:${port};`,
    around: (documented, directory) => nginxConfiguration(directory, [documented]),
    command: (file, directory) => nginxArguments(directory, file),
  },
  {
    name: 'haproxy',
    language: 'haproxy',
    versionArgument: '-v',
    limits: true,
    listens: 'bind :80',
    listensAt: (port) => `bind 127.0.0.1:${port}`,
    around: (documented) => documented,
    command: (file) => ['-db', '-f', file],
  },
  {
    name: 'caddy',
    language: 'caddyfile',
    versionArgument: 'version',
    limits: false,
    listens: 'logs.example {',
    listensAt: (port) => `http://:${port} {`,
    around: (documented) => `{\n    admin off\n    default_bind 127.0.0.1\n}\n${documented}`,
    command: (file) => ['run', '--adapter', 'caddyfile', '--config', file],
  },
];

/** Those whose programs are here; what is missing is told on stderr. */
export function proxiesHere(): readonly ProxyKind[] {
  return PROXIES.filter(({ name, versionArgument }) => {
    if (spawnSync(name, [versionArgument]).error === undefined) return true;
    process.stderr.write(`${name} is not here: docs/proxies.md is not tried with it\n`);
    return false;
  });
}

/** The configuration of a proxy in a page of Markdown. */
export function documentedConfiguration(markdown: string, { language }: ProxyKind): string {
  const blocks = [...markdown.matchAll(/^```(\w+)\n(.*?)\n```$/gms)].filter(([, name]) => name === language);
  if (blocks.length !== 1) throw new Error(`there are ${blocks.length} configurations of ${language}`);
  return blocks[0]?.[2] as string;
}

/**
 * Runs a proxy in front of a server until the test is over.
 *
 * @param options.limit takes the place of the documented time for which something may be silent
 * @returns how URLs begin that lead through it
 */
export async function startProxy(
  kind: ProxyKind,
  configuration: string,
  { backendPort, limit = LONG }: { backendPort: number; limit?: string | undefined },
): Promise<string> {
  const directory = await temporaryDirectory();
  const port = await freePort();
  for (const documented of [BACKEND, kind.listens]) {
    if (!configuration.includes(documented)) throw new Error(`${kind.name} has no ${documented}`);
  }
  const own = configuration
    .replaceAll(BACKEND, `127.0.0.1:${backendPort}`)
    .replace(kind.listens, kind.listensAt(port))
    .replaceAll(LONG, limit);
  const file = path.join(directory, kind.name);
  await writeFile(file, `${kind.around(own, directory)}\n`);
  const proxy = startProgram(kind.name, kind.command(file, directory), {
    cwd: directory,
    env: { PATH: process.env.PATH, HOME: directory },
  });
  let hasEnded = false;
  void proxy.ended.finally(() => {
    hasEnded = true;
  });
  await waitFor(async () => hasEnded || (await accepts(port)), `${kind.name} to listen`);
  if (hasEnded) throw new Error(`${kind.name} ended: ${(await proxy.ended).stderr}`);
  return `http://127.0.0.1:${port}`;
}
