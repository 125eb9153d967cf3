import type { Verdict } from './verdict.ts';

/** Where a pull is. It goes forward only, and from `waiting` to `storing`. */
export type PullState =
  /** The server there is asked. */
  | { phase: 'asking' }
  /** It is not there, and is waited for. */
  | { phase: 'waiting' }
  /** It is appended to the copy, which can be read when enough is there to see what it is. */
  | { phase: 'storing'; isReadable: boolean; isConnected: boolean }
  /** It is known what becomes of it: the append ends, and the copy goes or stays. */
  | { phase: 'ending'; verdict: Verdict }
  /** Nothing more comes. */
  | { phase: 'over'; verdict: Verdict };

const ORDER: readonly PullState['phase'][] = ['asking', 'waiting', 'storing', 'ending', 'over'];

/** The state of a pull, and those who wait until it says what becomes of them. */
export class PullProgress {
  #state: PullState = { phase: 'asking' };
  #told: Promise<void> | undefined;
  #tell = () => {};

  get state(): PullState {
    return this.#state;
  }

  /** What has become of it, as soon as that is known. */
  get verdict(): Verdict | undefined {
    return 'verdict' in this.#state ? this.#state.verdict : undefined;
  }

  /**
   * Resolves when those who ask can be told something: anything but `asking`, and `storing` what can be read. Never
   * rejects.
   */
  get told(): Promise<void> {
    if (isTold(this.#state)) return Promise.resolve();
    this.#told ??= new Promise((resolve) => {
      this.#tell = resolve;
    });
    return this.#told;
  }

  /** Tells what becomes of it, before its append has ended. What was told first stays. */
  conclude(verdict: Verdict): void {
    this.become({ phase: 'ending', verdict });
  }

  /**
   * Goes to another state, unless it is beyond that. The first verdict stays.
   *
   * @returns whether it has
   */
  become(next: PullState): boolean {
    const { verdict } = this;
    if (ORDER.indexOf(next.phase) < ORDER.indexOf(this.#state.phase)) return false;
    if (verdict !== undefined && next.phase !== 'over') return false;
    this.#state = verdict !== undefined && next.phase === 'over' ? { phase: 'over', verdict } : next;
    if (isTold(this.#state)) {
      this.#tell();
      this.#told = undefined;
    }
    return true;
  }
}

function isTold(state: PullState): boolean {
  return state.phase === 'storing' ? state.isReadable : state.phase !== 'asking';
}
