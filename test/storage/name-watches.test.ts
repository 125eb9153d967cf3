import fs from 'node:fs';
import { mkdir, rename, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { NameWatches } from '../../src/storage/name-watches.ts';
import { temporaryDirectory } from '../support/server.ts';
import { waitFor } from '../support/wait-for.ts';

/** A directory in which names are watched. */
async function watchedDirectory() {
  const directory = path.join(await temporaryDirectory(), 'logs');
  const at = (name: string) => path.join(directory, name);
  await mkdir(directory);
  const watches = new NameWatches();
  const watch = (name: string) => {
    const onChange = vi.fn<() => void>();
    const unwatch = watches.watch(at(name), onChange);
    onTestFinished(unwatch);
    return { onChange, unwatch };
  };
  return { directory, at, watch };
}

describe('a watch of names', () => {
  it('tells what happens to each of them, until that is not wanted any more', async () => {
    const { at, watch } = await watchedDirectory();
    const [a, b] = [watch('a'), watch('b')];
    await writeFile(at('a'), '');
    await waitFor(() => a.onChange.mock.calls.length > 0, 'a change of a');
    expect(b.onChange).not.toHaveBeenCalled();
    const told = a.onChange.mock.calls.length;
    a.unwatch();
    await rename(at('a'), at('b'));
    await waitFor(() => b.onChange.mock.calls.length > 0, 'a change of b');
    expect(a.onChange).toHaveBeenCalledTimes(told);
  });

  it.each([
    ['deleted', (directory: string) => rm(directory, { recursive: true })],
    ['renamed', (directory: string) => rename(directory, `${directory}-old`)],
  ])(
    'lives on when its directory was %s and made anew, as soon as somebody watches that',
    async (_, remove) => {
      const { directory, at, watch } = await watchedDirectory();
      const old = watch('a');
      await remove(directory);
      await mkdir(directory);
      const young = watch('b');
      await writeFile(at('b'), '');
      await waitFor(() => young.onChange.mock.calls.length > 0, 'a change of b');
      expect(old.onChange).not.toHaveBeenCalled();
      await writeFile(at('a'), '');
      await waitFor(() => old.onChange.mock.calls.length > 0, 'a change of a');
    },
  );

  it('lives on when it has failed, as soon as somebody watches there', async () => {
    const open = vi.spyOn(fs, 'watch');
    onTestFinished(() => open.mockRestore());
    const { at, watch } = await watchedDirectory();
    watch('a');
    const failed = open.mock.results[0]?.value as fs.FSWatcher;
    const close = vi.spyOn(failed, 'close');
    failed.emit('error', new Error('no more watches'));
    expect(close).toHaveBeenCalled();
    const { onChange } = watch('b');
    await writeFile(at('b'), '');
    await waitFor(() => onChange.mock.calls.length > 0, 'a change of b');
  });

  it('is possible where no directory is yet', async () => {
    const { directory, at, watch } = await watchedDirectory();
    await rm(directory, { recursive: true });
    const early = watch('a');
    await mkdir(directory);
    watch('b');
    await writeFile(at('a'), '');
    await waitFor(() => early.onChange.mock.calls.length > 0, 'a change of a');
  });
});
