import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { expect, it, test } from 'vitest';
import { isSocketError } from '../../../src/cli/server/serve.ts';
import { portOf, RunningCommand } from '../../support/programs/command.ts';
import { temporaryDirectory } from '../../support/server/server.ts';
import { waitFor } from '../../support/wait-for.ts';

/** Starts a server in which the next of `codes` runs at each SIGUSR2. */
async function startWith(...codes: string[]): Promise<{ command: RunningCommand; port: number }> {
  const directory = await temporaryDirectory();
  const module = path.join(directory, 'preload.mjs');
  await writeFile(
    module,
    `import net from 'node:net';\nconst next = [${codes.map((code) => `() => { ${code} }`)}].values();\nprocess.on('SIGUSR2', () => next.next().value());\n`,
  );
  const env = { NODE_OPTIONS: `--import=${pathToFileURL(module)}` };
  const args = [`-root=${path.join(directory, 'root')}`, '-http=127.0.0.1:0'];
  const command = new RunningCommand('httpfstream-server', args, { env });
  return { command, port: await portOf(command) };
}

const SOCKET_ERROR = `
  const server = net.createServer((socket) => {
    socket.resetAndDestroy();
    server.close();
  });
  server.listen(0, '127.0.0.1', () => net.connect(server.address().port, '127.0.0.1').resume());`;

it.each([
  ['thrown', "throw new TypeError('nobody thought of it');"],
  ['a rejection', "void Promise.reject(new TypeError('nobody thought of it'));"],
])(
  'an error of a socket that nobody listens to is logged, and the server lives; after any other one (%s) it closes in order with 1',
  async (_how, code) => {
    const { command, port } = await startWith(SOCKET_ERROR, code);
    command.signal('SIGUSR2');
    await waitFor(() => command.stdout.includes('a connection failed'), 'the log');
    expect(command.stdout.toString()).toMatch(/ECONNRESET.*"stack"/s);
    expect((await fetch(`http://127.0.0.1:${port}/`)).status).toBe(200);
    command.signal('SIGUSR2');
    expect(await command.exit).toBe(1);
    const log = command.stdout.toString();
    expect(log).toMatch(/nobody thought of it.*"stack":"TypeError/s);
    expect(log).toContain('"msg":"closed"');
  },
);

test.each([
  [{ code: 'ECONNRESET', syscall: 'read' }, true],
  [{ code: 'EPIPE', syscall: 'write' }, true],
  [{ code: 'ETIMEDOUT', syscall: 'read' }, true],
  [{ code: 'EMFILE', syscall: 'accept' }, true],
  [{ code: 'EIO', syscall: 'read' }, false],
  [{ code: 'ENOSPC', syscall: 'write' }, false],
  [{ code: 'ENOENT', syscall: 'open', path: '/f' }, false],
  [{ code: 'ECONNREFUSED', syscall: 'connect', path: '/socket' }, false],
  [{ code: 'ERR_ASSERTION' }, false],
  [{}, false],
])('%j is of a socket: %s', (facts, expected) => {
  expect(isSocketError(Object.assign(new Error('it failed'), facts))).toBe(expected);
});
