import {
  appendFileSync,
  cpSync,
  existsSync,
  linkSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
} from 'node:fs';
import path from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Durability } from '../../src/core/log/local-log.ts';
import type { Lease } from '../../src/core/sessions/lease.ts';
import { HttpfstreamError } from '../../src/wire/errors.ts';
import { ResourcePath } from '../../src/wire/resource-path.ts';
import { CollectingSink, RecordingOwner, startCore } from '../support/core-harness.ts';
import { RESERVED } from '../support/root-files.ts';
import { temporaryDirectory } from '../support/server.ts';

const RESOURCE = ResourcePath.parse('/f');

/** Sessions wait for their clients longer than any run lasts. */
const GRACE_MS = 600_000;

/** A line as long as all others, so that a file can be cut between two. */
function lineOf(id: number): string {
  return `${String(id).padStart(7, '0')}\n`;
}

const LINE_BYTES = lineOf(0).length;

type Step = Readonly<{ kind: string; n: number }>;

const kinds: readonly [weight: number, kind: string][] = [
  [5, 'post'],
  [2, 'post again'],
  [1, 'post the same'],
  [4, 'write'],
  [2, 'open'],
  [2, 'lose the connection'],
  [2, 'take over'],
  [2, 'finish'],
  [1, 'interrupt'],
  [3, 'join'],
  [2, 'stall'],
  [2, 'drain'],
  [2, 'others append'],
  [1, 'others cut'],
  [1, 'others delete'],
  [1, 'restart'],
  [1, 'crash'],
  [4, 'turns'],
];

const steps: fc.Arbitrary<Step[]> = fc.array(
  fc.oneof(
    ...kinds.map(([weight, kind]) => ({
      weight,
      arbitrary: fc.record({ kind: fc.constant(kind), n: fc.nat(1000) }),
    })),
  ),
  { minLength: 10, maxLength: 60 },
);

/** A follower, and where in which file it has begun. */
interface Followed {
  sink: CollectingSink;
  from: number;
  /** See {@link World.era}. */
  era: number;
}

/** The append of a client, with the lines of which it was not told yet that they are safe. */
interface Session {
  token: string;
  owner: RecordingOwner;
  lease: Lease;
  waiting: { line: string; end: number }[];
  isConnected: boolean;
}

/** What a producer has brought last. */
interface Post {
  line: string;
  seq: number;
  isSafe: boolean;
}

type Running = Awaited<ReturnType<typeof startCore>>;

/** One resource, what clients, servers and other programs do to it, and what must be in its file. */
class World {
  readonly #durability: Durability;
  #running: Running;
  /** Lines of which a client was told that they are safe, in the order in which they came, … */
  readonly #safe: string[] = [];
  /** … and how often each was brought: another program's may be posted, too. */
  readonly #brought = new Map<string, number>();
  /** Those that other programs have brought. */
  readonly #others: string[] = [];
  /** Those that another program has cut off, or may have: they need not be there. */
  readonly #dropped = new Set<string>();
  readonly #followed: Followed[] = [];
  /** How often another program has taken away what followers had. */
  #era = 0;
  #session: Session | undefined;
  #sessions = 0;
  #seq = 0;
  #lastPost: Post | undefined;

  private constructor(durability: Durability, running: Running) {
    this.#durability = durability;
    this.#running = running;
  }

  static async start(durability: Durability): Promise<World> {
    return new World(durability, await startCore({ durability, graceMs: GRACE_MS }));
  }

  async take({ kind, n }: Step): Promise<void> {
    switch (kind) {
      case 'post':
        this.#lastPost = { line: this.#bring(), seq: this.#seq, isSafe: false };
        return this.#post();
      case 'post the same':
        this.#lastPost = { line: this.#bring(this.#others.at(-1)), seq: this.#seq, isSafe: false };
        return this.#post();
      case 'post again':
        return this.#lastPost && this.#post();
      case 'open':
        return this.#session ? undefined : this.#open(`session ${this.#sessions++}`);
      case 'take over':
        return this.#session && this.#open(this.#session.token);
      case 'write':
        return this.#write();
      case 'lose the connection':
        return this.#loseConnection();
      case 'finish':
        return this.#end('finished');
      case 'interrupt':
        return this.#end('interrupted');
      case 'join':
        return this.#join(n);
      case 'stall':
      case 'drain':
        return this.#drain(n, kind === 'stall' ? n % 3 : undefined);
      case 'others append':
        return this.#othersAppend();
      case 'others cut':
        return this.#cut(n % (1 + linesOf(this.#content).length));
      case 'others delete':
        return this.#cut(undefined);
      case 'restart':
        return this.#restart();
      case 'crash':
        return this.#crash();
      default:
        for (let i = n % 5; i > 0; i--) await nextTurn();
    }
  }

