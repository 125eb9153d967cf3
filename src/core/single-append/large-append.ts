import type { AppendFile } from '../../storage/append-file.ts';
import type { RedoLog } from '../../storage/journal/redo-log.ts';
import { writeAtEnd } from '../write-at-end.ts';
import { LoneRecord } from './lone-record.ts';
import type { StreamRecord } from './stream-record.ts';

/**
 * An append whose bytes go to the file only: the log says first where they will
 * be, and when they are there, that they count.
 */
export class LargeAppend {
  readonly #record: StreamRecord;
  readonly #bytes: Buffer;
  readonly #before: LoneRecord;
  readonly #after: LoneRecord;

  constructor(log: RedoLog<StreamRecord>, record: StreamRecord, bytes: Buffer) {
    this.#record = record;
    this.#bytes = bytes;
    this.#before = new LoneRecord(log, { ...record, intent: true });
    this.#after = new LoneRecord(log, record);
  }

  /**
   * Makes it. Not while others are under way.
   *
   * @param secure makes what was written to the file as safe as it must be
   * @throws what went wrong; some of it may be in the file then
   */
  async make(file: AppendFile, secure: () => Promise<void>): Promise<void> {
    await this.#before.write();
    await writeAtEnd(file, this.#record.start, [this.#bytes]);
    await secure();
    await this.#after.write();
  }

  /**
   * Makes void what the log has of it.
   *
   * @throws when that cannot be done
   */
  async annul(): Promise<void> {
    // Last what says that the bytes may be cut off: without it the other would tell of bytes that are not there.
    await this.#after.annul();
    await this.#before.annul();
  }
}
