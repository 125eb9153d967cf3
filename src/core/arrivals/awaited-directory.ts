import type { ResourcePath } from '../../wire/resource-path.ts';

/** A path that is waited for. */
export interface Awaited {
  readonly resource: ResourcePath;
}

/** A directory that is there, in which the next name on the way to what is waited for will appear. */
export class AwaitedDirectory<T extends Awaited> {
  readonly resource: ResourcePath;
  /** What it was like when nothing that is waited for was in it. */
  seen: string | undefined;
  readonly #names = new Map<string, Set<T>>();

  constructor(resource: ResourcePath) {
    this.resource = resource;
  }

  /** Whether nothing is waited for here. */
  get isEmpty(): boolean {
    return this.#names.size === 0;
  }

  /** What is waited for here, by the names that will appear. */
  get names(): ReadonlyMap<string, ReadonlySet<T>> {
    return this.#names;
  }

  add(awaited: T): void {
    const name = this.#nameOf(awaited);
    const others = this.#names.get(name);
    if (others === undefined) this.#names.set(name, new Set([awaited]));
    else others.add(awaited);
    // Nobody has looked for it yet.
    this.seen = undefined;
  }

  delete(awaited: T): void {
    const name = this.#nameOf(awaited);
    const others = this.#names.get(name);
    others?.delete(awaited);
    if (others?.size === 0) this.#names.delete(name);
  }

  #nameOf({ resource }: T): string {
    return resource.segments[this.resource.segments.length] as string;
  }
}
