/** Random numbers that a seed makes again (mulberry32). */
export class Random {
  readonly seed: number;
  #state: number;

  constructor(seed: number) {
    this.seed = seed >>> 0;
    this.#state = this.seed;
  }

  /** From the environment (`HTTPFSTREAM_SEED`), or another one each time. */
  static fromEnvironment(): Random {
    return new Random(Number(process.env.HTTPFSTREAM_SEED ?? Math.floor(Math.random() * 2 ** 32)));
  }

  /** The generator of one part, so that parts do not depend on each other's order. */
  fork(part: number): Random {
    return new Random(Math.imul(this.seed ^ Math.imul(part + 1, 0x9e3779b1), 0x85ebca6b));
  }

  /** At least 0, less than 1. */
  fraction(): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  }

  chance(probability: number): boolean {
    return this.fraction() < probability;
  }

  /** Both ends are included. */
  integer(min: number, max: number): number {
    return min + Math.floor(this.fraction() * (max - min + 1));
  }

  /** Small ones as often as large ones: each order of magnitude has the same chance. Both ends are included. */
  logInteger(min: number, max: number): number {
    return Math.min(max, Math.floor(min * ((max + 1) / min) ** this.fraction()));
  }

  pick<T>(list: readonly T[]): T {
    return list[this.integer(0, list.length - 1)] as T;
  }

  /** One of the keys, as often as its weight says. */
  pickWeighted<K extends string>(weights: Readonly<Partial<Record<K, number>>>): K {
    const entries = Object.entries(weights) as [K, number][];
    let rest = this.fraction() * entries.reduce((sum, [, weight]) => sum + weight, 0);
    for (const [key, weight] of entries) {
      rest -= weight;
      if (rest < 0) return key;
    }
    return (entries.at(-1) as [K, number])[0];
  }
}
