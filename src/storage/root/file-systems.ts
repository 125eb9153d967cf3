import fs from 'node:fs';

/** Whether the system tells each change of a name once: others put several into one, or tell what is written as one. */
export const NOTIFIES_EACH_CHANGE: boolean = process.platform === 'linux';

/**
 * File systems that tell what happens in a directory, whoever does it: ext2 to 4, XFS, Btrfs, ZFS, F2FS, tmpfs,
 * overlayfs.
 */
const NOTIFYING = new Set([0xef53, 0x58465342, 0x9123683e, 0x2fc12fc1, 0xf2f52010, 0x01021994, 0x794c7630]);

/**
 * Which file systems there are below a root, by the numbers of their devices, and which of them tell what happens in
 * their directories. A thread asks them, so that one that does not answer holds up nobody; until it has, it tells
 * nothing.
 */
export class FileSystems {
  readonly #notifying = new Map<bigint, boolean>();
  /** Those that have not answered yet: they get no second question. */
  readonly #asked = new Set<bigint>();

  /** Knows that of a directory from the beginning, if it answers. */
  static async of(directory: string): Promise<FileSystems> {
    const fileSystems = new FileSystems();
    await fileSystems.#look(directory);
    return fileSystems;
  }

  /** Whether one tells all that happens, as far as that is known. */
  notifiesAll(device: bigint): boolean {
    return this.#notifying.get(device) ?? false;
  }

  /**
   * Finds out what a file system is: another one may have the number of one that was there before.
   *
   * @param device of a directory, …
   * @param directory … which is asked about
   * @param changed called when more is known than before
   */
  ask(device: bigint, directory: string, changed: () => void): void {
    if (this.#asked.has(device)) return;
    this.#asked.add(device);
    const before = this.notifiesAll(device);
    void this.#look(directory).then(() => {
      this.#asked.delete(device);
      if (this.notifiesAll(device) !== before) changed();
    });
  }

  /** Never rejects: of what has gone meanwhile nobody wants to know. */
  async #look(directory: string): Promise<void> {
    try {
      const { type } = await fs.promises.statfs(directory);
      const { dev } = await fs.promises.stat(directory, { bigint: true });
      this.#notifying.set(dev, NOTIFIES_EACH_CHANGE && NOTIFYING.has(type));
    } catch {}
  }
}
