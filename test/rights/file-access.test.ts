import { chmod, mkdir, rename, rm, symlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterEach, describe, expect, onTestFinished, test, vi } from 'vitest';
import { FileAccess } from '../../src/rights/file-access.ts';
import type { Rule } from '../../src/rights/rules.ts';
import { hashOfToken, makeToken } from '../../src/rights/token.ts';
import { UnauthorizedError } from '../../src/wire/errors.ts';
import { ResourcePath } from '../../src/wire/resource-path.ts';
import { NEVER_MS } from '../support/patience.ts';
import { temporaryDirectory } from '../support/server/server.ts';
import { waitFor } from '../support/wait-for.ts';

afterEach(() => void vi.useRealTimers());

/** For tests that need not show how often it looks. */
const QUICKLY_MS = 20;

const A = ResourcePath.parse('/a/file');
const B = ResourcePath.parse('/b/file');

const follow = (...paths: string[]): Rule => ({ rights: ['follow'], paths });

const document = (
  tokens: Record<string, { token: string; rules: Rule[]; expires?: string }>,
  anonymous: Rule[] = [],
) =>
  JSON.stringify({
    anonymous,
    tokens: Object.entries(tokens).map(([name, { token, ...entry }]) => ({
      name,
      hash: hashOfToken(token),
      ...entry,
    })),
  });

/** Opens a file with that text until the test is over. */
async function open(text: string, lookMs = QUICKLY_MS) {
  const file = path.join(await temporaryDirectory(), 'auth.json');
  await writeFile(file, text, { mode: 0o600 });
  return { file, ...(await openAt(file, lookMs)) };
}

async function openAt(file: string, lookMs?: number) {
  const said: string[] = [];
  const say = (detail: { err?: Error }, message: string) =>
    said.push(`${message} ${detail.err?.message ?? ''}`);
  const access = await FileAccess.open(file, { info: say, error: say }, lookMs);
  onTestFinished(() => access.close());
  return { access, said };
}

/** As editors and `token add` write. */
async function replace(file: string, text: string): Promise<void> {
  await writeFile(`${file}.new`, text, { mode: 0o600 });
  await rename(`${file}.new`, file);
}

describe('whose a token is', () => {
  test('is told, with what it may do, to which all may do is added', async () => {
    const token = makeToken();
    const { access } = await open(document({ ci: { token, rules: [follow('/a/**')] } }, [follow('/b/**')]));
    const subject = access.subjectOf(token);
    expect(subject).toMatchObject({ name: 'token:ci', expiresMs: Number.POSITIVE_INFINITY });
    expect([subject.may('follow', A), subject.may('follow', B), subject.may('append', A)]).toEqual([
      true,
      true,
      false,
    ]);
    const anonymous = access.subjectOf(undefined);
    expect(anonymous.name).toBeUndefined();
    expect([anonymous.may('follow', A), anonymous.may('follow', B)]).toEqual([false, true]);
  });

  test('is unknown of others, of what is none, and of an expired one', async () => {
    const token = makeToken();
    const expires = new Date(Date.now() + 60_000).toISOString();
    const { access } = await open(document({ ci: { token, expires, rules: [follow('/a/**')] } }));
    for (const text of [makeToken(), '', token.slice(1), `${token} `, hashOfToken(token)]) {
      expect(() => access.subjectOf(text)).toThrow(UnauthorizedError);
    }
    const subject = access.subjectOf(token);
    expect(subject.expiresMs).toBe(Date.parse(expires));
    expect(access.renewed(subject)).toBe(subject);
    vi.useFakeTimers({ toFake: ['Date'], now: Date.parse(expires) - 1 });
    expect(access.subjectOf(token)).toBe(subject);
    vi.setSystemTime(Date.parse(expires));
    expect(() => access.subjectOf(token)).toThrow(UnauthorizedError);
    expect(access.renewed(subject)).toBeUndefined();
  });
});

