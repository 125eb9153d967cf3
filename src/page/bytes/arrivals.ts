/** So many moments are kept: those of a day in which something comes each second. */
const MAX_MOMENTS = 86_400;

interface Moment {
  position: number;
  timeMs: number;
}

/** When bytes came that came live, to the second, by the server's clock. Of others nobody knows. */
export class Arrivals {
  #moments: Moment[] = [];

  /** Takes note that at `timeMs`, in milliseconds since 1970, there were so many bytes. */
  note(position: number, timeMs: number): void {
    const [last, before] = [this.#moments.at(-1), this.#moments.at(-2)];
    if (last !== undefined && position < last.position) return;
    // What came next did so after the last of those moments at which nothing had come.
    if (last?.position === position && before?.position === position) last.timeMs = timeMs;
    else this.#moments.push({ position, timeMs });
    if (this.#moments.length > MAX_MOMENTS) this.#moments = this.#moments.slice(MAX_MOMENTS / 4);
  }

  /** By when the byte at `position` had come, in milliseconds since 1970; undefined when that is not known. */
  of(position: number): number | undefined {
    let low = 0;
    let high = this.#moments.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#moments[middle]!.position <= position) low = middle + 1;
      else high = middle;
    }
    return low === 0 ? undefined : this.#moments[low]?.timeMs;
  }
}
