import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { onTestFinished, vi } from 'vitest';
import { Core, type CoreOptions } from '../../../src/core/core.ts';
import { AppendNumbers, ReadNumbers } from '../../../src/core/numbers.ts';
import { Permit } from '../../../src/core/permit.ts';
import type { Encoder } from '../../../src/core/readers/chunk.ts';
import { anywhere, type Cutting } from '../../../src/core/readers/cutting.ts';
import type { Reader, Sink } from '../../../src/core/readers/reader.ts';
import type { AppendRequest } from '../../../src/core/request.ts';
import type { Lease } from '../../../src/core/sessions/lease.ts';
import type { LeaseHolder } from '../../../src/core/sessions/session.ts';
import { Root } from '../../../src/storage/root/root.ts';
import type { AppendFile } from '../../../src/storage/stored-file.ts';
import { WriteTurns } from '../../../src/storage/write-turns.ts';
import type { EndReason, Outcome } from '../../../src/wire/protocol.ts';
import { ResourcePath } from '../../../src/wire/resource-path.ts';
import { lendReserve } from '../server/reserves.ts';
import { temporaryDirectory } from '../server/server.ts';
import { recoverAfterKill } from './stored-records.ts';

const asTheyAre: Encoder = (parts) => parts;

/** A follower's end that keeps what it gets, and can be full. */
export class CollectingSink implements Sink {
  readonly encode = asTheyAre;
  readonly cutting: Cutting = anywhere;
  readonly numbers = new ReadNumbers('websocket');
  readonly received: Buffer[] = [];
  follower: Reader | undefined;
  endReason: EndReason | undefined;
  /** What it was told of its appender's absence, in order. */
  readonly waits: boolean[] = [];
  failure: unknown;
  /** How many more writes it takes before it is full. */
  room = Number.POSITIVE_INFINITY;

  write(encoded: readonly Buffer[]): boolean {
    this.received.push(...encoded.map((bytes) => Buffer.from(bytes)));
    this.room--;
    return this.room > 0;
  }

  waiting(isWaiting: boolean): void {
    this.waits.push(isWaiting);
  }

  end({ reason }: Outcome): void {
    this.endReason = reason;
  }

  fail(error: unknown): void {
    this.failure = error;
  }

  /** Takes writes again, as many as `room`. */
  drain(room = Number.POSITIVE_INFINITY): void {
    this.room = room;
    this.follower?.drained();
  }

  get bytes(): Buffer {
    return Buffer.concat(this.received);
  }
}

/** An owner that keeps what it is told. */
export class RecordingOwner implements LeaseHolder {
  readonly numbers = new AppendNumbers('session', 'websocket');
  drains = 0;
  safePosition = 0;
  isDeposed = false;
  readonly failures: unknown[] = [];

  drained(): void {
    this.drains++;
  }

  safe(position: number): void {
    this.safePosition = position;
  }

  lost(_reason: EndReason, error: unknown): void {
    this.failures.push(error);
  }

  deposed(): void {
    this.isDeposed = true;
  }
}

/** A core over an empty root, without any HTTP, until the test is over: what is left of one goes on for ever, and is in the way of others. */
export async function startCore(options: Partial<CoreOptions> & { directory?: string } = {}) {
  const directory = options.directory ?? (await temporaryDirectory());
  if (options.directory === undefined) await lendReserve(directory);
  const root = await Root.open(directory);
  const core = new Core(root, { durability: 'os', graceMs: 15_000, ...options });
  const leases: Lease[] = [];
  onTestFinished(() => {
    for (const lease of leases) lease.release();
    return core.close();
  });
  await recoverAfterKill(directory, core);
  const open = async (
    name: string,
    owner: LeaseHolder = new RecordingOwner(),
    request: AppendRequest = {},
  ) => {
    const lease = await core.sessions.open(Permit.own(ResourcePath.parse(name)), request, owner);
    leases.push(lease);
    return lease;
  };
  const contents = (name: string) => readFile(path.join(directory, name));
  return { directory, root, core, open, contents };
}

/** Joins the feed of `appender`, and starts. */
export function join(appender: Lease, position = 0, room?: number): CollectingSink {
  const sink = new CollectingSink();
  sink.follower = appender.feed.join(position, sink, 'session');
  sink.drain(room);
  return sink;
}

/** Lets threads write what would be written in line, as if the disk had been slow, until the test is over. */
export function writeByThreads(): void {
  writeInLine(false);
}

/** Has all that may be written in line be written so, however slow the disk is, until the test is over. */
export function writeInLine(isInLine = true): void {
  const spy = vi.spyOn(WriteTurns.prototype, 'isInLine').mockReturnValue(isInLine);
  onTestFinished(() => spy.mockRestore());
}

/** The file that an appender writes, to make it fail. */
export function fileOf(appender: Lease): AppendFile {
  return appender.file;
}
