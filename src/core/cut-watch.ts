/** How many followers are remembered by where they are. */
const MAX_POSITIONS = 1000;

/** Remembers for which followers, who come back, a file was too short meanwhile, however long it is then. */
export class CutWatch {
  /** What it had at the last look, or a follower has seen of it. */
  #size: number;
  #sizeBeforeCut = 0;
  /** Where those are who come back, … */
  readonly #positions = new Set<number>();
  /** … and those who were beyond the end. */
  readonly #cutOff = new Set<number>();

  /** @param size what the file has */
  constructor(size: number) {
    this.#size = size;
  }

  /** How many bytes the file is known to have had before it was cut. */
  get sizeBeforeCut(): number {
    return this.#sizeBeforeCut;
  }

  /** Tells where somebody will be who comes back, and where he was before. */
  readTo(position: number, from: number | undefined): void {
    if (from !== undefined) this.#positions.delete(from);
    remember(this.#positions, position);
    this.#cutOff.delete(position);
    this.#size = Math.max(this.#size, position);
  }

  /** Begins a look at the size of the file, and returns what takes it in: what comes meanwhile, it need not have seen. */
  begin(): (size: number) => void {
    const known = this.#size;
    const positions = [...this.#positions];
    return (size) => {
      this.#size = size;
      if (size >= known) return;
      this.#sizeBeforeCut = known;
      for (const position of positions) {
        if (position <= size) continue;
        this.#positions.delete(position);
        remember(this.#cutOff, position);
      }
    };
  }

  /** Whether the file, which has `size` bytes now, was cut since somebody got to a position. */
  isCutFor(position: number, size: number): boolean {
    return this.#cutOff.has(position) || position > size;
  }
}

/** The oldest go. */
function remember(positions: Set<number>, position: number): void {
  positions.add(position);
  const [oldest] = positions;
  if (positions.size > MAX_POSITIONS) positions.delete(oldest as number);
}
