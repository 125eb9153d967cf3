/** How often it is looked again, in milliseconds, while somebody sees the page. */
const LOOK_MS = 10_000;

/** Looks from time to time what has become of what nobody tells of: at once when somebody comes back to the page. */
export class Poll {
  readonly #look: () => Promise<void>;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #isOn = false;

  /** `look` never rejects. */
  constructor(look: () => Promise<void>) {
    this.#look = look;
    document.addEventListener('visibilitychange', () => this.#schedule(0));
  }

  set isOn(isOn: boolean) {
    if (isOn === this.#isOn) return;
    this.#isOn = isOn;
    this.#schedule(LOOK_MS);
  }

  /** Looks at once: something says that it is not what it was. */
  lookNow(): void {
    this.#schedule(0);
  }

  #schedule(delayMs: number): void {
    clearTimeout(this.#timer);
    if (!this.#isOn || document.hidden) return;
    this.#timer = setTimeout(() => {
      void this.#look().then(() => this.#schedule(LOOK_MS));
    }, delayMs);
  }
}
