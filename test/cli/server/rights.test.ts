import { once } from 'node:events';
import { mkdir, rename, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { finished } from 'node:stream/promises';
import { afterEach, describe, expect, onTestFinished, test, vi } from 'vitest';
import { runAppend } from '../../../src/cli/append/run-append.ts';
import { runFollow } from '../../../src/cli/follow/run-follow.ts';
import { runServer } from '../../../src/cli/server/run-server.ts';
import { ForbiddenRightError, follow, openAppend, UnauthorizedError } from '../../../src/client/index.ts';
import { CommandHere, runHere, startServerHere } from '../../support/programs/command.ts';
import { temporaryDirectory } from '../../support/server/server.ts';
import { waitFor } from '../../support/wait-for.ts';

afterEach(() => void vi.unstubAllEnvs());

/** A server with a file of rights, and what edits that. */
async function start() {
  const directory = await temporaryDirectory();
  const auth = path.join(directory, 'auth.json');
  const add = async (name: string, ...argv: string[]) => {
    const { stdout, stderr } = await runHere(runServer, ['token', 'add', name, '--auth', auth, ...argv]);
    if (stdout === '') throw new Error(stderr);
    return stdout.trim();
  };
  const revoke = (name: string) => runHere(runServer, ['token', 'revoke', name, '--auth', auth]);
  const ci = await add('ci', '--rights', 'append,follow', '--paths', '/builds/**');
  vi.stubEnv('XDG_CONFIG_HOME', directory);
  const server = await startServerHere('-auth', auth);
  const tokenFile = path.join(directory, 'token');
  await writeFile(tokenFile, `${ci}\n`);
  /** At once, without the look each second. */
  const reload = async () => {
    const told = () => server.command.stdout.toString().match(/the rights were read again/g)?.length ?? 0;
    const before = told();
    server.command.signal('SIGHUP');
    await waitFor(() => told() > before, 'the rights to be read again');
  };
  return { ...server, auth, add, revoke, reload, ci, tokenFile };
}

const append = async (input: string, ...argv: string[]) => {
  const { exit, stderr } = await runHere(runAppend, argv, { input });
  return [exit, stderr];
};

describe('who brings a token', () => {
  test('may do what it says, and nothing else', async () => {
    const { url, tokenFile, ci } = await start();
    expect(await append('hello', '--token-file', tokenFile, url('/builds/1'))).toEqual([0, '']);
    expect(await runHere(runFollow, ['--token', ci, url('/builds/1')])).toMatchObject({
      exit: 0,
      stdout: 'hello',
    });
    expect(await append('x', '--token-file', tokenFile, url('/other'))).toEqual([
      1,
      expect.stringContaining('the token does not give the right to append here'),
    ]);
    expect(await append('x', url('/builds/1'))).toEqual([1, expect.stringContaining('HTTP status 401')]);
    expect(await append('x', '--token', `${ci}x`, url('/builds/1'))).toEqual([
      1,
      expect.stringContaining('HTTP status 401: the token is unknown, mistyped or expired'),
    ]);
    const basic = `Basic ${Buffer.from(`anybody:${ci}`).toString('base64')}`;
    const answer = await fetch(url('/builds/1'), { headers: { authorization: basic } });
    expect([answer.status, await answer.text()]).toEqual([200, 'hello']);
  });

  test('may be known by the server: each one gets its own of two', async () => {
    const [one, two] = [await start(), await start()];
    const home = path.join(path.dirname(two.auth), 'httpfstream');
    await mkdir(home);
    await writeFile(
      path.join(home, 'credentials'),
      [one, two].map(({ url, ci }) => `${new URL(url('/')).origin} ${ci}\n`).join(''),
      { mode: 0o600 },
    );
    for (const { url } of [one, two]) expect(await append('x', url('/builds/1'))).toEqual([0, '']);
    const both = await runHere(runFollow, [one.url('/builds/1'), two.url('/builds/1')]);
    expect(both.exit).toBe(0);
  });

  test('has it in no log of the server', async () => {
    const { url, ci, command } = await start();
    await append('x', '--token', ci, url('/other'));
    await fetch(url('/other'), { headers: { authorization: `Bearer ${ci}` } });
    await waitFor(() => command.stdout.includes('refused'), 'the log');
    expect(command.stdout.toString()).not.toContain(ci.slice(4));
  });
});

describe('a stream whose token is revoked', () => {
  test('ends within seconds, as no end of it', async () => {
    const { url, revoke, ci } = await start();
    const writable = openAppend(url('/builds/1'), { token: ci });
    await once(writable, 'open');
    writable.write('hello');
    const readable = follow(url('/builds/1'), { token: () => ci });
    await once(readable.resume(), 'open');
    const ends = [writable, readable].map((stream) => finished(stream).catch((error: unknown) => error));
    expect((await revoke('ci')).exit).toBe(0);
    const begun = performance.now();
    const errors = await Promise.all(ends);
    expect(performance.now() - begun).toBeLessThan(5000);
    for (const error of errors) expect(error).toBeInstanceOf(ForbiddenRightError);
  });
});

describe('a stream whose token expires', () => {
  /** For a token that is good for as long as it takes to begin; what comes later than that gets the next one at once. */
  const SOON = ['--rights', 'append,follow', '--paths', '/**', '--expires', '4s'] as const;

  test('goes on with the next one, and nothing is lost', async () => {
    const { url, add, reload } = await start();
    const tokens = [
      await add('soon', ...SOON),
      await add('soon', '--next', '--rights', 'append,follow', '--paths', '/**'),
    ];
    await reload();
    const asked = { append: 0, follow: 0 };
    const writable = openAppend(url('/builds/1'), { token: () => tokens[asked.append++] });
    await once(writable, 'open');
    const readable = follow(url('/builds/1'), { token: () => tokens[asked.follow++] });
    onTestFinished(() => void readable.destroy());
    let text = '';
    readable.on('data', (bytes: Buffer) => {
      text += bytes;
    });
    writable.write('before ');
    await waitFor(() => asked.append === 2 && asked.follow === 2, 'the tokens to expire');
    writable.write('after');
    expect(await writable.close()).toMatchObject({ bytes: 12, position: 12 });
    await finished(readable);
    expect(text).toBe('before after');
    expect(readable.reason).toBe('finished');
  });

  test('goes on if httpfstream-follow finds another one in its file, and fails if not', async () => {
    const { url, add, reload, ci, tokenFile } = await start();
    const soon = await add('soon', ...SOON);
    const [kept, replaced] = [`${tokenFile}.kept`, `${tokenFile}.replaced`];
    for (const file of [kept, replaced]) await writeFile(file, soon);
    await reload();
    const writable = openAppend(url('/builds/1'), { token: ci });
    await once(writable, 'open');
    writable.write('hello');
    const [failing, going] = [kept, replaced].map(
      (file) => new CommandHere(runFollow, ['--token-file', file, url('/builds/1')]),
    ) as [CommandHere, CommandHere];
    await waitFor(() => going.stdoutBytes > 0 || failing.hasExited, 'the bytes');
    await rename(tokenFile, replaced);
    expect(await failing.exit).toBe(1);
    expect(failing.stderr).toContain('HTTP status 401');
    writable.end(' world');
    expect([await going.exit, going.stdout.toString(), going.stderr]).toEqual([0, 'hello world', '']);
  });
});

describe('everybody', () => {
  test('may do what is said of anonymous', async () => {
    const { url, auth, reload } = await start();
    await writeFile(auth, '{"anonymous":[{"rights":["append","follow"],"paths":["/public/*"]}]}');
    await reload();
    expect(await append('x', url('/public/a'))).toEqual([0, '']);
    expect((await runHere(runFollow, [url('/public/a')])).stdout).toBe('x');
    const error = await finished(follow(url('/builds/1'))).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(UnauthorizedError);
  });
});
