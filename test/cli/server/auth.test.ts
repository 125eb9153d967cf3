import { chmod, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { runServer } from '../../../src/cli/server/run-server.ts';
import { CommandHere, runHere } from '../../support/programs/command.ts';
import { temporaryDirectory } from '../../support/server/server.ts';
import { waitFor } from '../../support/wait-for.ts';

const newFile = async (text = '{}') => {
  const file = path.join(await temporaryDirectory(), 'auth.json');
  await writeFile(file, text, { mode: 0o600 });
  return file;
};

/** Runs the server in this process until the test is over; `said` is what it has written. */
async function start(auth: string, { http = 'localhost:0', isTTY = false } = {}) {
  const root = await temporaryDirectory();
  const command = new CommandHere(runServer, ['-root', root, '-http', http, '-auth', auth], { isTTY });
  const said = () => command.stdout.toString();
  await waitFor(() => said().includes('ready'), 'the server to be ready');
  return { command, said };
}

describe('a server with -auth', () => {
  test('does not say that there are no rights, on all interfaces', async () => {
    const { command, said } = await start(await newFile(), { http: ':0' });
    command.signal('SIGTERM');
    expect(await command.exit).toBe(0);
    expect(said()).not.toContain('no rights');
  });

  test('reads the file again at SIGHUP, and goes on', async () => {
    const { command, said } = await start(await newFile());
    command.signal('SIGHUP');
    await waitFor(() => said().includes('the rights were read again'), 'the file to be read');
    expect(said()).not.toContain('"closing"');
  });

  test('says where the file is broken, and goes on with the rules from before', async () => {
    const file = await newFile();
    const { command, said } = await start(file);
    await writeFile(file, '{\n"anonymous": 1}');
    command.signal('SIGHUP');
    await waitFor(() => said().includes('the rights are as they were'), 'the fault to be told');
    expect(said()).toContain(`${file}:2:14: /anonymous must be array`);
  });

  test('ends with the terminal at which it was started', async () => {
    const { command } = await start(await newFile(), { isTTY: true });
    command.signal('SIGHUP');
    expect(await command.exit).toBe(0);
  });
});

describe('a server does not start', () => {
  const startWith = async (auth: string, root: string) =>
    runHere(runServer, ['-root', root, '-http', 'localhost:0', '-auth', auth]);

  test('without the file, and says how to make one', async () => {
    const root = await temporaryDirectory();
    expect(await startWith('/none/auth.json', root)).toMatchObject({
      exit: 1,
      stderr:
        'httpfstream-server: there is no file /none/auth.json: httpfstream-server token add makes one\n',
    });
  });

  test('with a broken file, and says where', async () => {
    const file = await newFile('{"tokens": [}');
    expect(await startWith(file, await temporaryDirectory())).toMatchObject({
      exit: 1,
      stderr: `httpfstream-server: ${file}:1:13: this is not JSON\n`,
    });
  });

  test('with a file that others may read', async () => {
    const file = await newFile();
    await chmod(file, 0o644);
    const { exit, stderr } = await startWith(file, await temporaryDirectory());
    expect([exit, stderr]).toEqual([1, expect.stringContaining(`chmod 600 ${file}`)]);
  });

  test('with a file that it would serve', async () => {
    const file = await newFile();
    const { exit, stderr } = await startWith(file, path.dirname(file));
    expect([exit, stderr]).toEqual([1, expect.stringContaining('would be served')]);
  });

  test('with a name that is empty, as that of a variable which is not set', async () => {
    const { exit, stderr } = await startWith('', await temporaryDirectory());
    expect([exit, stderr]).toEqual([2, expect.stringContaining('must be the name of a file')]);
  });
});
