import type { ResourcePath } from '../../wire/resource-path.ts';

/** Who appends under a name. */
export interface Named {
  readonly path: ResourcePath;
}

/** The names under which somebody appends, by directory: nobody has to go through all sessions for those in one. */
export class LiveNames {
  readonly #directories = new Map<string, Set<Named>>();

  add(named: Named): void {
    const directory = directoryOf(named);
    const others = this.#directories.get(directory) ?? new Set();
    this.#directories.set(directory, others.add(named));
  }

  /** Idempotent. */
  delete(named: Named): void {
    const directory = directoryOf(named);
    const others = this.#directories.get(directory);
    others?.delete(named);
    if (others?.size === 0) this.#directories.delete(directory);
  }

  /** Those in a directory, not in what is below it. */
  *in({ key }: ResourcePath): Generator<string, void, undefined> {
    for (const { path } of this.#directories.get(key) ?? []) yield path.segments.at(-1) as string;
  }
}

function directoryOf({ path }: Named): string {
  return path.upTo(path.segments.length - 1).key;
}
