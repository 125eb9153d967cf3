import type { RedoRecord } from '../../storage/journal/redo-record.ts';
import type { StreamState } from '../../storage/records/stream-state.ts';
import type { RepairFile } from '../../storage/repair-file.ts';
import { Producers } from '../single-append/producers.ts';
import type { StreamRecord } from '../single-append/stream-record.ts';

/** Makes the appends again that a log has of one stream, in order, and those that the stream has not only once. */
export class StreamReplay {
  readonly #before: StreamState;
  readonly #producers: Producers;
  #after: StreamState;
  /** Bytes in the file. */
  #size: number;
  /** Says where the last bytes would be, if they had been told to be there. */
  #intent: StreamRecord | undefined;
  #isTorn = false;

  /**
   * @param state what the disk has of the stream
   * @param size of the file
   */
  constructor(state: StreamState, size: number) {
    const { producers, ...known } = state;
    this.#before = state;
    this.#producers = new Producers(producers);
    this.#after = known;
    this.#size = size;
  }

  /** Whether records are missing or the file lacks bytes, so that nothing more can be made. */
  get isTorn(): boolean {
    return this.#isTorn;
  }

  /** Whether there is more than the disk had. */
  get hasChanged(): boolean {
    return this.#after.version !== this.#before.version;
  }

  /** The stream with all that was made. */
  get state(): StreamState {
    if (this.#before.producers === undefined) return this.#after;
    return { ...this.#after, producers: this.#producers.entries() };
  }

  /** Makes one append, if the stream does not have it. */
  async make({ header, payload }: RedoRecord<StreamRecord>, file: RepairFile): Promise<void> {
    const { version, start, length, seq, producer, closed } = header;
    if (this.#isTorn || version <= this.#after.version) return;
    if (!this.#canMake(header, payload.length)) {
      this.#isTorn = true;
      return;
    }
    this.#intent = header.intent ? header : undefined;
    if (header.intent) return;
    // Also what is there: the disk may have lost what the system still has.
    if (payload.length > 0) {
      await file.writeAt(start, payload);
      this.#size = Math.max(this.#size, start + length);
    }
    this.#after = {
      ...this.#after,
      version,
      size: start + length,
      ...(seq !== undefined && { seq }),
      ...(closed && { closed, ...(producer && { closedBy: producer }) }),
    };
    if (producer !== undefined) {
      const [id, epoch, number] = producer;
      this.#producers.set(id, { id, epoch, seq: number });
    }
  }

  /**
   * Cuts off what was under way, and nobody was told that it was made.
   *
   * @returns whether there was any of it
   */
  async finish(file: RepairFile): Promise<boolean> {
    const intent = this.#intent;
    if (intent === undefined) return false;
    const isThere = this.#size > intent.start && this.#size <= intent.start + intent.length;
    if (isThere) await file.truncate(intent.start);
    return isThere;
  }

  #canMake({ version, start, length, intent }: StreamRecord, payloadBytes: number): boolean {
    const isInFile = length > 0 && payloadBytes === 0 && !intent;
    const end = isInFile ? start + length : start;
    return version === this.#after.version + 1 && end <= this.#size;
  }
}
