import type { StreamState } from '../../storage/records/stream-state.ts';
import { onItsOwn } from '../byte-queue.ts';
import type { ResourceRoom } from '../limits/room.ts';
import { judge, type StreamAppend } from './append-rules.ts';
import { type ProducerRequest, Producers } from './producers.ts';

/** An append that was accepted and is not in the file yet. */
export interface PendingAppend {
  append: StreamAppend;
  before: StreamState;
  after: StreamState;
  /** Resolves when it counts; rejects when it failed after all. */
  made: Promise<void>;
}

interface Pending extends PendingAppend {
  producerBefore: ProducerRequest | undefined;
  resolve: () => void;
  reject: (error: unknown) => void;
}

/** What a stream is, and what it becomes once the appends are made that are under way. */
export class PendingAppends {
  /** With every append that was accepted; … */
  #state: StreamState;
  /** … with those that are in the file. */
  #settled: StreamState;
  readonly #producers: Producers;
  readonly #type: string | undefined;
  readonly #room: ResourceRoom;
  /** In order. */
  #pending: Pending[] = [];
  #last: Promise<void> = Promise.resolve();

  /**
   * @param type of the bytes that it takes; undefined takes all
   * @param room that they need
   */
  constructor(state: StreamState, type: string | undefined, room: ResourceRoom) {
    this.#state = state;
    this.#settled = state;
    this.#producers = new Producers(state.producers);
    this.#type = type;
    this.#room = room;
  }

  /** What is in the file, and counts; without the producers. */
  get settled(): StreamState {
    return this.#settled;
  }

  /** The highest version that was given to an append. */
  get version(): number {
    return this.#state.version;
  }

  /** The last request of a producer that was accepted. */
  producer(id: string): ProducerRequest | undefined {
    return this.#producers.get(id);
  }

  /**
   * Accepts an append, if the rules do.
   *
   * @returns undefined when it was made before
   * @throws what {@link judge} and {@link ResourceRoom.takeForNew} throw
   */
  accept(append: StreamAppend): PendingAppend | undefined {
    const before = this.#state;
    const after = judge(before, this.#producers, this.#type, append);
    if (after === undefined) return undefined;
    const { producer } = append;
    // Who follows may need them for long.
    const bytes = onItsOwn(append.bytes);
    this.#room.takeForNew(bytes.length);
    const producerBefore = producer && this.#producers.get(producer.id);
    let resolve!: () => void;
    let reject!: (error: unknown) => void;
    const made = new Promise<void>((onMade, onRefused) => {
      resolve = onMade;
      reject = onRefused;
    });
    const pending = { append: { ...append, bytes }, before, after, made, producerBefore, resolve, reject };
    this.#state = after;
    if (producer !== undefined) this.#producers.set(producer.id, producer);
    this.#pending.push(pending);
    this.#last = made;
    return pending;
  }

  /** Those under way, in order. */
  get list(): readonly PendingAppend[] {
    return this.#pending;
  }

  /** Notes that the first `count` under way are in the file. */
  settle(count: number): void {
    const settled = this.#pending.splice(0, count);
    this.#settled = (settled.at(-1) as Pending).after;
    this.#giveBack(settled);
    for (const { resolve } of settled) resolve();
  }

  /**
   * Takes all back that are under way: they were judged one upon the other.
   *
   * @returns refuses them, for those who wait
   */
  takeBack(): (errorOf: (index: number) => unknown) => void {
    const refused = this.#pending.splice(0);
    for (const { append, producerBefore } of refused.toReversed()) {
      if (append.producer !== undefined) this.#producers.set(append.producer.id, producerBefore);
    }
    this.#state = refused[0]?.before ?? this.#state;
    this.#giveBack(refused);
    return (errorOf) => {
      for (const [index, { reject }] of refused.entries()) reject(errorOf(index));
    };
  }

  /** Resolves when those under way by now are in the file, or refused. */
  async drained(): Promise<void> {
    await this.#last.catch(() => undefined);
  }

  /** Changes what does not come through appends; while nothing is under way. */
  amend(change: Partial<StreamState>): void {
    this.#state = { ...this.#state, ...change };
    this.#settled = { ...this.#settled, ...change };
  }

  /**
   * What it changes that the file was looked at.
   *
   * @param known what was known before it: what it did not see of that is gone, and of what
   *   was seen since, of another program's bytes for instance, it says nothing
   * @param size of the file
   */
  found(known: StreamState, size: number): Partial<StreamState> {
    if (size < known.size) return { size, generation: Date.now() * 1000 };
    return { size: Math.max(size, this.#settled.size) };
  }

  /** What is to be remembered; while nothing is under way. */
  snapshot(hasProducers: boolean): StreamState {
    const { producers: _, ...state } = this.#settled;
    return hasProducers ? { ...state, producers: this.#producers.entries() } : state;
  }

  #giveBack(pending: readonly PendingAppend[]): void {
    for (const { append } of pending) this.#room.giveBack(append.bytes.length);
  }
}
