import type { FileStat } from '../../../storage/file-io.ts';
import type { ExpiryIndex } from '../../../storage/records/expiry-index.ts';
import { removeLeftOver } from '../../../storage/records/left-overs.ts';
import { isDamaged, type Sidecar, type SidecarStore } from '../../../storage/records/sidecar-store.ts';
import type { Root } from '../../../storage/root.ts';
import { ResourcePath } from '../../../wire/resource-path.ts';
import { expiryMs } from '../../streams/stream-expiry.ts';
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
    const there = await this.#statAt(sidecar?.path);
    const other = there?.fingerprint;
    // Moved there while the root was walked.
    if (other === fingerprint) {
      this.#options.known.add(fingerprint);
      return;
    }
    if (there !== undefined && sidecar !== undefined && this.#isCopy(there, sidecar)) {
      await this.#adopt(there, sidecar, fingerprint);
      findings.repaired(
        where,
        "is a copy of the file of which something is remembered; that is the copy's now",
      );
      return;
    }
    let what = 'is no more; what was remembered of it is removed';
    if (isDamaged(sidecar) || other !== undefined) {
      const aside = await sidecars.copyAside(fingerprint, root.own('aside'));
      what = isDamaged(sidecar)
        ? `is damaged; moved to ${aside}`
        : `another file is there than the one of which this was remembered; moved to ${aside}`;
    }
    await sidecars.remove(fingerprint);
    findings.repaired(where, what);
  }

  /** Whether a file of which nothing is remembered is the one that was, from a backup for instance. */
  #isCopy({ fingerprint, size }: FileStat, sidecar: Sidecar): boolean {
    const isAlone = !this.#options.known.has(fingerprint) && !isDamaged(sidecar);
    return isAlone && size === Math.max(sidecar.stream?.size ?? 0, sidecar.append?.end ?? 0);
  }

  /** Remembers of a copy what is remembered of the file; its positions keep their names. */
  async #adopt(copy: FileStat, sidecar: Sidecar, fingerprint: string): Promise<void> {
    const { sidecars, expiring, known } = this.#options;
    const generation = Number(fingerprint.slice(fingerprint.indexOf('-') + 1));
    const stream = sidecar.stream && { generation, ...sidecar.stream };
    await sidecars.write(copy.fingerprint, { ...sidecar, ...(stream && { stream }) }, { durable: true });
    const endMs = stream && expiryMs(stream, Date.now());
    if (endMs !== undefined) {
      await expiring.add({ fingerprint: copy.fingerprint, path: sidecar.path }, endMs);
    }
    known.add(copy.fingerprint);
    await sidecars.remove(fingerprint);
  }

  async #statAt(location: string | undefined): Promise<FileStat | undefined> {
    try {
      return location ? await this.#options.root.stat(ResourcePath.parse(location)) : undefined;
    } catch {
      return undefined;
    }
  }
}
