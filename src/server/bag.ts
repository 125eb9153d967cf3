/** What can be in a {@link Bag}, in one at a time. */
export interface Bagged {
  /** Where it is in its bag; undefined when it is in none. The bag sets it. */
  bagIndex: number | undefined;
}

/**
 * A set, in no order, of what comes and goes with each request. A `Set` makes a new table every few changes, and each
 * table refers to the next one and to what was in it then (V8's OrderedHashTable). So once one of them is old to the garbage
 * collector, all that follow become old, with the requests that were in them, and wait for a full collection.
 */
export class Bag<T extends Bagged> implements Iterable<T> {
  readonly #members: T[] = [];

  /** How many are in it. */
  get size(): number {
    return this.#members.length;
  }

  /** Puts something in, that is in none. */
  add(member: T): void {
    member.bagIndex = this.#members.push(member) - 1;
  }

  /** Whether something is in it. */
  has(member: T): boolean {
    return member.bagIndex !== undefined && this.#members[member.bagIndex] === member;
  }

  /** Takes something out. @returns whether it was in it */
  delete(member: T): boolean {
    const index = member.bagIndex;
    if (index === undefined || this.#members[index] !== member) return false;
    const last = this.#members.pop() as T;
    if (last !== member) {
      this.#members[index] = last;
      last.bagIndex = index;
    }
    member.bagIndex = undefined;
    return true;
  }

  /** Those that are in it; it must not be changed meanwhile. */
  [Symbol.iterator](): Iterator<T> {
    return this.#members[Symbol.iterator]();
  }
}