describe('a file that is changed', () => {
  test('counts as soon as it is read again, and who is there is judged anew', async () => {
    const [kept, revoked, rotated] = [makeToken(), makeToken(), makeToken()];
    const rules = [follow('/a/**')];
    const { access, file } = await open(
      document({
        kept: { token: kept, rules },
        revoked: { token: revoked, rules },
        rotated: { token: rotated, rules },
      }),
      NEVER_MS,
    );
    const before = [kept, revoked, rotated, undefined].map((token) => access.subjectOf(token));
    let changes = 0;
    access.onChange(() => changes++);
    await replace(
      file,
      document({ kept: { token: kept, rules: [follow('/b/**')] }, rotated: { token: makeToken(), rules } }, [
        follow('/a/file'),
      ]),
    );
    await access.reload();
    expect(changes).toBe(1);
    const after = before.map((subject) => access.renewed(subject));
    expect(after.map((subject) => subject?.name)).toEqual(['token:kept', undefined, undefined, undefined]);
    expect(after.map((subject) => subject?.may('follow', B))).toEqual([true, undefined, undefined, false]);
    expect(after[3]?.may('follow', A)).toBe(true);
    // What was decided before stays what it was.
    expect(before[0]?.may('follow', B)).toBe(false);
    expect(() => access.subjectOf(revoked)).toThrow(UnauthorizedError);
  });

  test('keeps the rules from before while it is broken, and that is told once, with the place', async () => {
    const token = makeToken();
    const text = document({ ci: { token, rules: [follow('/a/**')] } });
    const { access, file, said } = await open(text);
    let changes = 0;
    access.onChange(() => changes++);
    await replace(file, '{\n  "tokens": [');
    await waitFor(() => said.length > 0, 'the fault to be seen');
    expect(said[0]).toContain(`the rights are as they were`);
    expect(said[0]).toContain(`${file}:2:14: this is not JSON`);
    expect(access.isCurrent).toBe(false);
    expect(access.subjectOf(token).may('follow', A)).toBe(true);
    await replace(file, text);
    await waitFor(() => access.isCurrent, 'the file to be whole again');
    expect([changes, said.length]).toEqual([1, 2]);
  });

  test.each([
    ['written in place', async (file: string, text: string) => writeFile(file, text)],
    ['replaced', replace],
  ])('is noticed when it is %s, though it is as long as before', async (_, change) => {
    const token = makeToken();
    const { access, file } = await open(document({ ci: { token, rules: [follow('/b/**')] } }));
    await change(file, document({ ci: { token, rules: [follow('/a/**')] } }));
    await waitFor(() => mayFollow(access, token), 'the new rules');
  });

  test('is noticed when nothing but its mode is', async () => {
    const { access, file, said } = await open('{}');
    await chmod(file, 0o644);
    await waitFor(() => !access.isCurrent, 'the fault to be seen');
    expect(said).toEqual([expect.stringContaining('nobody but its owner')]);
    await chmod(file, 0o600);
    await waitFor(() => access.isCurrent, 'the file to be private again');
  });

  test('is noticed where a link changes two levels above, as with a ConfigMap of Kubernetes', async () => {
    const token = makeToken();
    const mount = await temporaryDirectory();
    const put = async (version: string, text: string) => {
      await mkdir(path.join(mount, version));
      await writeFile(path.join(mount, version, 'auth.json'), text, { mode: 0o600 });
      await symlink(version, path.join(mount, '..data_new'));
      await rename(path.join(mount, '..data_new'), path.join(mount, '..data'));
    };
    await put('..1', '{}');
    await symlink('..data/auth.json', path.join(mount, 'auth.json'));
    const { access } = await openAt(path.join(mount, 'auth.json'));
    await put('..2', document({ ci: { token, rules: [follow('/a/**')] } }));
    await rm(path.join(mount, '..1'), { recursive: true });
    await waitFor(() => mayFollow(access, token), 'the new rules');
  });

  test('that is gone changes nothing, until it is there again', async () => {
    const token = makeToken();
    const { access, file, said } = await open(document({ ci: { token, rules: [follow('/a/**')] } }));
    await rm(file);
    await waitFor(() => said.length > 0, 'that to be seen');
    expect(said).toEqual([expect.stringContaining('ENOENT')]);
    expect(mayFollow(access, token)).toBe(true);
    await writeFile(file, '{}', { mode: 0o600 });
    await waitFor(() => !mayFollow(access, token), 'the new rules');
  });
});

describe('a file that cannot be used', () => {
  test('is refused at the start', async () => {
    await expect(open('{"tokens": 1}')).rejects.toThrow(/auth\.json:1:12: \/tokens must be array/);
    await expect(openAt('/none/auth.json')).rejects.toThrow('ENOENT');
  });
});

function mayFollow(access: FileAccess, token: string): boolean {
  try {
    return access.subjectOf(token).may('follow', A);
  } catch {
    return false;
  }
}
