/** How long the system may take to answer, in milliseconds. */
const PATIENCE_MS = 1000;

/**
 * Asks the system what it may take long to say: what a disk has left, for one that hangs. There is one question at a
 * time, since each holds one of few threads.
 */
export class PatientLook<T> {
  readonly #look: () => Promise<T>;
  #underWay: Promise<T | undefined> | undefined;

  constructor(look: () => Promise<T>) {
    this.#look = look;
  }

  /** What it says; undefined when it says nothing, or not soon enough. */
  async take(): Promise<T | undefined> {
    this.#underWay ??= this.#look()
      .catch(() => undefined)
      .finally(() => {
        this.#underWay = undefined;
      });
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<undefined>((resolve) => {
      timer = setTimeout(resolve, PATIENCE_MS, undefined);
    });
    try {
      return await Promise.race([this.#underWay, late]);
    } finally {
      clearTimeout(timer);
    }
  }
}
