import type { ExpiryIndex } from '../../storage/expiry-index.ts';
import { removeLeftOver } from '../../storage/left-overs.ts';
import { ResourcePath } from '../../storage/resource-path.ts';
import type { Root } from '../../storage/root.ts';
import { isDamaged, type SidecarStore } from '../../storage/sidecar-store.ts';
import { reasonOf } from './file-check.ts';
import type { Findings } from './findings.ts';

/** What is checked of what has no file. */
export interface OrphanCheckOptions {
  root: Root;
  sidecars: SidecarStore;
  expiring: ExpiryIndex;
  findings: Findings;
  /** Fingerprints of the files of which something is remembered. */
  known: Set<string>;
}

/** Removes what is remembered of files that are no more. */
export class OrphanCheck {
  readonly #options: OrphanCheckOptions;

  constructor(options: OrphanCheckOptions) {
    this.#options = options;
  }

  async check(): Promise<void> {
    const { sidecars, expiring, findings, known } = this.#options;
    for await (const { name, fingerprint } of sidecars.all()) {
      try {
        if (fingerprint === undefined) {
          await removeLeftOver(name);
          findings.repaired(name, 'was not written to its end; removed');
        } else if (!known.has(fingerprint)) await this.#checkOrphan(fingerprint, name);
      } catch (error) {
        findings.bad(name, `cannot be removed (${reasonOf(error)})`);
      }
    }
    for await (const fingerprint of expiring.fingerprints()) {
      if (known.has(fingerprint)) continue;
      await expiring.remove(fingerprint);
      findings.repaired(fingerprint, 'noted to be deleted in time, and is no more; removed');
    }
  }

  async #checkOrphan(fingerprint: string, name: string): Promise<void> {
    const { root, sidecars, findings } = this.#options;
    const sidecar = await sidecars.read(fingerprint);
    const where = sidecar?.path || name;
    const other = await this.#fingerprintAt(sidecar?.path);
    // Moved there while the root was walked.
    if (other === fingerprint) {
      this.#options.known.add(fingerprint);
      return;
    }
    let what = 'is no more; what was remembered of it is removed';
    if (isDamaged(sidecar) || other !== undefined) {
      const aside = await sidecars.copyAside(fingerprint, root.own('aside'));
      what = isDamaged(sidecar)
        ? `is damaged; moved to ${aside}`
        : // It may be a copy of the file, from a backup for instance, and this all that is known of it.
          `another file is there than the one of which this was remembered; moved to ${aside}`;
    }
    await sidecars.remove(fingerprint);
    findings.repaired(where, what);
  }

  async #fingerprintAt(location: string | undefined): Promise<string | undefined> {
    try {
      return location ? (await this.#options.root.stat(ResourcePath.parse(location))).fingerprint : undefined;
    } catch {
      return undefined;
    }
  }
}