  /** Nothing that is safe is missing, nothing is there twice, nothing that nobody has brought is there. */
  async check(): Promise<void> {
    await this.#end('finished');
    const lines = linesOf(this.#content);
    const counts = countsOf(lines);
    expect(
      lines.filter((line) => (counts.get(line) ?? 0) > (this.#brought.get(line) ?? 0)),
      'somebody brought each, and none is there more often',
    ).toEqual([]);
    const kept = this.#safe.filter((line) => !this.#dropped.has(line));
    let found = 0;
    for (const line of lines) if (line === kept[found]) found++;
    expect(kept.slice(found), 'all that is safe is there, in order').toEqual([]);
    // What a producer's stream cannot have of them is where an operator finds it.
    const left = countsOf([...lines, ...this.#aside]);
    const owed = countsOf([...kept, ...this.#others.filter((line) => !this.#dropped.has(line))]);
    expect(
      [...owed].filter(([line, count]) => (left.get(line) ?? 0) < count),
      'nothing of other programs is lost',
    ).toEqual([]);
    for (const { sink, from, era } of this.#followed) {
      sink.drain();
      const bytes = sink.bytes.toString('latin1');
      if (era === this.#era) expect(bytes).toBe(this.#content.slice(from, from + bytes.length));
    }
    await this.#close();
  }

  get #file(): string {
    return path.join(this.#running.directory, 'f');
  }

  get #content(): string {
    return existsSync(this.#file) ? readFileSync(this.#file, 'latin1') : '';
  }

  /** What was set aside. */
  get #aside(): string[] {
    const directory = path.join(this.#running.directory, RESERVED, 'aside');
    if (!existsSync(directory)) return [];
    return readdirSync(directory).flatMap((name) =>
      linesOf(readFileSync(path.join(directory, name), 'latin1')),
    );
  }

  #bring(line = lineOf(this.#brought.size)): string {
    this.#brought.set(line, (this.#brought.get(line) ?? 0) + 1);
    return line;
  }

  #othersAppend(): void {
    if (!existsSync(this.#file)) return;
    const line = this.#bring();
    appendFileSync(this.#file, line);
    this.#others.push(line);
  }

  /** As one producer, which sends the last one again as it was. */
  async #post(): Promise<void> {
    const post = this.#lastPost as Post;
    const { resources } = this.#running.core;
    const producer = { id: 'p', epoch: 0, seq: post.seq };
    const append = {
      bytes: Buffer.from(post.line),
      contentType: undefined,
      seq: undefined,
      producer,
      close: false,
    };
    try {
      const stream = await resources.acquire(RESOURCE);
      const { isRepeated } = await stream.append(append).finally(() => resources.release(stream));
      if (post.isSafe) expect(isRepeated || this.#dropped.has(post.line), 'it is not made again').toBe(true);
      else this.#safe.push(post.line);
      post.isSafe = true;
      this.#seq = post.seq + 1;
    } catch (error) {
      // Nobody has made the file, or a session holds it, say: then nothing was made.
      if (!(error instanceof HttpfstreamError)) throw error;
    }
  }

  /** Begins a session, or goes on with it. */
  async #open(token: string): Promise<void> {
    const owner = new RecordingOwner();
    try {
      const lease = await this.#running.open('f', owner, { session: token });
      await lease.ready();
      this.#session = { token, owner, lease, waiting: [], isConnected: true };
    } catch (error) {
      if (!(error instanceof HttpfstreamError)) throw error;
      this.#session = undefined;
    }
  }

  /** What it brings from now on is nobody's. */
  #loseConnection(): void {
    if (this.#session === undefined) return;
    this.#session.lease.release();
    this.#session.isConnected = false;
  }

  #write(): void {
    if (!this.#session?.isConnected) return;
    const { lease, waiting } = this.#session;
    const line = this.#bring();
    const before = lease.received;
    lease.append(Buffer.from(line));
    // Who was lost takes nothing.
    if (lease.received > before) waiting.push({ line, end: lease.received });
  }

  /** Notes of which lines the client of the session was told by now. */
  #noteSafe(position = this.#session?.owner.safePosition ?? 0): void {
    const { waiting = [] } = this.#session ?? {};
    const count = waiting.filter(({ end }) => end <= position).length;
    for (const { line } of waiting.splice(0, count)) this.#safe.push(line);
  }

  async #end(reason: 'finished' | 'interrupted'): Promise<void> {
    if (this.#session === undefined) return;
    const { lease } = this.#session;
    await lease.end(reason);
    this.#noteSafe(lease.endReason === 'finished' ? Number.POSITIVE_INFINITY : undefined);
    this.#session = undefined;
  }

  async #join(n: number): Promise<void> {
    const from = LINE_BYTES * (n % (1 + linesOf(this.#content).length));
    const sink = new CollectingSink();
    try {
      const { followers } = this.#running.core;
      sink.follower = await followers.follow(RESOURCE, { from }, sink, new AbortController().signal);
      sink.drain();
      this.#followed.push({ sink, from, era: this.#era });
    } catch (error) {
      if (!(error instanceof HttpfstreamError)) throw error;
    }
  }

  #drain(n: number, room: number | undefined): void {
    const sink = this.#followed[n % Math.max(1, this.#followed.length)]?.sink;
    if (sink !== undefined && room !== undefined) sink.room = room;
    else sink?.drain();
  }

  /** Another program leaves only the first lines of the file, or deletes it. */
  #cut(lines: number | undefined): void {
    if (!existsSync(this.#file)) return;
    this.#noteSafe();
    const there = linesOf(this.#content);
    // What is under way may be in what is cut off by the time it is safe.
    const left = countsOf(there.slice(0, lines ?? 0));
    for (const [line, count] of this.#brought) if ((left.get(line) ?? 0) < count) this.#dropped.add(line);
    this.#era++;
    if (lines === undefined) rmSync(this.#file);
    else truncateSync(this.#file, lines * LINE_BYTES);
  }

  /** As a server closes: who does not take what is left is cut. */
  async #close(): Promise<void> {
    if (this.#session !== undefined) await this.#session.lease.end('shutdown');
    for (const { sink } of this.#followed) sink.follower?.leave();
    await this.#running.core.close();
  }

  async #restart(): Promise<void> {
    const { directory } = this.#running;
    await this.#close();
    this.#noteSafe();
    this.#running = await startCore({ durability: this.#durability, graceMs: GRACE_MS, directory });
    if (this.#session !== undefined) await this.#open(this.#session.token);
  }

  /** Goes on with what the disk has at this moment: the same files, and a copy of what else the server has written. */
  async #crash(): Promise<void> {
    const { directory } = this.#running;
    this.#noteSafe();
    const next = await temporaryDirectory();
    cpSync(path.join(directory, RESERVED), path.join(next, RESERVED), { recursive: true });
    if (existsSync(this.#file)) linkSync(this.#file, path.join(next, 'f'));
    await this.#close();
    // A file that has another name is not deleted with one.
    rmSync(this.#file, { force: true });
    this.#running = await startCore({ durability: this.#durability, graceMs: GRACE_MS, directory: next });
    if (this.#session !== undefined) await this.#open(this.#session.token);
  }
}

function linesOf(content: string): string[] {
  expect(content.length % LINE_BYTES, 'no line is torn').toBe(0);
  return content.match(/.{7}\n/g) ?? [];
}

function countsOf(lines: readonly string[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const line of lines) counts.set(line, (counts.get(line) ?? 0) + 1);
  return counts;
}

test.each(['os', 'disk'] as const)(
  'whatever clients, servers and other programs do, nothing safe is lost and nothing is repeated (durability: %s)',
  async (durability) => {
    await fc.assert(
      fc.asyncProperty(steps, async (taken) => {
        const world = await World.start(durability);
        for (const step of taken) await world.take(step);
        await world.check();
      }),
      { numRuns: process.env.HTTPFSTREAM_SOAK ? 500 : 25 },
    );
  },
);
