import type { Quarantine } from '../../../storage/journal/quarantine.ts';
import type { Tombstone } from '../../../storage/records/file-record.ts';
import { DURABLE, type Records } from '../../../storage/records/records.ts';
import type { StreamLink } from '../../../storage/records/stream-state.ts';
import type { Root } from '../../../storage/root/root.ts';
import { reasonOf } from '../../../storage/storage-failure.ts';
import { removeForks } from '../../streams/fork-links.ts';
import type { Findings } from './findings.ts';

/** What forks are checked with. */
export interface ForkCheckOptions {
  root: Root;
  records: Records;
  /** What cannot be brought up to date: it is there. */
  quarantine: Pick<Quarantine<never>, 'has'>;
  findings: Findings;
  /** Fingerprints of the files of which something is remembered. */
  known: ReadonlySet<string>;
}

/** Checks that what is remembered as a fork is there. */
export class ForkCheck {
  readonly #options: ForkCheckOptions;
  /** Fingerprints of streams that were deleted and live on in their forks. */
  readonly #tombstones = new Set<string>();

  constructor(options: ForkCheckOptions) {
    this.#options = options;
  }

  /** Checks the tombstones; those for which there is no reason any more go. */
  async checkTombstones(): Promise<void> {
    const { records, findings } = this.#options;
    for await (const { path, tombstone } of records.tombstones()) {
      if (tombstone !== undefined) this.#tombstones.add(tombstone.fingerprint);
      else {
        const aside = await records.copyTombstoneAside(path);
        await records.write((draft) => draft.deleteTombstone(path), DURABLE);
        findings.repaired(path, `was deleted, and for which forks it is kept is damaged; moved to ${aside}`);
      }
    }
    // One that goes may have been the last reason for another one.
    for (let isDone = false; !isDone; ) {
      isDone = true;
      for await (const { tombstone } of records.tombstones()) {
        if (tombstone !== undefined && (await this.#checkTombstone(tombstone))) isDone = false;
      }
    }
  }

  /** Checks what a stream remembers of its forks; after the tombstones. */
  async checkSource(fingerprint: string): Promise<void> {
    const { records, findings } = this.#options;
    try {
      const { path } = records.get(fingerprint) ?? { path: '' };
      const lost = this.#lostOf(records.forks({ path: '', fingerprint }));
      if (lost.size === 0) return;
      await records.write((draft) => removeForks(draft, { path: '', fingerprint }, lost), DURABLE);
      findings.repaired(path, `${lost.size} of its forks are no more; forgotten`);
    } catch (error) {
      findings.bad(fingerprint, `its forks cannot be checked (${reasonOf(error)})`);
    }
  }

  /** @returns whether it is gone */
  async #checkTombstone(tombstone: Tombstone): Promise<boolean> {
    const { root, records, findings } = this.#options;
    const { path, fingerprint } = tombstone;
    if (root.statAt(path)?.fingerprint === fingerprint) {
      await records.write((draft) => draft.deleteTombstone(path), DURABLE);
      this.#tombstones.delete(fingerprint);
      findings.repaired(path, 'was not deleted to the end, and lives; that it was deleted is forgotten');
      return true;
    }
    const forks = records.forks(tombstone);
    const lost = this.#lostOf(forks);
    if (lost.size === 0 && forks.length > 0) return false;
    const isFree = lost.size === forks.length;
    await records.write((draft) => {
      if (!isFree) removeForks(draft, tombstone, lost);
      // That of its own source is looked at by itself.
      else draft.deleteTombstone(path);
    }, DURABLE);
    if (!isFree) {
      findings.repaired(path, `${lost.size} of its forks are no more; forgotten`);
      return false;
    }
    this.#tombstones.delete(fingerprint);
    findings.repaired(path, 'was deleted, and none of its forks is left; its name is free');
    return true;
  }

  #lostOf(forks: readonly StreamLink[]): Set<string> {
    const lost = forks.filter((fork) => !this.#isThere(fork));
    return new Set(lost.map(({ fingerprint }) => fingerprint));
  }

  #isThere({ fingerprint }: StreamLink): boolean {
    const { known, quarantine } = this.#options;
    return known.has(fingerprint) || this.#tombstones.has(fingerprint) || quarantine.has(fingerprint);
  }
}
