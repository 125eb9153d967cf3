import type { ProducerEntry } from '../../storage/records/stream-state.ts';
import { InvalidRequestError, ProducerFencedError, ProducerGapError } from '../../wire/errors.ts';

/** How many producers a stream remembers; beyond that the one that has been idle for longest is evicted. */
const MAX_PRODUCERS = 10_000;

/** … or when their names are longer than this together: they are written down at each checkpoint. */
const MAX_NAMES_LENGTH = 1024 * 1024;

/** A request of an idempotent producer. */
export interface ProducerRequest {
  id: string;
  epoch: number;
  seq: number;
}

/** What the producers of a stream have brought last (Durable Streams protocol, section 5.2.1). */
export class Producers {
  /** Those that came last at the end. */
  readonly #last = new Map<string, ProducerRequest>();
  #namesLength = 0;

  constructor(entries: readonly ProducerEntry[] = []) {
    for (const [id, epoch, seq] of entries) this.set(id, { id, epoch, seq });
  }

  /** The last request of a producer that counted. */
  get(id: string): ProducerRequest | undefined {
    return this.#last.get(id);
  }

  /** Remembers a request; undefined forgets the producer. */
  set(id: string, request: ProducerRequest | undefined): void {
    this.#forget(id);
    if (request === undefined) return;
    this.#last.set(id, request);
    this.#namesLength += id.length;
    while (this.#last.size > MAX_PRODUCERS || this.#namesLength > MAX_NAMES_LENGTH) {
      this.#forget(this.#last.keys().next().value as string);
    }
  }

  /**
   * Whether a request was made before.
   *
   * @throws {ProducerFencedError} when a newer producer of the same name has come
   * @throws {ProducerGapError} when a request before it is missing
   * @throws {InvalidRequestError} when a new epoch does not begin at 0
   */
  isRepeated({ id, epoch, seq }: ProducerRequest): boolean {
    this.assertNotFenced(id, epoch);
    const last = this.#last.get(id);
    if (last === undefined || epoch > last.epoch) {
      if (seq === 0) return false;
      if (last === undefined) throw new ProducerGapError(0, seq);
      throw new InvalidRequestError('a new Producer-Epoch begins with Producer-Seq 0');
    }
    if (seq > last.seq + 1) throw new ProducerGapError(last.seq + 1, seq);
    return seq <= last.seq;
  }

  /** @throws {ProducerFencedError} when a newer producer of the same name has come */
  assertNotFenced(id: string, epoch: number): void {
    const last = this.#last.get(id);
    if (last !== undefined && epoch < last.epoch) throw new ProducerFencedError(last.epoch);
  }

  /** What is remembered of them. */
  entries(): ProducerEntry[] {
    return Array.from(this.#last.values(), ({ id, epoch, seq }) => [id, epoch, seq]);
  }

  #forget(id: string): void {
    if (this.#last.delete(id)) this.#namesLength -= id.length;
  }
}
