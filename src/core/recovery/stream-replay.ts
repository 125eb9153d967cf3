import type { JournalEntry } from '../../storage/journal/entry.ts';
import type { StreamState } from '../../storage/records/stream-state.ts';
import type { RepairFile } from '../../storage/stored-file.ts';
import type { FileEntry } from '../log/file-entry.ts';
import { Producers } from '../log/producers.ts';

/** So many bytes of a copy are those that the journal has, or all of it, before anything is written to it. */
const MIN_COMPARED_BYTES = 16;

/** Replays the appends that the journal has of one stream, in order, but for those that it has already. */
export class StreamReplay {
  readonly #before: StreamState;
  readonly #producers: Producers;
  #after: StreamState;
  readonly #sizeBefore: number;
  /** Bytes in the file. */
  #size: number;
  /** Says where the last bytes would be, if it had been said that they are there. */
  #intent: FileEntry | undefined;
  readonly #isCopied: boolean;
  #isTorn = false;
  #hasRuns = false;
  /** How many bytes of a copy are those that the journal has, … */
  #comparedBytes = 0;
  /** … and up to which position that was looked at. */
  #comparedTo = 0;

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
    this.#sizeBefore = size;
    this.#size = size;
  }

  /** Whether entries are missing, or the file lacks bytes, or is a copy that has others: nothing more can be replayed. */
  get isTorn(): boolean {
    return this.#isTorn;
  }

  /** Whether a copy has something else than the journal, or what that does not say is whole. */
  get differs(): boolean {
    return this.#isTorn || this.unfinished !== undefined;
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
    if (this.#isTorn) return;
    if (version <= this.#after.version) {
      if (this.#isCopied && !header.intent) await this.#complete(start, payload, file);
      return;
    }
    if (!this.#canMake(header, payload.length) || !(await this.#mayWrite(start, payload, file))) {
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
   * Makes sure that the file has what a session has brought. What is there by now is left as it is, unless the
   * disk has lost it: another program may have written it.
   */
  async makeRun(start: number, payload: Buffer, file: RepairFile): Promise<void> {
    this.#hasRuns = true;
    if (this.#isCopied) {
      await this.#complete(start, payload, file);
      return;
    }
    // What lies before it is gone: the file was cut.
    if (start > this.#size) return;
    const there = await file.read(start, payload.length);
    if (there.equals(payload) || !isLeftOf(payload, there)) return;
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

  /** What a copy is to have, whatever is remembered, which may be of a later moment. */
  async #complete(start: number, payload: Buffer, file: RepairFile): Promise<void> {
    this.#isTorn ||= start > this.#size || !(await this.#mayWrite(start, payload, file));
    if (this.#isTorn) return;
    await file.writeAt(start, payload);
    this.#size = Math.max(this.#size, start + payload.length);
  }

  /** Of a copy only what goes on with bytes that the journal has, too: nothing else shows that it is the file. */
  async #mayWrite(start: number, payload: Buffer, file: RepairFile): Promise<boolean> {
    if (!this.#isCopied || payload.length === 0) return true;
    const there = await file.read(start, payload.length);
    if (!there.equals(payload.subarray(0, there.length))) return false;
    const end = start + there.length;
    this.#comparedBytes += Math.max(end - Math.max(start, this.#comparedTo), 0);
    this.#comparedTo = Math.max(this.#comparedTo, end);
    const isKnown = this.#comparedBytes >= Math.max(Math.min(MIN_COMPARED_BYTES, this.#sizeBefore), 1);
    return isKnown || there.length === payload.length;
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
