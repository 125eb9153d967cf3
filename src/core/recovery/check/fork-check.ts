import type { SidecarStore } from '../../../storage/records/sidecar-store.ts';
import type { StreamLink } from '../../../storage/records/stream-state.ts';
import type { Tombstone, Tombstones } from '../../../storage/records/tombstones.ts';
import type { Root } from '../../../storage/root.ts';
import { reasonOf } from './file-check.ts';
import type { Findings } from './findings.ts';

/** What forks are checked with. */
export interface ForkCheckOptions {
  root: Root;
  sidecars: SidecarStore;
  tombstones: Tombstones;
  findings: Findings;
  /** Fingerprints of the files of which something is remembered. */
  known: ReadonlySet<string>;
}

/** Checks that whoever is remembered as a fork is there. */
export class ForkCheck {
  readonly #options: ForkCheckOptions;
  /** Fingerprints of streams that were deleted and live on in their forks. */
  readonly #buried = new Set<string>();

  constructor(options: ForkCheckOptions) {
    this.#options = options;
  }

  /** Checks the tombstones; those for which there is no reason any more go. */
  async checkTombstones(): Promise<void> {
    const { root, tombstones, findings } = this.#options;
    for await (const { name, tombstone } of tombstones.all()) {
      if (tombstone !== undefined) this.#buried.add(tombstone.fingerprint);
      else {
        const aside = await tombstones.setAside(name, root.own('aside'));
        findings.repaired(name, `is damaged; moved to ${aside}`);
      }
    }
    // One that goes may have been the last reason for another one.
    for (let isDone = false; !isDone; ) {
      isDone = true;
      for await (const { tombstone } of tombstones.all()) {
        if (tombstone !== undefined && (await this.#checkTombstone(tombstone))) isDone = false;
      }
    }
  }

  /** Checks what a stream remembers of its forks; after the tombstones. */
  async checkSource(fingerprint: string): Promise<void> {
    const { sidecars, findings } = this.#options;
    try {
      const sidecar = await sidecars.read(fingerprint);
      const stream = sidecar?.stream;
      if (stream?.forks === undefined) return;
      const forks = stream.forks.filter((fork) => this.#isThere(fork));
      const goneCount = stream.forks.length - forks.length;
      if (goneCount === 0) return;
      const change = () => ({ ...sidecar, path: sidecar?.path ?? '', stream: { ...stream, forks } });
      await sidecars.update(fingerprint, change, { durable: true });
      findings.repaired(sidecar?.path ?? fingerprint, `${goneCount} of its forks are no more; forgotten`);
    } catch (error) {
      findings.bad(fingerprint, `its forks cannot be checked (${reasonOf(error)})`);
    }
  }

  /** @returns whether it is gone */
  async #checkTombstone(tombstone: Tombstone): Promise<boolean> {
    const { tombstones, findings, known } = this.#options;
    const { path, fingerprint } = tombstone;
    if (known.has(fingerprint)) {
      await tombstones.remove(path);
      this.#buried.delete(fingerprint);
      findings.repaired(path, 'was not deleted to the end, and lives; that it was deleted is forgotten');
      return true;
    }
    const forks = tombstone.forks.filter((fork) => this.#isThere(fork));
    if (forks.length === tombstone.forks.length && forks.length > 0) return false;
    if (forks.length > 0) {
      await tombstones.write({ ...tombstone, forks }, { durable: true });
      findings.repaired(path, `${tombstone.forks.length - forks.length} of its forks are no more; forgotten`);
      return false;
    }
    await tombstones.remove(path);
    this.#buried.delete(fingerprint);
    findings.repaired(path, 'was deleted, and none of its forks is left; its name is free');
    return true;
  }

  #isThere({ fingerprint }: StreamLink): boolean {
    return this.#options.known.has(fingerprint) || this.#buried.has(fingerprint);
  }
}
