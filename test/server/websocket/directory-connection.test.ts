import { mkdir, rename, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import type { ControlMessage, EntryMessage } from '../../../src/wire/protocol.ts';
import { RuleAccess } from '../../support/server/rule-access.ts';
import { startServer } from '../../support/server/server.ts';
import { sessionOf, V2Peer } from '../../support/websocket/v2-peer.ts';

const isEntry = (message: ControlMessage): message is EntryMessage => message.type === 'entry';

/** A server with a directory. */
async function serve(options: Parameters<typeof startServer>[0] = {}) {
  const server = await startServer(options);
  const directory = path.join(server.root, 'd');
  await mkdir(directory);
  return { ...server, directory };
}

/** Follows a directory. `last` is what was told last of a name. */
async function watch(url: string, options: Parameters<typeof V2Peer.follow>[2] = {}) {
  const peer = await V2Peer.follow(url, { view: 'list' }, options);
  await peer.until(() => peer.controls.some(({ type }) => type === 'list'), 'the first message');
  const last = (name: string) =>
    peer.controls.findLast(
      (message) =>
        (isEntry(message) && message.row[0] === name) || (message.type === 'gone' && message.name === name),
    );
  const until = (name: string, isSo: (row: EntryMessage['row']) => boolean, what: string) =>
    peer.until(() => {
      const message = last(name);
      return message !== undefined && isEntry(message) && isSo(message.row);
    }, what);
  return { peer, last, until };
}

describe('who follows a directory', () => {
  it('is told of what other programs make, write and delete there', async () => {
    const { url, directory } = await serve();
    const { peer, last, until } = await watch(url('/d/'));
    await writeFile(path.join(directory, 'f'), 'one');
    await until('f', ([, size]) => size === 3, 'the file');
    await writeFile(path.join(directory, 'f'), 'onetwo');
    await until('f', ([, size]) => size === 6, 'what was written');
    await mkdir(path.join(directory, 'sub'));
    await until('sub/', ([, size]) => size === null, 'the directory');
    await rm(path.join(directory, 'f'));
    await peer.until(() => last('f')?.type === 'gone', 'the end of the file');
    expect(peer.oddTexts).toEqual([]);
  });

  it('is told how appends stand, those included that had begun before', async () => {
    const { url } = await serve();
    const before = await V2Peer.append(url('/d/before'));
    const { until } = await watch(url('/d/'));
    await until('before', ([, , , state]) => state === 'live', 'the append that was there');
    const appender = await V2Peer.append(url('/d/new'), { session: sessionOf('a') });
    await until('new', ([, , , state]) => state === 'live', 'the append that has begun');
    appender.websocket.terminate();
    await until('new', ([, , , state]) => state === 'waiting', 'the append that is waited for');
    before.websocket.close(1000, '{"status":2}');
    await until('before', ([, , , state, status]) => state === 'finished' && status === 2, 'the end');
  });

  it('is told to read the list anew when too much has changed', async () => {
    const { url, directory } = await serve();
    const { peer } = await watch(url('/d/'));
    await Promise.all(Array.from({ length: 600 }, (_, i) => writeFile(path.join(directory, `${i}`), '')));
    const lists = () => peer.controls.filter(({ type }) => type === 'list').length;
    await peer.until(() => lists() > 1, 'the second message');
    expect(peer.controls.filter(isEntry).length).toBeLessThanOrEqual(600);
  });

  it('is told of what it may see, and of nothing else', async () => {
    const rules = { '/d/**': ['list'], '/d/open': ['follow'] } as const;
    const access = new RuleAccess({ t: { rules }, blind: { rules: { '/d/**': ['follow'] } } });
    const { url, directory } = await serve({ access });
    const { peer, until } = await watch(url('/d/'), { protocols: ['httpfstream.v2', 'bearer.t'] });
    for (const name of ['hidden', 'hidden-and-gone', 'open']) await writeFile(path.join(directory, name), '');
    await rm(path.join(directory, 'hidden-and-gone'));
    await writeFile(path.join(directory, 'open'), 'x');
    await until('open', ([, size]) => size === 1, 'the file');
    expect(JSON.stringify(peer.controls)).not.toContain('hidden');
    await expect(watch(url('/d/'), { protocols: ['httpfstream.v2', 'bearer.blind'] })).rejects.toThrow('403');
  });

  it('is told when the directory is gone, and when the server closes', async () => {
    const { url, directory, app } = await serve();
    const { peer } = await watch(url('/d/'));
    const { peer: other } = await watch(url('/'));
    await rename(directory, `${directory}2`);
    await peer.until(() => peer.end !== undefined, 'the end');
    expect(peer.end).toEqual({ type: 'end', position: 0, reason: 'deleted' });
    await app.close();
    expect(other.end).toMatchObject({ reason: 'shutdown' });
  });

  it('is told of the directory that has taken the place of another one, whose followers are told of its end', async () => {
    const { url, directory } = await serve();
    const { peer: before } = await watch(url('/d/'));
    await rename(directory, `${directory}2`);
    await mkdir(directory);
    const { peer, until } = await watch(url('/d/'));
    await writeFile(path.join(directory, 'f'), 'new');
    await until('f', ([, size]) => size === 3, 'the file');
    await before.until(() => before.end !== undefined, 'the end of the other one');
    expect([before.end?.reason, peer.end]).toEqual(['deleted', undefined]);
  });

  it('must find one', async () => {
    const { url, directory } = await serve();
    await writeFile(path.join(directory, 'f'), '');
    await expect(watch(url('/missing/'))).rejects.toThrow('404');
    await expect(watch(url('/d/f'))).rejects.toThrow('404');
  });
});
