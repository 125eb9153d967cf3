import type { JournalEntry } from '../../storage/journal/entry.ts';
import type { StreamState } from '../../storage/records/stream-state.ts';
import type { RepairFile } from '../../storage/stored-file.ts';
import type { FileEntry } from '../log/file-entry.ts';
import { Producers } from '../log/producers.ts';

/** Replays the appends that the journal has of one stream, in order, but for those that it has already. */
export class StreamReplay {
  readonly #before: StreamState;
  readonly #producers: Producers;
  #after: StreamState;
  /** Bytes in the file. */
  #size: number;
  /** Says where the last bytes would be, if it had been said that they are there. */
  #intent: FileEntry | undefined;
  readonly #isCopied: boolean;
  #isTorn = false;
  #hasRuns = false;
  #fits = false;

  /**
   * @param state what the disk has of the stream
   * @param size of the file
   * @param isCopied whether that is a copy of the file, as far as is known: bytes in it that are not those that the
   *   journal has are left as they are. Default: false
   */
  constructor(state: StreamState, size: number, isCopied = false) {
    this.#isCopied = isCopied;
    const { producers, ...known } = state;
    this.#before = state;
    this.#producers = new Producers(producers);
    this.#after = known;
    this.#size = size;
  }

  /** Whether entries are missing, or the file lacks bytes, or is a copy that has others: nothing more can be replayed. */
  get isTorn(): boolean {
    return this.#isTorn;
  }

  /**
   * Whether a copy has what the journal has, or ends where that goes on: false when it has something else, undefined
   * when the journal does not say.
   */
  get fits(): boolean | undefined {
    if (this.#isTorn || this.unfinished !== undefined) return false;
    return this.#fits || undefined;
  }

  /** Whether sessions have brought bytes, which the file may have in the system's memory only. */
  get hasRuns(): boolean {
    return this.#hasRuns;
  }

  /** Whether there is more than the disk had. */
  get hasChanged(): boolean {
    return this.#after.version !== this.#before.version;
  }

  /** The stream with all that was replayed. */
  get state(): StreamState {
    if (this.#before.producers === undefined) return this.#after;
    return { ...this.#after, producers: this.#producers.entries() };
  }

  /** Replays one append, if the stream does not have it. */
  async make({ header, payload }: JournalEntry<FileEntry>, file: RepairFile): Promise<void> {
    const { version, start, length, seq, producer, closed } = header;
    if (this.#isTorn || version <= this.#after.version) return;
    if (!this.#canMake(header, payload.length) || !(await this.#mayWrite(start, payload, file))) {
      this.#isTorn = true;
      return;
    }
    this.#intent = header.intent ? header : undefined;
    if (header.intent) return;
    this.#fits ||= payload.length > 0 || start + length === this.#size;
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
   * Makes sure that the file has what a session has brought. What is there by now is left as it is, unless the
   * disk has lost it: another program may have written it.
   */
  async makeRun(start: number, payload: Buffer, file: RepairFile): Promise<void> {
    this.#hasRuns = true;
    // What lies before it is gone: the file was cut.
    if (start > this.#size) return;
    const there = await file.read(start, payload.length);
    const isLeft = this.#isCopied
      ? there.equals(payload.subarray(0, there.length))
      : isLeftOf(payload, there);
    if (there.equals(payload) || !isLeft) return;
    await file.writeAt(start, payload);
    this.#size = Math.max(this.#size, start + payload.length);
  }

  /**
   * Position from which on the file may have what was under way, and nobody got to know that it was made; undefined
   * when it has none of it. Another program may have written it as well.
   */
  get unfinished(): number | undefined {
    const intent = this.#intent;
    if (intent === undefined) return undefined;
    const isThere = this.#size > intent.start && this.#size <= intent.start + intent.length;
    return isThere ? intent.start : undefined;
  }

  async #mayWrite(start: number, payload: Buffer, file: RepairFile): Promise<boolean> {
    if (!this.#isCopied || payload.length === 0) return true;
    const there = await file.read(start, payload.length);
    return there.equals(payload.subarray(0, there.length));
  }

  #canMake({ version, start, length, intent }: FileEntry, payloadBytes: number): boolean {
    const isInFile = length > 0 && payloadBytes === 0 && !intent;
    const end = isInFile ? start + length : start;
    return version === this.#after.version + 1 && end <= this.#size;
  }
}

/** Whether this is what a disk may have left of bytes that it had: their beginning, or zeros in place of them. */
function isLeftOf(bytes: Buffer, left: Buffer): boolean {
  for (const [i, byte] of left.entries()) if (byte !== 0 && byte !== bytes[i]) return false;
  return true;
}
