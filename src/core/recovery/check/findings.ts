/** What a check has found, told as it is found. */
export class Findings {
  readonly #tell: (line: string) => void;
  #repaired = 0;
  #bad = 0;

  /** @param tell is given a line for each finding */
  constructor(tell: (line: string) => void) {
    this.#tell = tell;
  }

  /** How many were put right, with nothing lost. */
  get repairedCount(): number {
    return this.#repaired;
  }

  /** How many could not be put right, or not without a loss. */
  get badCount(): number {
    return this.#bad;
  }

  /** Tells what was put right. */
  repaired(where: string, what: string): void {
    this.#repaired++;
    this.#tell(`${where}: ${what}`);
  }

  /** Tells what was lost, or could not be put right. */
  bad(where: string, what: string): void {
    this.#bad++;
    this.#tell(`${where}: ${what}`);
  }
}
