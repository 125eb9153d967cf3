import { writeFile } from 'node:fs/promises';
import http from 'node:http';
import path from 'node:path';
import { expect, test } from 'vitest';
import { pattern } from '../../support/pattern.ts';
import { startOrigin } from '../../support/relay/origin.ts';
import { ScriptedServer, say } from '../../support/relay/scripted.ts';
import { temporaryDirectory } from '../../support/server/server.ts';
import { ServerProcess } from '../../support/server/server-process.ts';
import { waitFor } from '../../support/wait-for.ts';

/** The short form sees what stays open; what each pull keeps in memory shows in the long one only. */
const PULLS = process.env.HTTPFSTREAM_SOAK === undefined ? 20 : 1000;

const SIZE = 200_000;

/** Memory that garbage and caches may take between two looks, in MiB. */
const SLACK_MIB = 40;

/** Files that may be open a moment longer. */
const SLACK_FILES = 4;

/** Reads a file, or the beginning of it. */
function read(url: string, isAbandoned: boolean): Promise<void> {
  return new Promise((resolve, reject) => {
    const request = http.get(url, { agent: false }, (response) => {
      if (isAbandoned) request.destroy();
      response.on('error', () => undefined).once('close', resolve);
      response.resume();
    });
    request.once('error', (error) => (isAbandoned ? resolve() : reject(error)));
  });
}

/** An httpfstream server, with a file for each path, … */
async function startHttpfstream() {
  const origin = await startOrigin();
  const make = (name: string, content: Buffer) => writeFile(path.join(origin.root, name), content);
  return { url: origin.url(''), make };
}

/** … and one that is none, and has the same bytes at all of them. */
async function startPlain() {
  const server = await ScriptedServer.start((_request, socket) =>
    say(socket, '200 OK', { ETag: '"one"', 'Cache-Control': 'max-age=60' }, pattern(0, SIZE)),
  );
  return { url: server.url, make: async () => undefined };
}

test.each([
  ['an httpfstream server', startHttpfstream],
  ['a plain HTTP server', startPlain],
])(
  'pulls from %s, of which half are abandoned, leave nothing open and take no memory',
  async (_kind, start) => {
    const { url, make } = await start();
    const root = path.join(await temporaryDirectory(), 'root');
    const relay = await ServerProcess.start(root, ['-upstream', url]);
    const pull = async (name: string, count: number) => {
      for (let i = 0; i < count; i++) {
        await make(`${name}-${i}`, pattern(i, SIZE));
        await read(relay.url(`/${name}-${i}`), i % 2 === 0);
      }
    };
    const openFiles = relay.descriptorCount();
    await pull('before', PULLS);
    const residentMiB = relay.residentMiB();
    await pull('after', PULLS);
    expect(relay.residentMiB()).toBeLessThan(residentMiB + SLACK_MIB);
    await waitFor(() => relay.descriptorCount() <= openFiles + SLACK_FILES, 'files to be closed');
  },
);
