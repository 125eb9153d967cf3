import fs, { mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { appendFile, mkdir, rename, rm, symlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { PathWatch, type PathWatcher } from '../../../src/core/watch/path-watch.ts';
import { Root } from '../../../src/storage/root/root.ts';
import { WriteTurns } from '../../../src/storage/write-turns.ts';
import { ResourcePath } from '../../../src/wire/resource-path.ts';
import { writeByThreads } from '../../support/core/harness.ts';
import { NEVER_MS } from '../../support/patience.ts';
import { temporaryDirectory } from '../../support/server/server.ts';
import { waitFor } from '../../support/wait-for.ts';

const MANY = 1000;
const FEW = MANY / 5;

/** Sees what is at a path only when it looks. */
class Looker implements PathWatcher {
  readonly path: ResourcePath;
  readonly isWaiting: boolean;
  readonly needsAll: boolean;
  looks = 0;
  defers = false;
  /** Which file was there at the last look. */
  seen: string | undefined;
  readonly #root: Root;

  constructor(root: Root, name: string, isWaiting: boolean) {
    this.#root = root;
    this.isWaiting = isWaiting;
    this.needsAll = isWaiting;
    this.path = ResourcePath.parse(name);
  }

  notify(): boolean {
    return true;
  }

  defersLook(): boolean {
    return this.defers;
  }

  look(): void {
    this.looks++;
    this.seen = this.#root.peek(this.path)?.identity;
  }
}

async function start({ sweepIntervalMs = NEVER_MS, maxDirectories = 100 } = {}) {
  const directory = await temporaryDirectory();
  const root = await Root.open(directory);
  const paths = new PathWatch(root, new WriteTurns(), { sweepIntervalMs, maxDirectories });
  const at = (name: string) => path.join(directory, name);
  const add = (name: string, isWaiting = false) => {
    const looker = new Looker(root, name, isWaiting);
    paths.add(looker);
    onTestFinished(() => paths.delete(looker));
    return looker;
  };
  /** Watches a path, and lets the first look pass. */
  const watch = async (name: string, isWaiting = false) => {
    const looker = add(name, isWaiting);
    await waitFor(() => looker.looks > 0, 'the first look');
    return looker;
  };
  return { root, paths, at, add, watch };
}

/** Lets everything take so long. */
function mockTime(): (milliseconds: number) => void {
  let nowMs = performance.now();
  let passing = 0;
  const now = vi.spyOn(performance, 'now').mockImplementation(() => {
    nowMs += passing;
    return nowMs;
  });
  onTestFinished(() => now.mockRestore());
  return (milliseconds) => {
    passing = milliseconds;
  };
}

type At = (name: string) => string;

/** What may happen at `a/b/f`: what is there before, what others do, and whether the file is there then. */
const CHANGES: [string, (at: At) => Promise<unknown>, (at: At) => Promise<unknown>, boolean][] = [
  [
    'is made in a directory that is there',
    (at) => mkdir(at('a/b'), { recursive: true }),
    (at) => writeFile(at('a/b/f'), ''),
    true,
  ],
  [
    'is made in directories that were not there',
    async () => {},
    async (at) => {
      await mkdir(at('a/b'), { recursive: true });
      await writeFile(at('a/b/f'), '');
    },
    true,
  ],
  [
    'comes with the directory that it is in',
    async (at) => {
      await mkdir(at('prepared/b'), { recursive: true });
      await writeFile(at('prepared/b/f'), '');
    },
    (at) => rename(at('prepared'), at('a')),
    true,
  ],
  [
    'is made in a directory that was moved and made anew',
    (at) => mkdir(at('a/b'), { recursive: true }),
    async (at) => {
      await rename(at('a'), at('old'));
      await writeFile(at('old/b/f'), '');
      await mkdir(at('a/b'), { recursive: true });
      await writeFile(at('a/b/f'), '');
    },
    true,
  ],
  [
    'goes with the directory that leads to it',
    async (at) => {
      await mkdir(at('a/b'), { recursive: true });
      await writeFile(at('a/b/f'), '');
    },
    (at) => rename(at('a'), at('old')),
    false,
  ],
  [
    'is replaced',
    async (at) => {
      await mkdir(at('a/b'), { recursive: true });
      await writeFile(at('a/b/f'), '');
      await writeFile(at('new'), '');
    },
    (at) => rename(at('new'), at('a/b/f')),
    true,
  ],
];

describe.each([
  ['of which the system tells', {}],
  ['in more directories than are watched', { maxDirectories: 0, sweepIntervalMs: 20 }],
])('a path %s', (_, limits) => {
  it.each(CHANGES)('is looked at when the file %s', async (_what, prepare, change, isThere) => {
    const { at, watch } = await start(limits);
    await prepare(at);
    const looker = await watch('a/b/f');
    const before = looker.seen;
    await change(at);
    await waitFor(() => looker.seen !== before, 'a look at what has changed');
    expect(looker.seen !== undefined).toBe(isThere);
  });

  it('is looked at while the disk is slow, after a thread has', async () => {
    const { root, at, watch } = await start(limits);
    writeByThreads();
    const prefetch = vi.spyOn(root, 'prefetch');
    const looker = await watch('f');
    await writeFile(at('f'), '');
    await waitFor(() => looker.seen !== undefined, 'a look at what has changed');
    expect(prefetch.mock.calls.length).toBeGreaterThanOrEqual(looker.looks);
  });
});

describe('a path of which the system tells', () => {
  it('is looked at again and again when directories are made on the way, one after the other', async () => {
    const { at, watch } = await start();
    const looker = await watch('a/b/c/f');
    for (const name of ['a', 'a/b', 'a/b/c']) {
      const { looks } = looker;
      await mkdir(at(name));
      await waitFor(() => looker.looks > looks, `a look after ${name} was made`);
    }
    await writeFile(at('a/b/c/f'), '');
    await waitFor(() => looker.seen !== undefined, 'the file');
  });

  it('is one of which it tells only when so many directories are not watched any more', async () => {
    const { at, paths, watch } = await start({ maxDirectories: 2, sweepIntervalMs: 20 });
    await mkdir(at('d'));
    await mkdir(at('e'));
    const [other, looker] = [await watch('e/f'), await watch('d/f')];
    expect([paths.isNotified(other), paths.isNotified(looker)]).toEqual([true, false]);
    paths.delete(other);
    await waitFor(() => paths.isNotified(looker), 'its turn');
    await writeFile(at('d/f'), '');
    await waitFor(() => looker.seen !== undefined, 'the file');
  });

  it('costs one watch of the system for each directory on the way, as long as somebody watches there', async () => {
    const opening = vi.spyOn(fs, 'watch');
    onTestFinished(() => opening.mockRestore());
    const { at, paths, add, watch } = await start();
    await mkdir(at('a/b'), { recursive: true });
    const lookers = ['a/b/f', 'a/b/g', 'a/missing/f', 'missing/f'].map((name) => add(name));
    const directories = [at('.'), at('a'), at('a/b')];
    expect(opening.mock.calls.map(([name]) => path.join(`${name}`))).toEqual(directories);
    const closing = opening.mock.results.map(({ value }) => vi.spyOn(value, 'close'));
    for (const looker of lookers) paths.delete(looker);
    expect(closing.map((close) => close.mock.calls.length)).toEqual([1, 1, 1]);
    await watch('f');
  });

  it('costs a timer only as long as somebody watches', async () => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
    onTestFinished(() => void vi.useRealTimers());
    const { paths, watch } = await start();
    for (let times = 0; times < 2; times++) {
      const lookers = [await watch('f'), await watch('g')];
      expect(vi.getTimerCount()).toBe(1);
      for (const looker of lookers) paths.delete(looker);
      expect(vi.getTimerCount()).toBe(0);
    }
  });

  it('is looked at when what changes is content that this server does not change, or more than content', async () => {
    const { at, watch } = await start();
    await writeFile(at('f'), '');
    const [looker, marker] = [await watch('f'), await watch('marker')];
    looker.defers = true;
    const { looks } = looker;
    await appendFile(at('f'), 'x');
    await writeFile(at('marker'), '');
    await waitFor(() => marker.seen !== undefined, 'a look at what has changed after that');
    expect(looker.looks).toBe(looks);
    looker.defers = false;
    await waitFor(() => looker.looks > looks, 'a look once it is quiet');
    looker.defers = true;
    await rm(at('f'));
    await waitFor(() => looker.seen === undefined, 'the file to go');
  });
});

describe('a path through a symlink, of whose target the system does not tell', () => {
  it.each([
    ['that leads to nothing', 'link', 'd/target', 'd/target'],
    ['to a directory', 'link/f', 'd', 'd/f'],
    ['to a directory that is missing', 'link/f', 'd/target', 'd/target/f'],
  ])('%s, is looked at in each sweep', async (_, name, target, file) => {
    const { at, paths, watch } = await start({ sweepIntervalMs: 20 });
    await mkdir(at('d'));
    await symlink(target, at('link'));
    const looker = await watch(name);
    expect(paths.isNotified(looker)).toBe(false);
    await mkdir(path.dirname(at(file)), { recursive: true });
    await writeFile(at(file), '');
    await waitFor(() => looker.seen !== undefined, 'the file');
  });
});

describe('thousands of paths', () => {
  /** Lets sweeps come only when they are asked for; how many looks one takes. */
  async function startMany(maxDirectories: number) {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
    onTestFinished(() => void vi.useRealTimers());
    const started = await start({ maxDirectories, sweepIntervalMs: 1000 });
    const { at, add } = started;
    await mkdir(at('d'));
    const lookers = Array.from({ length: MANY }, (_, i) => add(i % 2 === 0 ? `d/f${i}` : `missing${i}/f`));
    await waitFor(() => lookers.every(({ looks }) => looks === 1), 'the first looks');
    const count = () => lookers.reduce((sum, { looks }) => sum + looks, 0) - MANY;
    /** How many are looked at in a sweep, which is over at the end of a turn. */
    const sweep = async () => {
      const before = count();
      vi.advanceTimersByTime(1000);
      await nextTurn();
      return count() - before;
    };
    return { ...started, lookers, count, sweep };
  }

  it('cost no look while nothing happens to them, and one each for what happens', async () => {
    const { at, lookers, count } = await startMany(100);
    for (let i = 0; i < 100; i++) await writeFile(at(`d/other${i}`), '');
    // Which the system tells after that.
    await writeFile(at('d/f0'), '');
    await waitFor(() => lookers[0]?.seen !== undefined, 'the file');
    expect(count()).toBe(lookers[0]?.looks === 2 ? 1 : 2);
  });

  it('have their turn in sixty sweeps, a few in each', async () => {
    const { lookers, sweep } = await startMany(100);
    mockTime()(0);
    for (let sweeps = 0; sweeps < 60; sweeps++) expect(await sweep()).toBeLessThanOrEqual(17);
    expect(lookers.every(({ looks }) => looks >= 2)).toBe(true);
  });

  it('have their turn at once where this server writes so much that the system does not tell of all', async () => {
    const { at, lookers, sweep } = await startMany(100);
    const [looker] = lookers as [Looker];
    writeFileSync(at('d/f0'), '');
    await waitFor(() => looker.seen !== undefined, 'the file');
    mockTime()(0);
    looker.defers = true;
    for (let i = 0; i < 200; i++) {
      writeFileSync(at('d/f0'), 'x');
      await nextTurn();
    }
    rmSync(at('d/f0'));
    const before = lookers.map(({ looks }) => looks);
    await sweep();
    expect(lookers.every(({ looks }, i) => looks > (before[i] as number))).toBe(true);
    expect(looker.seen).toBeUndefined();
    expect(await sweep()).toBeLessThan(20);
  });

  it('are those of which it tells, or not, as that changes', async () => {
    const { at, lookers, sweep } = await startMany(100);
    const looker = lookers[1] as Looker;
    const turns = async () => {
      const { looks } = looker;
      for (let sweeps = 0; sweeps < 5; sweeps++) await sweep();
      return looker.looks - looks;
    };
    mockTime()(0);
    expect(await turns()).toBeLessThan(2);
    const { looks } = looker;
    await symlink('nothing', at('missing1'));
    await waitFor(() => looker.looks > looks, 'a look at what has changed');
    expect(await turns()).toBe(5);
  });

  it('have their turn in each sweep where the system does not tell, as long as that is not too much', async () => {
    const { sweep } = await startMany(0);
    const letTakeMs = mockTime();
    letTakeMs(0);
    expect(await sweep()).toBe(MANY);
    letTakeMs(0.5);
    expect(await sweep()).toBeLessThan(10);
  });

  it('are a few looks where one changes thousands of times', async () => {
    const { at, watch } = await start();
    const looker = await watch('f');
    const begunMs = performance.now();
    for (let i = 0; i < 2000; i++) {
      writeFileSync(at('f'), '');
      rmSync(at('f'));
      if (i % 20 === 0) await nextTurn();
    }
    await writeFile(at('f'), '');
    await waitFor(() => looker.seen !== undefined, 'the last of them');
    expect(looker.looks).toBeLessThan((performance.now() - begunMs) / 100 + 3);
  });
});

describe('a backlog of thousands of looks', () => {
  /** Watches thousands of files in a directory which is then moved, so that a look at each is due, and takes its time. */
  async function startBacklog(isWaiting: boolean) {
    const started = await start();
    const { at, add } = started;
    const [from, to] = isWaiting ? [at('elsewhere'), at('d')] : [at('d'), at('elsewhere')];
    mkdirSync(from);
    for (let i = 0; i < MANY; i++) writeFileSync(path.join(from, `f${i}`), '');
    const lookers = Array.from({ length: MANY }, (_, i) => add(`d/f${i}`, isWaiting));
    await waitFor(() => lookers.every(({ looks }) => looks === 1), 'the first looks');
    const count = () => lookers.reduce((sum, { looks }) => sum + looks, 0) - MANY;
    /** Moves it, lets others do something as well, and returns how many looks it takes until what they did is seen. */
    const looksUntil = async (change: () => void, isSeen: () => boolean) => {
      const letTakeMs = mockTime();
      letTakeMs(1);
      renameSync(from, to);
      await waitFor(() => count() > 0, 'the first of many looks');
      change();
      const before = count();
      await waitFor(isSeen, 'a look at what others did');
      letTakeMs(0);
      return count() - before;
    };
    return { ...started, lookers, looksUntil };
  }

  it.each([
    ['what somebody has open', false],
    ['a name that is waited for', true],
  ])('holds up nobody who watches %s, while ways to others are looked at', async (_, isWaiting) => {
    const { at, watch, lookers, looksUntil } = await startBacklog(true);
    if (!isWaiting) writeFileSync(at('live'), '');
    const live = await watch('live', isWaiting);
    const change = () => (isWaiting ? writeFileSync(at('live'), '') : rmSync(at('live')));
    expect(await looksUntil(change, () => (live.seen !== undefined) === isWaiting)).toBeLessThan(FEW);
    await waitFor(() => lookers.every(({ seen }) => seen !== undefined), 'all the others');
    expect(Math.max(...lookers.map(({ looks }) => looks))).toBe(2);
  });

  it('holds up nobody who waits, while files that are open are looked at', async () => {
    const { at, watch, lookers, looksUntil } = await startBacklog(false);
    const waiter = await watch('new/f', true);
    mkdirSync(at('made'));
    writeFileSync(at('made/f'), '');
    const change = () => renameSync(at('made'), at('new'));
    expect(await looksUntil(change, () => waiter.seen !== undefined)).toBeLessThan(FEW);
    await waitFor(() => lookers.every(({ seen }) => seen === undefined), 'all the others');
  });

  it('is one look at each name that is waited for, and few at the directory in which they are', async () => {
    const { at, add, watch } = await start();
    const lookers = Array.from({ length: MANY }, (_, i) => add(`d/f${i}`, true));
    const wanted = await watch('d/wanted', true);
    await waitFor(() => lookers.every(({ looks }) => looks === 1), 'the first looks');
    const looking = vi.spyOn(fs, 'lstatSync');
    onTestFinished(() => looking.mockRestore());
    mkdirSync(at('d'));
    writeFileSync(at('d/wanted'), '');
    await waitFor(() => wanted.seen !== undefined, 'the file');
    const names = () => looking.mock.calls.map(([name]) => `${name}`);
    const inDirectory = () => names().filter((name) => path.dirname(name) === at('d')).length;
    await waitFor(() => inDirectory() >= MANY, 'looks at all names');
    const after = await watch('after', true);
    writeFileSync(at('after'), '');
    await waitFor(() => after.seen !== undefined, 'a look after all of those');
    expect(inDirectory()).toBeLessThanOrEqual(MANY + 2);
    // Once in each pass, and with what others do.
    expect(names().filter((name) => name === at('d')).length).toBeLessThan(FEW);
    expect(lookers.every(({ looks }) => looks === 1)).toBe(true);
  });
});
