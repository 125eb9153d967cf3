import type { EndReason } from '../wire/protocol.ts';

/** Upper bounds of the buckets of all histograms, in seconds. */
export const BUCKETS: readonly number[] = [
  0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5,
];

/** How often something took how long. */
export class Histogram {
  /** How many fell into each bucket and no earlier one; at the end those that took longer than all. */
  readonly counts: number[] = new Array(BUCKETS.length + 1).fill(0);
  /** Of all, in seconds. */
  sum = 0;

  /** Counts something that took as long, in milliseconds. */
  observe(ms: number): void {
    const seconds = ms / 1000;
    let bucket = 0;
    while (bucket < BUCKETS.length && seconds > (BUCKETS[bucket] as number)) bucket++;
    (this.counts[bucket] as number)++;
    this.sum += seconds;
  }
}

/** How appends come. */
export type AppendKind = 'session' | 'form' | 'post' | 'put' | 'pull';

/** How their bytes come. */
export type AppendTransport = 'websocket' | 'http' | 'upstream';

/** The appends of one kind that came in one way. */
export class AppendNumbers {
  readonly kind: AppendKind;
  readonly transport: AppendTransport;
  /** How many bytes are in files. */
  bytes = 0;
  /** How many have ended well, */
  finished = 0;
  /** in any other way, */
  interrupted = 0;
  /** and how many were not let in. */
  refused = 0;

  constructor(kind: AppendKind, transport: AppendTransport) {
    this.kind = kind;
    this.transport = transport;
  }

  /** Counts one that has ended. */
  ended(reason: EndReason): void {
    if (reason === 'finished') this.finished++;
    else this.interrupted++;
  }
}

/** How bytes go out; `file`: what is there, and nothing that comes. */
export type ReadTransport = 'websocket' | 'http' | 'range' | 'sse' | 'long_poll' | 'file';

/** What goes out in one way. */
export class ReadNumbers {
  readonly transport: ReadTransport;
  /** How many follow now. */
  followers = 0;
  /** How many bytes were written to clients, before they are laid out. */
  bytes = 0;

  constructor(transport: ReadTransport) {
    this.transport = transport;
  }
}

/**
 * What a core counts: fields that are added to where things happen, which costs next to nothing, and are read when
 * somebody asks.
 */
export class Numbers {
  readonly appends = {
    websocket: new AppendNumbers('session', 'websocket'),
    body: new AppendNumbers('session', 'http'),
    form: new AppendNumbers('form', 'http'),
    post: new AppendNumbers('post', 'http'),
    put: new AppendNumbers('put', 'http'),
    pull: new AppendNumbers('pull', 'upstream'),
  };
  readonly reads = {
    websocket: new ReadNumbers('websocket'),
    http: new ReadNumbers('http'),
    range: new ReadNumbers('range'),
    sse: new ReadNumbers('sse'),
    longPoll: new ReadNumbers('long_poll'),
  };
  /** How many wait for what is not there. */
  waitingReaders = 0;
  /** How many sessions went on through another connection, or another server. */
  sessionsResumed = 0;
  /** How sessions have ended, and how many streams were closed, or files deleted, without one. */
  readonly ends: Record<EndReason, number> = {
    finished: 0,
    interrupted: 0,
    deleted: 0,
    truncated: 0,
    shutdown: 0,
  };
  /** From when bytes are here until they are safe, */
  readonly appendSafe = new Histogram();
  /** and until they are written to all followers who take them. */
  readonly appendSent = new Histogram();
  /** Syncs of files and of the journal. */
  readonly syncs = new Histogram();
}
