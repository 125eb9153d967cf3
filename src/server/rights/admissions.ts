import type { Access, Subject } from '../../rights/access.ts';
import { ForbiddenRightError, UnauthorizedError } from '../../wire/errors.ts';
import { Bag } from '../bag.ts';
import type { Admission, Withdrawal } from './admission.ts';

/** How many are judged before others have a turn. */
const SLICE = 1000;

/** More than a timer takes fires at once. */
const MAX_TIMER_MS = 2 ** 31 - 1;

const EXPIRED = new UnauthorizedError('the token has expired');
const REVOKED = new UnauthorizedError('the token does not count any more');

function takenFrom({ name }: Subject): UnauthorizedError | ForbiddenRightError {
  const message = 'the right was taken away';
  return name === undefined ? new UnauthorizedError(message) : new ForbiddenRightError(message);
}

/**
 * The requests that are under way, by who has sent them: what must not go on ends, when a credential expires or the
 * rules change. There is one timer for all, for the next credential that expires.
 */
export class Admissions {
  readonly #access: Access;
  readonly #bySubject = new Map<Subject, Bag<Admission>>();
  #timer: NodeJS.Timeout | undefined;
  #timerAtMs = Number.POSITIVE_INFINITY;
  #isJudging = false;
  #hasChanged = false;
  #isClosed = false;
  readonly #report: (error: unknown) => void;
  readonly #unsubscribe: () => void;

  /** @param report told when it fails to judge one, or to end it: the others are judged all the same */
  constructor(access: Access, report: (error: unknown) => void) {
    this.#access = access;
    this.#report = report;
    this.#unsubscribe = access.onChange(() => this.#changed());
  }

  /** Counts a request as under way. */
  add(admission: Admission): void {
    const { subject } = admission;
    const others = this.#bySubject.get(subject);
    if (others !== undefined) {
      others.add(admission);
      return;
    }
    const all = new Bag<Admission>();
    all.add(admission);
    this.#bySubject.set(subject, all);
    if (subject.expiresMs < this.#timerAtMs) this.#setTimer(subject.expiresMs);
  }

  /** To be called when it is over, at least once. */
  delete(admission: Admission): void {
    const { subject } = admission;
    const all = this.#bySubject.get(subject);
    if (all?.delete(admission) && all.size === 0) this.#bySubject.delete(subject);
  }

  /** Ends nothing any more. */
  close(): void {
    this.#isClosed = true;
    this.#unsubscribe();
    clearTimeout(this.#timer);
  }

  #changed(): void {
    this.#hasChanged = true;
    if (!this.#isJudging) void this.#judgeAll();
  }

  async #judgeAll(): Promise<void> {
    let count = 0;
    this.#isJudging = true;
    while (this.#hasChanged && !this.#isClosed) {
      this.#hasChanged = false;
      for (const [before, admissions] of [...this.#bySubject]) {
        for (const admission of [...admissions]) {
          if (admissions.has(admission)) this.#judge(admission, before);
          if (++count % SLICE === 0) await new Promise(setImmediate);
        }
      }
    }
    this.#isJudging = false;
  }

  #judge(admission: Admission, before: Subject): void {
    this.delete(admission);
    let withdrawal: Withdrawal | undefined = { isExpired: false, error: REVOKED };
    try {
      const subject = this.#access.renewed(before);
      const isExpired = before.expiresMs <= Date.now();
      if (subject === undefined) withdrawal = { isExpired, error: isExpired ? EXPIRED : REVOKED };
      else if (admission.renew(subject)) withdrawal = undefined;
      else withdrawal = { isExpired: false, error: takenFrom(subject) };
    } catch (error) {
      // Of whom nothing is known nothing is allowed.
      this.#report(error);
    }
    if (withdrawal === undefined) this.add(admission);
    else this.#withdraw(admission, withdrawal);
  }

  #withdraw(admission: Admission, withdrawal: Withdrawal): void {
    try {
      admission.withdraw(withdrawal);
    } catch (error) {
      this.#report(error);
    }
  }

  #expire(): void {
    this.#timerAtMs = Number.POSITIVE_INFINITY;
    const now = Date.now();
    let nextMs = Number.POSITIVE_INFINITY;
    for (const [{ expiresMs }, admissions] of [...this.#bySubject]) {
      if (expiresMs > now) {
        nextMs = Math.min(nextMs, expiresMs);
        continue;
      }
      for (const admission of [...admissions]) {
        this.delete(admission);
        this.#withdraw(admission, { isExpired: true, error: EXPIRED });
      }
    }
    if (nextMs < Number.POSITIVE_INFINITY) this.#setTimer(nextMs);
  }

  #setTimer(atMs: number): void {
    if (this.#isClosed || atMs === Number.POSITIVE_INFINITY) return;
    clearTimeout(this.#timer);
    this.#timerAtMs = atMs;
    const delayMs = Math.min(Math.max(0, atMs - Date.now()), MAX_TIMER_MS);
    this.#timer = setTimeout(() => this.#expire(), delayMs).unref();
  }
}
