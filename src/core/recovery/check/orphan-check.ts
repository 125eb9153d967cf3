import type { FileStat } from '../../../storage/file-io.ts';
import type { Quarantine } from '../../../storage/journal/quarantine.ts';
import { type FileRecord, isDamaged } from '../../../storage/records/file-record.ts';
import { DURABLE, type Records } from '../../../storage/records/records.ts';
import type { Root } from '../../../storage/root/root.ts';
import { reasonOf } from '../../../storage/storage-failure.ts';
import { adopt, distrust, hasSizeOf } from '../adoption.ts';
import type { Findings } from './findings.ts';

/** What is said of a file that is at the path of one that was copied, and cannot be known for its copy. */
export function ofAnother(aside: string): string {
  return `what is remembered of it is of another moment than the copy, or of another file; moved to ${aside}; it has its type, and counts as interrupted`;
}

/** What is checked of what has no file. */
export interface OrphanCheckOptions {
  root: Root;
  records: Records;
  /** Whether the root was copied: a file that is not where it was may have been renamed before. */
  isCopied: boolean;
  /** What cannot be brought up to date. */
  quarantine: Pick<Quarantine<never>, 'has'>;
  findings: Findings;
  /** Fingerprints of the files of which something is remembered. */
  known: Set<string>;
}

/** Removes what is remembered of files that are gone. */
export class OrphanCheck {
  readonly #options: OrphanCheckOptions;

  constructor(options: OrphanCheckOptions) {
    this.#options = options;
  }

  /** @returns whether nothing kept any of it from being removed */
  async check(): Promise<boolean> {
    let isDone = true;
    const { records, quarantine, findings, known } = this.#options;
    for await (const { fingerprint, record } of records.files()) {
      // What a journal of its own has of it waits for a later check, …
      if (quarantine.has(fingerprint)) continue;
      // … and of one whose deletion may not survive a loss of power all is kept; that was reported.
      if (known.has(fingerprint) || records.isBeingRemoved(fingerprint)) continue;
      try {
        await this.#checkOrphan(fingerprint, record);
      } catch (error) {
        isDone = false;
        findings.bad(record.path || fingerprint, `cannot be removed (${reasonOf(error)})`);
      }
    }
    return isDone;
  }

  async #checkOrphan(fingerprint: string, record: FileRecord): Promise<void> {
    const { records, findings, isCopied } = this.#options;
    const where = record.path || fingerprint;
    const there = this.#statAt(record.path);
    const other = there?.fingerprint;
    // Moved there while the root was walked.
    if (other === fingerprint) {
      this.#options.known.add(fingerprint);
      return;
    }
    if (there !== undefined && isCopied && !this.#options.known.has(there.fingerprint)) {
      const aside = await records.copyAside(fingerprint);
      const adoption = { fingerprint, location: record.path, copy: there };
      await records.write((draft) => distrust(draft, adoption), DURABLE);
      this.#options.known.add(there.fingerprint);
      findings.bad(where, ofAnother(aside));
      return;
    }
    if (there !== undefined && this.#isCopy(there, record)) {
      const adoption = { fingerprint, location: record.path, copy: there };
      await records.write((draft) => adopt(draft, adoption), DURABLE);
      this.#options.known.add(there.fingerprint);
      findings.repaired(
        where,
        "is a copy of the file of which something is remembered; that is the copy's now",
      );
      return;
    }
    let what = 'is no more; what was remembered of it is removed';
    if (isDamaged(record) || other !== undefined || isCopied) {
      const aside = await records.copyAside(fingerprint);
      if (isDamaged(record))
        what = `what was remembered of it is damaged, and it is no more; moved to ${aside}`;
      else if (other === undefined)
        what = `is not in the copy; what was remembered of it is moved to ${aside}`;
      else what = `another file is there than the one of which this was remembered; moved to ${aside}`;
    }
    await records.write((draft) => draft.delete(fingerprint), DURABLE);
    findings.repaired(where, what);
  }

  /** Whether a file of which nothing is remembered is the one that was, from a backup for instance. */
  #isCopy({ fingerprint, size }: FileStat, record: FileRecord): boolean {
    return !this.#options.known.has(fingerprint) && !isDamaged(record) && hasSizeOf(record, size);
  }

  #statAt(location: string): FileStat | undefined {
    return location === '' ? undefined : this.#options.root.statAt(location);
  }
}
