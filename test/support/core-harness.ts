import { readFile } from 'node:fs/promises';
import path from 'node:path';
import type { Appender, AppenderOwner } from '../../src/core/appender.ts';
import type { Encoder } from '../../src/core/chunk.ts';
import type { EndReason } from '../../src/core/end-reason.ts';
import { FeedRegistry } from '../../src/core/feed-registry.ts';
import type { Follower, FollowerSink } from '../../src/core/follower.ts';
import { ResourcePath } from '../../src/storage/resource-path.ts';
import { Root } from '../../src/storage/root.ts';
import { temporaryDirectory } from './server.ts';

const asTheyAre: Encoder = (parts) => parts;

/** A follower's end that keeps what it gets, and can be full. */
export class CollectingSink implements FollowerSink {
  readonly encode = asTheyAre;
  readonly received: Buffer[] = [];
  follower: Follower | undefined;
  endReason: EndReason | undefined;
  failure: unknown;
  /** How many more writes it takes before it is full. */
  room = Number.POSITIVE_INFINITY;

  write(encoded: readonly Buffer[]): boolean {
    this.received.push(...encoded.map((bytes) => Buffer.from(bytes)));
    this.room--;
    return this.room > 0;
  }

  end(reason: EndReason): void {
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
export class RecordingOwner implements AppenderOwner {
  drains = 0;
  failures: unknown[] = [];

  drained(): void {
    this.drains++;
  }

  failed(error: unknown): void {
    this.failures.push(error);
  }
}

/** A registry over an empty root, without any HTTP. */
export async function startCore() {
  const directory = await temporaryDirectory();
  const root = await Root.open(directory);
  const registry = new FeedRegistry(root);
  const open = (name: string, owner: AppenderOwner = new RecordingOwner()) =>
    registry.openAppend(ResourcePath.parse(name), owner);
  const contents = (name: string) => readFile(path.join(directory, name));
  return { directory, root, registry, open, contents };
}

/** Joins the feed of `appender`, and starts. */
export function join(appender: Appender, position = 0, room?: number): CollectingSink {
  const sink = new CollectingSink();
  sink.follower = appender.feed.join(position, sink);
  sink.drain(room);
  return sink;
}
