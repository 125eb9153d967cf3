import { readFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { runServer } from '../../src/cli/server/run-server.ts';
import { PATIENCE_MS } from '../support/patience.ts';
import { runHere } from '../support/programs/command.ts';
import { InProcessServer } from '../support/server/restartable-server.ts';
import { ServerProcess } from '../support/server/server-process.ts';
import { waitFor } from '../support/wait-for.ts';
import { type Conversation, makeConversation } from './conversation.ts';
import { Fuzzer, tell } from './fuzzer.ts';
import { Ground } from './ground.ts';
import { HealthyClient, type HealthyReport, medianOf, type Sample, windowsOf } from './healthy-client.ts';
import { fuzzOptions } from './options.ts';
import { shrink } from './shrink.ts';

const { seed, seconds, connections, only, isLong } = fuzzOptions();

/** Part of the time after which the server has loaded and compiled what it needs: what it keeps is compared with then. */
const WARM_UP = 0.3;

const MIB = 1024 * 1024;

/** What it may keep beyond that: streams that it remembers, and what it remembers of files. */
const MAX_KEPT_BYTES = 48 * MIB;

/** What the process may be larger by: pages that the allocator does not give back, of the bodies that it may hold at a time. */
const MAX_RESIDENT_MIB = 384;

/** Files that it may have opened for good since it began to listen. */
const SPARE_DESCRIPTORS = 8;

/** Longest wait of a healthy client in the middle of all, in milliseconds. */
const MAX_MEDIAN_MS = 100;

/** And, where the machine may be busy, so many times the wait at a server that nobody fuzzes. */
const MAX_TIMES_CONTROL = 20;

const WINDOW_MS = 10_000;

/** Conversations that are under way when the server is told to close. */
const LAST_CONVERSATIONS = 200;

const SHRINK_MS = 60_000;

test(
  `whatever bytes come for ${seconds} s, the server serves others, keeps its files and secrets, and leaves nothing behind`,
  async () => {
    console.info(`npm run fuzz -- --seed ${seed}`);
    const fuzzer = await Fuzzer.start(connections);
    const { ground, server } = fuzzer;
    const descriptorsBefore = server.process.descriptorCount();
    const healthy = await HealthyClient.start(server.process.url(`/${ground.privateName}`));
    const control = await startControl();
    const numbered = conversations();

    await fuzzer.play(numbered, seconds * WARM_UP * 1000);
    const warm = await memoryOf(fuzzer);
    await fuzzer.play(numbered, seconds * (1 - WARM_UP) * 1000);
    const playedAt = Date.now();
    healthy.slowDown();
    const controlReport = await control.stop();
    await fuzzer.settle();
    const report = await healthy.stop();
    const waits = { fuzzed: samplesUntil(playedAt, report), control: samplesUntil(playedAt, controlReport) };
    await failOnFindings(fuzzer);
    tellOf(fuzzer, waits);

    expect(report.failures).toEqual([]);
    judge(waits);
    for (const [name, bytes] of [
      ['appended.txt', report.appended],
      ['live.txt', report.sent],
    ] as const) {
      expect(readFileSync(path.join(ground.root, ground.privateName, name), 'utf8')).toBe(bytes);
    }
    await waitFor(
      () => server.process.descriptorCount() <= descriptorsBefore + SPARE_DESCRIPTORS,
      'the descriptors to be closed',
    ).catch((cause) => {
      throw new Error(`it has not closed all of ${server.openFiles()}`, { cause });
    });
    const after = await memoryOf(fuzzer);
    expect(after.keepBytes - warm.keepBytes).toBeLessThan(MAX_KEPT_BYTES);
    expect(after.residentMiB - warm.residentMiB).toBeLessThan(MAX_RESIDENT_MIB);

    // It closes while there is much to do, and finds everything as it was.
    const last = fuzzer.play(take(numbered, LAST_CONVERSATIONS));
    await waitFor(() => fuzzer.isBusy, 'clients that it must turn away');
    fuzzer.finish();
    expect(await server.process.stop('SIGTERM')).toBe(0);
    await last;
    await fuzzer.settle();
    await failOnFindings(fuzzer);
    expect(server.nodeWarnings()).toBe('');
    expect(ground.faults((name) => fuzzer.names.has(name))).toEqual([]);
    const again = new InProcessServer(ground.root);
    await again.start();
    await again.stop();
    const check = await runHere(runServer, ['--check', '-root', ground.root]);
    expect(check).toMatchObject({ exit: 0, stderr: '' });
  },
  seconds * 1000 + SHRINK_MS + 4 * PATIENCE_MS,
);

function* conversations(): Generator<Conversation> {
  if (only === undefined) for (let number = 0; ; number++) yield makeConversation(seed, number);
  for (;;) for (const number of only) yield makeConversation(seed, number);
}

/** The next few; a generator in a `for` would end with it. */
function* take(numbered: Generator<Conversation>, count: number): Generator<Conversation> {
  for (let i = 0; i < count; i++) yield numbered.next().value;
}

/** A server of which the same is asked, and that nobody fuzzes: what this machine makes of it now. */
async function startControl(): Promise<HealthyClient> {
  const ground = await Ground.make();
  const server = await ServerProcess.start(ground.root);
  return HealthyClient.start(server.url(`/${ground.privateName}`));
}

async function memoryOf({ server }: Fuzzer) {
  if (server.hasEnded) return { keepBytes: 0, residentMiB: 0 };
  return { keepBytes: await server.keepBytes(), residentMiB: server.process.residentMiB() };
}

/** Throws when there is something that must not be, with as few conversations as make it happen again. */
async function failOnFindings(fuzzer: Fuzzer): Promise<void> {
  if (fuzzer.findings.length === 0) return;
  const { findings } = fuzzer;
  const [first] = findings;
  const shrunk = first === undefined ? [] : [await shrink(first, connections, SHRINK_MS)];
  const told = [...shrunk, ...findings.slice(1)].map(tell).join('\n\n');
  throw new Error(
    `after ${fuzzer.conversationCount} conversations (npm run fuzz -- --seed ${seed}):\n${told}`,
  );
}

/** How long healthy clients waited while their servers were, and were not, fuzzed. */
interface Waits {
  fuzzed: readonly Sample[];
  control: readonly Sample[];
}

const KINDS = ['get', 'append', 'live'] as const;

function samplesUntil(end: number, { samples }: HealthyReport): Sample[] {
  return samples.filter(({ at }) => at < end);
}

function tellOf(fuzzer: Fuzzer, { fuzzed, control }: Waits): void {
  const statuses = [...fuzzer.statuses].sort().map(([status, count]) => `${status}: ${count}`);
  const medians = KINDS.map(
    (kind) => `${kind} ${medianOf(fuzzed, kind).toFixed(1)} ms (${medianOf(control, kind).toFixed(1)})`,
  );
  console.info(
    `${fuzzer.conversationCount} conversations; answers ${statuses.join(', ')}\n` +
      `medians of a healthy client, and of one whose server nobody fuzzes: ${medians.join(', ')}`,
  );
}

function judge({ fuzzed, control }: Waits): void {
  for (const kind of KINDS) {
    const bound = MAX_MEDIAN_MS + MAX_TIMES_CONTROL * medianOf(control, kind);
    expect(medianOf(fuzzed, kind)).toBeLessThan(bound);
    if (!isLong) continue;
    for (const window of windowsOf(fuzzed, WINDOW_MS)) {
      expect(medianOf(window, kind)).toBeLessThan(MAX_MEDIAN_MS);
    }
  }
}
