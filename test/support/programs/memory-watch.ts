import { readFileSync } from 'node:fs';

const INTERVAL_MS = 20;

/** Watches how much memory of its own a process has. Linux only. */
export class MemoryWatch {
  readonly #pid: number;
  readonly #isWarm: () => boolean;
  readonly #timer: NodeJS.Timeout;
  #warmBytes = 0;
  #peakBytes = 0;
  #samples = 0;

  /** @param isWarm returns true from when on growth counts: until then the heap finds its size */
  constructor(pid: number, isWarm: () => boolean) {
    this.#pid = pid;
    this.#isWarm = isWarm;
    this.#timer = setInterval(() => this.#sample(), INTERVAL_MS);
    this.#sample();
  }

  /** By how much it grew at most since it was warm, in bytes. Ends the watch. */
  growthBytes(): number {
    clearInterval(this.#timer);
    if (this.#samples < 5) throw new Error('the process was too fast to be watched');
    return this.#peakBytes - this.#warmBytes;
  }

  #sample(): void {
    const bytes = residentBytes(this.#pid);
    if (bytes === undefined) return;
    if (this.#isWarm()) this.#samples++;
    else this.#warmBytes = Math.max(this.#warmBytes, bytes);
    this.#peakBytes = Math.max(this.#peakBytes, bytes);
  }
}

/** Undefined when the process has ended. */
function residentBytes(pid: number): number | undefined {
  try {
    const kibibytes = /VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
    return kibibytes === undefined ? undefined : Number(kibibytes) * 1024;
  } catch {
    return undefined;
  }
}
