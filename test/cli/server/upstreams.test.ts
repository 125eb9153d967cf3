import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { runServer } from '../../../src/cli/server/run-server.ts';
import { upstreamsOf } from '../../../src/cli/server/upstreams.ts';
import { runHere } from '../../support/programs/command.ts';
import { temporaryDirectory } from '../../support/server/server.ts';

const NOTHING = { upstreamHeaderFile: [], upstreamAuthorization: [] };

async function fileOf(text: string): Promise<string> {
  const file = path.join(await temporaryDirectory(), 'headers');
  await writeFile(file, text);
  return file;
}

describe('-upstream-header-file', () => {
  test('is for the upstream that is named, and for no other', async () => {
    const file = await fileOf('# of the builds\nX-One: 1\r\n\nauthorization: Bearer top-secret\n');
    const upstream = ['http://a', '/builds=http://b'];
    const given = { ...NOTHING, upstream, upstreamHeaderFile: [{ prefix: '/builds', file }] };
    expect(await upstreamsOf(given)).toMatchObject([
      { url: 'http://a', headers: {}, passAuthorization: false },
      { url: '/builds=http://b', headers: { 'x-one': '1', authorization: 'Bearer top-secret' } },
    ]);
  });

  test.each(['secret', 'x: ä\u0100 secret', 'Host: secret', 'a: secret\na: secret'])(
    'a server with "%s" in it does not start, and does not tell it',
    async (text) => {
      const argv = ['-upstream', 'http://127.0.0.1:1', '-upstream-header-file', await fileOf(text)];
      const { exit, stdout, stderr } = await runHere(runServer, await withRoot(argv));
      expect([exit, stdout]).toEqual([1, '']);
      expect(stderr).toMatch(/^httpfstream-server: -upstream-header-file: [^\n]+\n$/);
      expect(stderr).not.toContain('secret');
    },
  );

  test('a server for which there is none, no upstream, or two of the same paths, does not start', async () => {
    const file = await fileOf('a: b');
    for (const [given, why] of [
      [['-upstream-header-file', '/none'], 'ENOENT'],
      [['-upstream-header-file', `/other=${file}`], 'no upstream has the prefix /other'],
      [['-upstream-authorization', '/other'], 'no upstream has the prefix /other'],
      [['-upstream', 'http://127.0.0.1:2'], 'two upstreams are for all paths'],
      [['-upstream', '/a=http://h', '-upstream', '/a/=http://i'], 'two upstreams have the prefix /a'],
    ] as const) {
      const argv = await withRoot(['-upstream', 'http://127.0.0.1:1', ...given]);
      const { exit, stderr } = await runHere(runServer, argv);
      expect([exit, stderr]).toEqual([1, expect.stringContaining(why)]);
    }
  });
});

test('-upstream-authorization is for the upstream that is named', async () => {
  const given = { ...NOTHING, upstream: ['http://a', '/b=http://b'], upstreamAuthorization: [''] };
  expect((await upstreamsOf(given)).map(({ passAuthorization }) => passAuthorization)).toEqual([true, false]);
});

async function withRoot(argv: readonly string[]): Promise<string[]> {
  return ['-root', path.join(await temporaryDirectory(), 'root'), '-http', 'localhost:0', ...argv];
}
