/** How many positions are remembered. */
const MAX_POSITIONS = 1000;

/**
 * Remembers for which followers that come back a file was too short meanwhile, however long it is then. They are told
 * apart by their positions only, so it is counted how many are at each.
 */
export class CutWatch {
  /** What it had at the last look, or a follower has seen of it. */
  #size: number;
  #sizeBeforeCut = 0;
  /** How many are where who come back, … */
  readonly #standing = new Map<number, number>();
  /** … and how many were where, beyond the end, and have not been told so. */
  readonly #cutOff = new Map<number, number>();
  /** How many have come where since a look began, for each that is under way. */
  readonly #arrivals = new Set<Map<number, number>>();

  /** @param size what the file has */
  constructor(size: number) {
    this.#size = size;
  }

  /** How many bytes the file is known to have had before it was cut. */
  get sizeBeforeCut(): number {
    return this.#sizeBeforeCut;
  }

  /** Tells where a follower will be that comes back, and where it was before. */
  readTo(position: number, from: number | undefined): void {
    if (from !== undefined) count(this.#standing, from, -1);
    count(this.#standing, position, 1);
    for (const arrivals of this.#arrivals) count(arrivals, position, 1);
    // All who were there before it was cut know that.
    if (this.#cutOff.get(position) === 0) this.#cutOff.delete(position);
    this.#size = Math.max(this.#size, position);
  }

  /** Counts a look at the file, which has just begun: what comes meanwhile, it need not have seen. */
  async observe<T extends { size: number }>(look: Promise<T>): Promise<T> {
    const known = this.#size;
    const arrivals = new Map<number, number>();
    this.#arrivals.add(arrivals);
    try {
      const seen = await look;
      this.#size = seen.size;
      if (seen.size < known) this.#cut(seen.size, known, arrivals);
      return seen;
    } finally {
      this.#arrivals.delete(arrivals);
    }
  }

  /**
   * Whether the file, which has `size` bytes now, was cut since somebody got to a position. Where some were before it
   * was cut, and others have got to since, those from before are taken to ask first: they have waited longer.
   */
  isCutFor(position: number, size: number): boolean {
    const unnotified = this.#cutOff.get(position);
    if (unnotified === undefined) return position > size;
    return position > size || unnotified > 0 || !this.#standing.has(position);
  }

  /**
   * Tells that a follower that was at a position knows that the file was cut. Should that not arrive, it is told again.
   */
  notified(position: number): void {
    const unnotified = this.#cutOff.get(position) ?? 0;
    remember(this.#cutOff, position, Math.max(0, unnotified - 1));
  }

  #cut(size: number, before: number, arrivals: ReadonlyMap<number, number>): void {
    this.#sizeBeforeCut = before;
    for (const [position, standing] of [...this.#standing]) {
      const gone = standing - (arrivals.get(position) ?? 0);
      if (position <= size || gone <= 0) continue;
      count(this.#standing, position, -gone);
      remember(this.#cutOff, position, (this.#cutOff.get(position) ?? 0) + gone);
    }
  }
}

function count(counts: Map<number, number>, position: number, change: number): void {
  const changed = (counts.get(position) ?? 0) + change;
  if (changed > 0) remember(counts, position, changed);
  else counts.delete(position);
}

/** The oldest go. */
function remember(counts: Map<number, number>, position: number, value: number): void {
  counts.delete(position);
  counts.set(position, value);
  const [oldest] = counts.keys();
  if (counts.size > MAX_POSITIONS) counts.delete(oldest as number);
}
