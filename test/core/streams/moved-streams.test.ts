import { readFile, rename, rm, symlink } from 'node:fs/promises';
import path from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { Permit } from '../../../src/core/permit.ts';
import { ResourcePath } from '../../../src/wire/resource-path.ts';
import { startCore } from '../../support/core/harness.ts';
import { appendLine, makeStream, textOf } from '../../support/core/streams.ts';

/** Two streams of text, with a line each. */
async function twoStreams() {
  const core = await startCore();
  onTestFinished(() => core.core.close());
  for (const name of ['one', 'two']) await makeStream(core.core, name, `${name}\n`);
  const at = (name: string) => path.join(core.directory, name);
  const readLive = async (name: string) => {
    const live = await core.core.followers.openLive(Permit.own(ResourcePath.parse(name)));
    onTestFinished(() => live.release());
  };
  return { ...core, at, readLive };
}

test('a stream that was renamed while somebody read it live is appended to by its new name', async () => {
  const { core, at, readLive } = await twoStreams();
  await readLive('one');
  await rename(at('one'), at('moved'));
  await appendLine(core, 'moved', 'more\n');
  expect(await readFile(at('moved'), 'utf8')).toBe('one\nmore\n');
  expect(await textOf(core, 'moved')).toBe('one\nmore\n');
});

test('what a symlink leads to is appended to by its own name when the symlink leads elsewhere', async () => {
  const { core, at, readLive } = await twoStreams();
  await symlink('one', at('latest'));
  await readLive('latest');
  await rm(at('latest'));
  await symlink('two', at('latest'));
  await appendLine(core, 'one', 'more\n');
  expect([await textOf(core, 'one'), await textOf(core, 'latest')]).toEqual(['one\nmore\n', 'two\n']);
});

test('a file that has taken the name of another one is appended to by it, and that one by its new name', async () => {
  const { core, at, readLive } = await twoStreams();
  await readLive('one');
  await rename(at('one'), at('moved'));
  await rename(at('two'), at('one'));
  // Until the new file is seen it is refused.
  await appendLine(core, 'one', 'more\n').catch(() => appendLine(core, 'one', 'more\n'));
  expect(await readFile(at('one'), 'utf8')).toBe('two\nmore\n');
  await appendLine(core, 'moved', 'more\n');
  expect(await readFile(at('moved'), 'utf8')).toBe('one\nmore\n');
});

test('a stream that is made where one was renamed, or deleted, a moment ago is what is appended to', async () => {
  const { core, at } = await twoStreams();
  await appendLine(core, 'one', 'more\n');
  await rename(at('one'), at('moved'));
  await makeStream(core, 'one', 'new\n');
  await appendLine(core, 'one', 'newer\n');
  await appendLine(core, 'two', 'more\n');
  await rm(at('two'));
  await makeStream(core, 'two', 'new\n');
  await appendLine(core, 'two', 'newer\n');
  const texts = await Promise.all(['one', 'moved', 'two'].map((name) => readFile(at(name), 'utf8')));
  expect(texts).toEqual(['new\nnewer\n', 'one\nmore\n', 'new\nnewer\n']);
});
