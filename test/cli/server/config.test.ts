import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { runServer } from '../../../src/cli/server/run-server.ts';
import { CommandHere, portOf, runHere, startServerHere } from '../../support/programs/command.ts';
import { configSchema } from '../../support/programs/config-schema.ts';
import { temporaryDirectory } from '../../support/server/server.ts';
import { waitFor } from '../../support/wait-for.ts';

afterEach(() => void vi.unstubAllEnvs());

async function fileWith(text: string): Promise<string> {
  const file = path.join(await temporaryDirectory(), 'config.json');
  await writeFile(file, text);
  return file;
}

/** What is in force, by name: value, and whence it comes. */
async function inForce(...args: string[]): Promise<Record<string, string[]>> {
  const { exit, stdout, stderr } = await runHere(runServer, ['config', ...args]);
  expect({ exit, stderr }).toEqual({ exit: 0, stderr: '' });
  const rows = stdout.trimEnd().split('\n');
  return Object.fromEntries(rows.map((row) => row.split(/ {2,}/)).map(([name, ...rest]) => [name, rest]));
}

describe('a configuration file', () => {
  test('counts where neither options nor the environment say anything, and it is shown whence everything comes', async () => {
    vi.stubEnv('HTTPFSTREAM_GRACE', '3');
    const file = await fileWith(
      JSON.stringify({
        $schema: 'httpfstream-server.schema.json',
        ...{ root: '/srv/logs', http: ':9000', grace: 20, drain: 2, index: true, 'file-mode': '0600' },
        ...{
          cors: ['https://a.example', 'https://b.example'],
          'allow-host': 'logs.example',
          'trust-proxy': [],
        },
        // These have no default.
        ...{ auth: '/srv/auth.json', admin: 'localhost:9090' },
      }),
    );
    const shown = await inForce('-config', file, '-http', ':7000', '-upstream-keep');
    expect(shown).toMatchObject({
      root: ['/srv/logs', file],
      http: [':7000', '-http'],
      grace: ['3', 'HTTPFSTREAM_GRACE'],
      drain: ['2', file],
      index: ['true', file],
      'file-mode': ['0600', file],
      cors: ['https://a.example, https://b.example', file],
      'allow-host': ['logs.example', file],
      auth: ['/srv/auth.json', file],
      admin: ['localhost:9090', file],
      'upstream-keep': ['true', '-upstream-keep'],
      durability: ['os', 'default'],
      upstream: ['none', 'default'],
    });
    vi.stubEnv('HTTPFSTREAM_CONFIG', file);
    expect(await inForce()).toMatchObject({ http: [':9000', file] });
  });

  test('is shown without the passwords in it', async () => {
    const file = await fileWith('{ "upstream": "/a=https://me:secret@a.example" }');
    expect(await inForce('-config', file)).toMatchObject({ upstream: ['/a=https://a.example', file] });
    const shown = await inForce('-upstream', 'https://me:secret@b.example');
    expect(shown).toMatchObject({ upstream: ['https://b.example', '-upstream'] });
  });

  test.each([
    ['{ "root": 1 "http": 2 }', /:1:13: .*JSON/],
    ['[]', /: it must be an object/],
    ['{ "rooot": "/srv" }', /: \/rooot: there is no such option$/],
    ['{ "grace": 1,\n  "root": "/srv",\n  "grace": 2 }', /config\.json:3:3: \/grace comes twice$/],
    ['{ "check": true }', /: \/check: there is no such option$/],
    ['{ "cors": ["https://a.example", "b"] }', /: \/cors\/1: It must look like https:/],
    ['{ "log-level": "loud" }', /: \/log-level: Allowed choices are debug/],
    ['{ "http": { "port": 1 } }', /: \/http: it must be a string, a number, true or false$/],
    ['{ "tls-cert": [""], "tls-key": [""] }', /: \/tls-cert\/0: It must be the name of a file/],
    ['{ "tls-cert": [], "tls-key": [] }', /: \/tls-cert: It must be the name of a file/],
    ['{ "tls-cert": "a.pem" }', /each -tls-cert needs a -tls-key/],
    [
      '{ "auth": "a.json", "upstream-authorization": "/" }',
      /-auth and -upstream-authorization exclude each other/,
    ],
    ['{ "quota": ["/a/**=1", "/b/**=1", "/a/**=2"] }', /\/quota\/2: There is another quota for \/a\/\*\*/],
  ])('%s is wrong usage, and it is said where', async (text, message) => {
    const { exit, stdout, stderr } = await runHere(runServer, ['-config', await fileWith(text)]);
    expect({ exit, stdout }).toEqual({ exit: 2, stdout: '' });
    expect(stderr).toMatch(/^httpfstream-server: [^\n]+\n$/);
    expect(stderr.trimEnd()).toMatch(message);
  });

  test('that is not there is wrong usage', async () => {
    const { exit, stderr } = await runHere(runServer, ['-config', '/none/config.json']);
    expect(exit).toBe(2);
    expect(stderr).toMatch(/^httpfstream-server: the configuration cannot be read: ENOENT/);
  });

  test('is read again at SIGHUP: the level of the log counts at once, the rest is told, and nonsense changes nothing', async () => {
    const file = await fileWith('{ "log-level": "info" }');
    const { command } = await startServerHere('-config', file);
    const reload = async (text: string, said: string) => {
      await writeFile(file, text);
      command.signal('SIGHUP');
      await waitFor(() => command.stdout.includes(said), said);
    };
    await reload('{ "log-level": "warn", "grace": 1 }', 'wait for a restart');
    expect(command.stdout.toString()).toContain('["grace"]');
    await reload('{', 'configuration cannot be reloaded');
    expect(command.stdout.toString()).toMatch(/"reason":"[^"]+config\.json:1:2: [^"]*JSON/);
    expect(command.stderr).toBe('');
    command.signal('SIGTERM');
    expect(await command.exit).toBe(0);
    expect(command.stdout.toString()).not.toContain('"closing"');
  });

  test('counts as it was read last, also if that was asked for while the server was starting', async () => {
    const before = await startServerHere();
    const file = await fileWith('{}');
    const args = ['-root', before.root, '-http', '127.0.0.1:0', '-wait-root=60', '-config', file];
    const command = new CommandHere(runServer, args);
    await waitFor(() => command.stdout.includes('waiting for it'), 'the start');
    await writeFile(file, '{ "max-resource": "10" }');
    command.signal('SIGHUP');
    before.command.signal('SIGTERM');
    const url = `http://127.0.0.1:${await portOf(command)}/a`;
    expect((await fetch(url, { method: 'PUT', body: 'x'.repeat(11) })).status).toBe(413);
  });

  test('has limits that count from SIGHUP on; quotas of other paths wait for a restart', async () => {
    const file = await fileWith('{ "quota": ["/**=100"] }');
    const { command, url } = await startServerHere('-config', file);
    const put = async (bytes: number) =>
      (await fetch(url('/a'), { method: 'PUT', body: 'x'.repeat(bytes) })).status;
    await writeFile(file, '{ "quota": ["/**=10", "/a/**=10"] }');
    command.signal('SIGHUP');
    await waitFor(() => command.stdout.includes('wait for a restart'), 'it to be read');
    expect(command.stdout.toString()).toContain('["quota"]');
    expect(await put(11)).toBe(507);
    await writeFile(file, '{ "quota": ["/**=20"], "max-resource": "15" }');
    command.signal('SIGHUP');
    await waitFor(async () => (await put(16)) === 413, 'it to be read');
    expect(await put(11)).toBe(201);
    expect(command.stdout.toString().match(/wait for a restart/g)).toHaveLength(1);
  });

  test('has a schema for editors, with every option', async () => {
    const file = path.join(import.meta.dirname, '../../../deploy/httpfstream-server.schema.json');
    expect(JSON.parse(await readFile(file, 'utf8'))).toEqual(configSchema());
  });
});
