import { appendFileSync, cpSync, existsSync, linkSync, readFileSync, rmSync, truncateSync } from 'node:fs';
import path from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Durability } from '../../src/core/log/local-log.ts';
import { Permit } from '../../src/core/permit.ts';
import type { Lease } from '../../src/core/sessions/lease.ts';
import { hasErrno } from '../../src/storage/storage-failure.ts';
import { HttpfstreamError } from '../../src/wire/errors.ts';
import { ResourcePath } from '../../src/wire/resource-path.ts';
import { CollectingSink, RecordingOwner, startCore } from '../support/core/harness.ts';
import { RESERVED } from '../support/disk/root-files.ts';
import { temporaryDirectory } from '../support/server/server.ts';

const RESOURCE = ResourcePath.parse('/f');

/** Sessions wait for their clients longer than any run lasts, or not at all. */
const GRACES_MS = [600_000, 0];

/** A line as long as all others, so that a file can be cut between two. */
function lineOf(id: number): string {
  return `${String(id).padStart(7, '0')}\n`;
}

const LINE_BYTES = lineOf(0).length;

type Step = Readonly<{ kind: string; n: number }>;

const kinds: readonly [weight: number, kind: string][] = [
  [5, 'post'],
  [2, 'post again'],
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
  [3, 'restart'],
  [3, 'crash'],
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

/** A line, and the position after it, as its client counts. */
interface Line {
  line: string;
  end: number;
}

/** The append of a client, with the lines of which it was not told yet that they are safe. */
interface Session {
  token: string;
  owner: RecordingOwner;
  lease: Lease;
  /** Where it began. */
  start: number;
  waiting: Line[];
  /** Position after the last line, as the client counts. */
  end: number;
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
  readonly #options: { durability: Durability; graceMs: number };
  #running: Running;
  /** Lines of which a client was told that they are safe, in the order in which they came, … */
  readonly #safe: string[] = [];
  /** … and all that were ever brought. */
  readonly #brought = new Set<string>();
  /** Those that were brought by POST. */
  readonly #posted = new Set<string>();
  /** Those that another program has cut off, or may have: they need not be there. */
  readonly #dropped = new Set<string>();
  readonly #followed: Followed[] = [];
  /** How often another program has taken away what followers had. */
  #era = 0;
  #session: Session | undefined;
  #sessions = 0;
  #seq = 0;
  #lastPost: Post | undefined;

  private constructor(options: { durability: Durability; graceMs: number }, running: Running) {
    this.#options = options;
    this.#running = running;
  }

  static async start(durability: Durability, graceMs: number): Promise<World> {
    const options = { durability, graceMs };
    return new World(options, await startCore(options));
  }

  async take({ kind, n }: Step): Promise<void> {
    switch (kind) {
      case 'post':
        this.#lastPost = { line: this.#bring(), seq: this.#seq, isSafe: false };
        this.#posted.add(this.#lastPost.line);
        return this.#post();
      case 'post again':
        return this.#lastPost && this.#post();
      case 'open':
        return this.#session ? undefined : this.#open(`session ${this.#sessions++}`);
      case 'take over':
        return this.#session && this.#takeOver(this.#session);
      case 'write':
        return this.#write();
      case 'lose the connection':
        return this.#loseConnection();
      case 'finish':
        return this.#session?.isConnected ? this.#end('finished') : undefined;
      case 'interrupt':
        return this.#session?.isConnected ? this.#end('interrupted') : undefined;
      case 'join':
        return this.#join(n);
      case 'stall':
      case 'drain':
        return this.#drain(n, kind === 'stall' ? n % 3 : undefined);
      case 'others append':
        if (existsSync(this.#file)) appendFileSync(this.#file, this.#bring());
        return undefined;
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
    expect(new Set(lines).size, 'no line is there twice').toBe(lines.length);
    expect(
      lines.filter((line) => !this.#brought.has(line)),
      'somebody brought each',
    ).toEqual([]);
    const kept = this.#safe.filter((line) => !this.#dropped.has(line));
    expect(
      lines.filter((line) => kept.includes(line)),
      'all that is safe is there, in order',
    ).toEqual(kept);
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

  #bring(): string {
    const line = lineOf(this.#brought.size);
    this.#brought.add(line);
    return line;
  }

  /** As one producer, which sends the last one again as it was. */
  async #post(): Promise<void> {
    // What a session that is over has brought comes before it.
    this.#noteSafe();
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
      const stream = await resources.acquire(Permit.own(RESOURCE));
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

  /** Begins a session, or goes on with the one that began at `start`. */
  async #open(token: string, start?: number): Promise<void> {
    const owner = new RecordingOwner();
    const request = { session: token, ...(start !== undefined && { expect: start }) };
    try {
      const lease = await this.#running.open('f', owner, request);
      await lease.ready();
      const { startPosition, received } = lease;
      this.#session = {
        token,
        owner,
        lease,
        start: startPosition,
        waiting: [],
        end: received,
        isConnected: true,
      };
    } catch (error) {
      if (!(error instanceof HttpfstreamError)) throw error;
      this.#session = undefined;
    }
  }

  /** The client comes back, and goes on where the server says. */
  async #takeOver({ token, start, waiting }: Session): Promise<void> {
    await this.#open(token, start);
    if (this.#session === undefined) return;
    const { lease } = this.#session;
    const { received } = lease;
    for (const { line, end } of waiting) {
      if (end > received) {
        this.#send(this.#session, line);
        continue;
      }
      const there = this.#content.slice(end - LINE_BYTES, end);
      expect(this.#posted, 'it takes no POST for its own').not.toContain(there);
      // What others have written to a file that nobody watched cannot be told from its own.
      if (there === line) this.#session.waiting.push({ line, end });
    }
  }

  /** What it brings from now on waits until it comes back. */
  #loseConnection(): void {
    if (this.#session === undefined) return;
    this.#session.lease.release();
    this.#session.isConnected = false;
  }

  #write(): void {
    if (this.#session !== undefined) this.#send(this.#session, this.#bring());
  }

  /** What cannot be sent is kept by the client until it has come back. */
  #send(session: Session, line: string): void {
    if (session.isConnected) session.lease.append(Buffer.from(line));
    session.end += LINE_BYTES;
    session.waiting.push({ line, end: session.end });
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
      sink.follower = await followers.follow(
        Permit.own(RESOURCE),
        { from },
        sink,
        new AbortController().signal,
      );
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
    for (const line of this.#brought) if (!there.slice(0, lines ?? 0).includes(line)) this.#dropped.add(line);
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
    await this.#startAgain(directory);
  }

  /** Goes on with what the disk has at this moment: the same files, and a copy of what else the server has written. */
  async #crash(): Promise<void> {
    const { directory } = this.#running;
    this.#noteSafe();
    const next = await temporaryDirectory();
    copyReserved(directory, next);
    if (existsSync(this.#file)) linkSync(this.#file, path.join(next, 'f'));
    await this.#close();
    // A file that has another name is not deleted with one.
    rmSync(this.#file, { force: true });
    await this.#startAgain(next);
  }

  /** The client of the session may come back, at any time. */
  async #startAgain(directory: string): Promise<void> {
    this.#running = await startCore({ ...this.#options, directory });
    if (this.#session !== undefined) this.#session.isConnected = false;
  }
}

/** Copies what a server has written that is at work. */
function copyReserved(from: string, to: string): void {
  const copy = path.join(to, RESERVED);
  for (;;) {
    try {
      cpSync(path.join(from, RESERVED), copy, { recursive: true });
      return;
    } catch (error) {
      // The store has a thread of its own, which has removed a file meanwhile.
      if (!hasErrno(error, 'ENOENT') || !existsSync(from)) throw error;
      rmSync(copy, { recursive: true, force: true });
    }
  }
}

function linesOf(content: string): string[] {
  expect(content.length % LINE_BYTES, 'no line is torn').toBe(0);
  return content.match(/.{7}\n/g) ?? [];
}

test.each(['os', 'disk'] as const)(
  'whatever clients, servers and other programs do, nothing safe is lost and nothing is repeated (durability: %s)',
  async (durability) => {
    await fc.assert(
      fc.asyncProperty(steps, fc.constantFrom(...GRACES_MS), async (taken, graceMs) => {
        const world = await World.start(durability, graceMs);
        for (const step of taken) await world.take(step);
        await world.check();
      }),
      { numRuns: process.env.HTTPFSTREAM_SOAK ? 500 : 25 },
    );
  },
);
