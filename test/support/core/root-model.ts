import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { expect } from 'vitest';
import { Core } from '../../../src/core/core.ts';
import { Permit } from '../../../src/core/permit.ts';
import { checkRoot } from '../../../src/core/recovery/check/root-check.ts';
import { Root } from '../../../src/storage/root/root.ts';
import {
  PathConflictError,
  ResourceNotFoundError,
  StreamGoneError,
  UnreadError,
} from '../../../src/wire/errors.ts';
import { ResourcePath } from '../../../src/wire/resource-path.ts';
import { CrashModel, type Fact } from './crash-model.ts';
import { appendLine, makeStream, textOf } from './streams.ts';

async function start(directory: string): Promise<Core> {
  const core = new Core(await Root.open(directory), { durability: 'os', graceMs: 0 });
  await core.serve();
  return core;
}

/** Whether all is well by now, and what was found. */
async function check(directory: string): Promise<{ isWell: boolean; lines: string[] }> {
  const lines: string[] = [];
  const isWell = await checkRoot(await Root.open(directory), (line) => lines.push(line));
  return { isWell, lines };
}

/** What a reader gets; undefined when there is nothing. */
function readStream(core: Core, name: string): Promise<string | undefined> {
  return textOf(core, name).catch((error) => {
    ignoreMissing(error);
    return undefined;
  });
}

/** What was acknowledged is there once, what was refused is not. */
async function expectKept(directory: string, core: Core, model: CrashModel, hasSurplus: boolean) {
  for (const [name, { exists }] of model.paths) {
    const text = await readStream(core, name);
    if (exists !== 'may') expect(text !== undefined, `${name} is there`).toBe(exists === 'must');
    if (text === undefined) continue;
    model.paths.get(name)?.assertHolds(text);
    if (!hasSurplus) expect(await readFile(path.join(directory, name), 'utf8')).toBe(text);
    if (exists === 'must') await expectRemembered(core, name, model);
  }
}

/** What was acknowledged besides bytes: what a stream is of, that it is closed, and what its producer has brought. */
async function expectRemembered(core: Core, name: string, model: CrashModel) {
  const { type, isClosed, seq, sessionText } = model.paths.get(name) ?? {};
  const stream = await core.resources.acquire(Permit.own(ResourcePath.parse(name)));
  try {
    expect(stream.streamType, `type of ${name}`).toBe(type);
    if (isClosed) expect(stream.state.closed, `${name} is closed`).toBe(true);
  } finally {
    core.resources.release(stream);
  }
  if (seq === undefined || sessionText !== '') return;
  const { isRepeated } = await appendLine(core, name, 'again', { id: 'p', epoch: 0, seq });
  expect(isRepeated, `${name} knows ${seq} of its producer`).toBe(true);
}

/** Names can be deleted, made and deleted again. */
async function expectFree(core: Core, names: readonly string[]) {
  for (const name of names)
    await core.streams.delete(Permit.own(ResourcePath.parse(name))).catch(ignoreMissing);
  for (const name of names) {
    expect(await makeStream(core, name, 'again\n'), `${name} is made`).toBe(true);
    await core.streams.delete(Permit.own(ResourcePath.parse(name)));
  }
}

function ignoreMissing(error: unknown): void {
  const isMissing =
    error instanceof ResourceNotFoundError ||
    error instanceof StreamGoneError ||
    error instanceof PathConflictError ||
    error instanceof UnreadError;
  if (!isMissing) throw error;
}

/** Starts, or checks and starts, what is left of a root, and looks at all of it. */
export async function expectWhole(
  directory: string,
  facts: readonly Fact[],
  isCheckedFirst: boolean,
  hasSurplus: boolean,
) {
  const model = new CrashModel(facts);
  if (isCheckedFirst) {
    await check(directory);
    expect((await check(directory)).lines).toEqual([expect.stringMatching(/: all is well$/)]);
  }
  const core = await start(directory);
  try {
    await expectKept(directory, core, model, hasSurplus && !isCheckedFirst);
    await expectFree(core, [...model.paths.keys()]);
  } finally {
    await core.close();
  }
  const { isWell, lines } = await check(directory);
  expect({ isWell, lines }).toMatchObject({ isWell: true });
  expect((await check(directory)).lines).toEqual([expect.stringMatching(/: all is well$/)]);
}

/** Starts what is left of a root of which nothing was promised, and looks whether it can be used. */
export async function expectUsable(directory: string): Promise<void> {
  await (await start(directory)).close();
  await check(directory);
  expect((await check(directory)).lines).toEqual([expect.stringMatching(/: all is well$/)]);
}
