/** What a check has found, printed as it is found. */
export class Findings {
  readonly #print: (line: string) => void;
  #repaired = 0;
  #bad = 0;

  /** @param print is given a line for each finding */
  constructor(print: (line: string) => void) {
    this.#print = print;
  }

  /** How many were put right, with nothing lost. */
  get repairedCount(): number {
    return this.#repaired;
  }

  /** How many could not be put right, or not without a loss. */
  get badCount(): number {
    return this.#bad;
  }

  /** Counts and prints what was put right. */
  repaired(where: string, what: string): void {
    this.#repaired++;
    this.#print(`${where}: ${what}`);
  }

  /** Counts and prints what was lost, or could not be put right. */
  bad(where: string, what: string): void {
    this.#bad++;
    this.#print(`${where}: ${what}`);
  }
}
