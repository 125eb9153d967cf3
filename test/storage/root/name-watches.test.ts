import fs, { appendFileSync } from 'node:fs';
import { appendFile, link, mkdir, rename, rm, symlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { FileSystems } from '../../../src/storage/root/file-systems.ts';
import { type Change, NameWatches } from '../../../src/storage/root/name-watches.ts';
import { diskDirectory } from '../../support/server/server.ts';
import { waitFor } from '../../support/wait-for.ts';

/** More than what a directory may change until that is too much. */
const MANY = 500;

type At = (name: string) => string;

/** A directory in which names are watched, some of them in `logs`. */
async function watchedDirectory(maxDirectories = 10) {
  const directory = await diskDirectory();
  const at = (name: string) => path.join(directory, name);
  await mkdir(at('logs'));
  const watches = new NameWatches(directory, await FileSystems.of(directory), maxDirectories);
  const watch = (name: string, needsAll = true, isNews = true) => {
    const onChange = vi.fn<(what: Change) => boolean>().mockReturnValue(isNews);
    const names = watches.watch(name.split('/'), { needsAll, changed: onChange });
    onTestFinished(() => names.close());
    /** Resolves when it was told this. */
    const told = (what: 'name' | 'content' | 'way') =>
      waitFor(() => onChange.mock.calls.some(([change]) => change === what), `a change of the ${what}`);
    return { onChange, names, told };
  };
  return { at, watch, watches };
}

describe('a watch of names', () => {
  it('asks in line for no file system, and knows that it tells all as soon as that has answered', async () => {
    const inLine = vi.spyOn(fs, 'statfsSync');
    onTestFinished(() => inLine.mockRestore());
    const directory = await diskDirectory();
    const watches = new NameWatches(directory, new FileSystems(), 10);
    const names = watches.watch(['a'], { needsAll: true, changed: () => true });
    onTestFinished(() => names.close());
    expect(names.isNotified).toBe(false);
    await waitFor(() => {
      names.renew();
      return names.isNotified;
    }, 'the answer');
    expect(inLine).not.toHaveBeenCalled();
  });

  it('tells what happens to each of them, until that is not wanted any more', async () => {
    const { at, watch } = await watchedDirectory();
    const [a, b] = [watch('logs/a'), watch('logs/b')];
    await writeFile(at('logs/a'), '');
    await a.told('name');
    await appendFile(at('logs/a'), 'x');
    await a.told('content');
    expect(b.onChange).not.toHaveBeenCalled();
    const told = a.onChange.mock.calls.length;
    a.names.close();
    await rename(at('logs/a'), at('logs/b'));
    await b.told('name');
    expect(a.onChange).toHaveBeenCalledTimes(told);
  });

  it.each([
    ['deleted', (directory: string) => rm(directory, { recursive: true })],
    ['renamed', (directory: string) => rename(directory, `${directory}-old`)],
  ])('tells when its directory was %s and made anew, and lives on when it is renewed', async (_, remove) => {
    const { at, watch } = await watchedDirectory();
    const old = watch('logs/a');
    await remove(at('logs'));
    await mkdir(at('logs'));
    await old.told('way');
    expect(old.onChange).not.toHaveBeenCalledWith('name');
    old.names.renew();
    expect(old.names.isNotified).toBe(true);
    await writeFile(at('logs/a'), '');
    await old.told('name');
  });

  it('tells when the nearest directory comes that was missing, and the next one when it is renewed', async () => {
    const { at, watch } = await watchedDirectory();
    const { names, told, onChange } = watch('logs/x/y/a');
    expect(names.isNotified).toBe(true);
    await mkdir(at('logs/x'));
    await told('way');
    names.renew();
    onChange.mockClear();
    await mkdir(at('logs/x/y'));
    await told('way');
    names.renew();
    await writeFile(at('logs/x/y/a'), '');
    await told('name');
  });

  it('tells all who watch when it has failed, and lives on when it is renewed', async () => {
    const open = vi.spyOn(fs, 'watch');
    onTestFinished(() => open.mockRestore());
    const { at, watch } = await watchedDirectory();
    const { names, onChange, told } = watch('logs/a');
    const failed = open.mock.results[1]?.value as fs.FSWatcher;
    const close = vi.spyOn(failed, 'close');
    failed.emit('error', new Error('no more watches'));
    expect(close).toHaveBeenCalled();
    expect(onChange).toHaveBeenCalledWith('way');
    names.renew();
    await writeFile(at('logs/a'), '');
    await told('name');
  });

  it.each([
    ['a file stands on the way', (at: (name: string) => string) => writeFile(at('logs/x'), ''), true],
    ['a symlink is on the way', (at: (name: string) => string) => symlink('.', at('logs/x')), false],
    ['symlinks lead round', (at: (name: string) => string) => symlink('x', at('logs/x')), false],
  ])('knows whether the system tells all where %s', async (_, prepare, isNotified) => {
    const { at, watch } = await watchedDirectory();
    await prepare(at);
    expect(watch('logs/x/a').names.isNotified).toBe(isNotified);
  });

  it('knows that the system does not tell what happens to a file by its other names', async () => {
    const { at, watch } = await watchedDirectory();
    await writeFile(at('logs/a'), '');
    const { names } = watch('logs/a');
    expect(names.isNotified).toBe(true);
    await link(at('logs/a'), at('b'));
    names.renew();
    expect(names.isNotified).toBe(false);
  });

  it.each([
    ['in a directory that is missing', 'x/a', () => {}, true],
    ['where there is nothing', 'logs/a', () => {}, true],
    ['where there is a file', 'logs/a', (at: At) => writeFile(at('logs/a'), ''), false],
    ['where a symlink leads to nothing', 'logs/a', (at: At) => symlink('nothing', at('logs/a')), false],
    [
      'below a symlink to nothing, which may come',
      'logs/a/b',
      (at: At) => symlink('no', at('logs/a')),
      false,
    ],
  ])('knows whether a name is missing %s', async (_, name, prepare, isMissing) => {
    const { at, watch } = await watchedDirectory();
    await prepare(at);
    expect(watch(name).names.isMissing).toBe(isMissing);
  });

  it('looks at a directory once for all who are renewed, until something is told, or it is to look anew', async () => {
    const { at, watch, watches } = await watchedDirectory();
    const all = ['logs/a', 'logs/b', 'logs/c'].map((name) => watch(name));
    const looking = vi.spyOn(fs, 'lstatSync');
    onTestFinished(() => looking.mockRestore());
    const looksOfAll = () => {
      looking.mockClear();
      for (const { names } of all) names.renew();
      return looking.mock.calls.filter(([name]) => name === at('logs')).length;
    };
    watches.lookAnew();
    expect([looksOfAll(), looksOfAll()]).toEqual([1, 0]);
    watches.lookAnew();
    expect(looksOfAll()).toBe(1);
    await writeFile(at('logs/a'), '');
    await all[0]?.told('name');
    expect(looksOfAll()).toBe(1);
  });

  it('watches so many directories at most, and others when some are not watched any more', async () => {
    const { at, watch } = await watchedDirectory(2);
    await mkdir(at('x'));
    const [first, second] = [watch('logs/a'), watch('x/a')];
    expect([first.names.isNotified, second.names.isNotified]).toEqual([true, false]);
    first.names.close();
    second.names.renew();
    expect(second.names.isNotified).toBe(true);
    await writeFile(at('x/a'), '');
    await second.told('name');
  });
});

describe('a directory in which this server writes all the time', () => {
  /** Watches a file that changes, which may be news, and another one. */
  async function changing({ needsAll = false, isNews = false } = {}) {
    const directory = await watchedDirectory();
    const { at, watch, watches } = directory;
    let markers = 0;
    await writeFile(at('logs/a'), '');
    const [a, b] = [watch('logs/a', false, isNews), watch('logs/b', needsAll)];
    const changeAll = async () => {
      for (let i = 0; i < MANY; i++) {
        appendFileSync(at('logs/a'), 'x');
        await nextTurn();
      }
    };
    /** Makes sure that what has happened is told. */
    const settle = async () => {
      const name = `marker${markers++}`;
      const marker = watch(name);
      await writeFile(at(name), '');
      await marker.told('name');
    };
    return { ...directory, a, b, changeAll, settle, resume: () => watches.resume() };
  }

  it('is not told of any more when that is too much, until it is resumed', async () => {
    const { at, a, b, changeAll, settle, resume } = await changing();
    await changeAll();
    await settle();
    expect(a.onChange.mock.calls.length).toBeLessThan(MANY / 2);
    expect(a.names.isNotified).toBe(true);
    await writeFile(at('logs/b'), '');
    await settle();
    expect(b.onChange).not.toHaveBeenCalled();
    expect([resume(), resume()]).toEqual([true, false]);
    await rm(at('logs/b'));
    await b.told('name');
  });

  it.each([
    ['where somebody needs all of it', { needsAll: true }],
    ['when it is news', { isNews: true }],
  ])('is told of all the time %s', async (_, how) => {
    const { at, a, b, changeAll, settle, resume } = await changing(how);
    await changeAll();
    await settle();
    expect(a.onChange.mock.calls.length).toBeGreaterThan(MANY / 2);
    await writeFile(at('logs/b'), '');
    await b.told('name');
    expect(resume()).toBe(false);
  });

  it('is told of again when somebody comes who needs all of it', async () => {
    const { at, watch, changeAll, settle, resume } = await changing();
    await changeAll();
    await settle();
    const c = watch('logs/c');
    await writeFile(at('logs/c'), '');
    await c.told('name');
    expect(resume()).toBe(true);
  });

  it('costs no watch of the system when nobody watches there any more', async () => {
    const { a, b, watch, changeAll, settle, resume } = await changing();
    await changeAll();
    await settle();
    for (const { names } of [a, b]) names.close();
    const watching = vi.spyOn(fs, 'watch');
    onTestFinished(() => watching.mockRestore());
    expect(resume()).toBe(true);
    expect(watching).not.toHaveBeenCalled();
    expect(watch('logs/a').names.isNotified).toBe(true);
  });
});
