import type { FastifyRequest } from 'fastify';
import type { Kind } from '../../core/directories.ts';
import { ANYBODY, isForAny, Permit, rightFor, type Use } from '../../core/permit.ts';
import type { Right, Subject } from '../../rights/access.ts';
import type { HttpfstreamError } from '../../wire/errors.ts';
import type { ResourcePath } from '../../wire/resource-path.ts';
import type { Bagged } from '../bag.ts';

/** What an application says of a right, when it is asked. */
export interface Authorizer {
  /** @throws what the application throws */
  ask(right: Right, path: ResourcePath): Promise<boolean>;
}

/** Why a request may not go on. */
export interface Withdrawal {
  /** Whether its credential has expired, so that it may come back with another one; else a right was taken away. */
  isExpired: boolean;
  /** What it is answered, if it was not answered yet. */
  error: HttpfstreamError;
}

const NONE: readonly Permit[] = [];

/** Who has sent a request, what that one may do, and what has been permitted for it. */
export class Admission implements Subject, Bagged {
  /** Among those that are under way. */
  bagIndex: number | undefined;
  #subject: Subject;
  readonly #authorizer: Authorizer | undefined;
  /** What the application has answered. */
  readonly #answers: Map<string, boolean> | undefined;
  /** What must still be allowed for the request to go on. */
  #permits: readonly Permit[] = NONE;
  #withdrawn: (withdrawal: Withdrawal) => void;

  /**
   * @param withdrawn ends the request, see {@link onWithdrawn}
   * @param authorizer whom to ask besides. Default: nobody
   */
  constructor(
    subject: Subject,
    withdrawn: (withdrawal: Withdrawal) => void = ignore,
    authorizer?: Authorizer,
  ) {
    this.#subject = subject;
    this.#withdrawn = withdrawn;
    this.#authorizer = authorizer;
    this.#answers = authorizer && new Map();
  }

  get subject(): Subject {
    return this.#subject;
  }

  /** Whether there are no rules. */
  get isFree(): boolean {
    return false;
  }

  /** Whether what is answered is for who has asked, and not for everybody. */
  get isPersonal(): boolean {
    return this.name !== undefined || this.#authorizer !== undefined;
  }

  get name(): string | undefined {
    return this.#subject.name;
  }

  get expiresMs(): number {
    return this.#subject.expiresMs;
  }

  may(right: Right, path: ResourcePath): boolean {
    if (!this.#subject.may(right, path)) return false;
    return this.#answers === undefined || this.#answers.get(`${right} ${path}`) === true;
  }

  /** Asks the application, if it wants to be asked, before the look whether something is permitted. */
  ask(use: Use, path: ResourcePath): Promise<void> | undefined {
    // It knows files by their names: what it does not allow by name is not allowed.
    if (isForAny(use)) return undefined;
    return this.#authorizer && this.#ask(this.#authorizer, use, path);
  }

  /** The permit for what may be done; undefined for what may not. */
  permit<U extends Use>(use: U, path: ResourcePath): Permit<U> | undefined {
    const permit = Permit.of(this, use, path);
    if (permit !== undefined) this.note(permit);
    return permit;
  }

  /** @throws what {@link Permit.require} throws */
  require<U extends Use>(use: U, path: ResourcePath): Permit<U> {
    const permit = Permit.require(this, use, path);
    this.note(permit);
    return permit;
  }

  /** Whether something is in a listing: a file of which `HEAD` would tell, a directory that may be listed. */
  shows(kind: Kind, path: ResourcePath): boolean | Promise<boolean> {
    if (this.#authorizer !== undefined) return this.#asksToShow(kind, path);
    return usesToShow(kind).some((use) => Permit.of(this, use, path) !== undefined);
  }

  /**
   * Has `withdrawn` called when the request may not go on.
   *
   * @returns to be called when that is for whoever was notified before again
   */
  onWithdrawn(withdrawn: (withdrawal: Withdrawal) => void): () => void {
    const before = this.#withdrawn;
    this.#withdrawn = withdrawn;
    return () => {
      this.#withdrawn = before;
    };
  }

  /** Judges the request by the rules of now. @returns whether it may go on */
  renew(subject: Subject): boolean {
    this.#subject = subject;
    return this.#permits.every(({ use, path }) => this.may(rightFor(use), path));
  }

  /** Ends the request. */
  withdraw(withdrawal: Withdrawal): void {
    this.#withdrawn(withdrawal);
  }

  protected note(permit: Permit): void {
    // A list that has room for more takes it for as long as a connection lasts.
    this.#permits = [...this.#permits, permit];
  }

  async #ask(authorizer: Authorizer, use: Use, path: ResourcePath): Promise<void> {
    const { right, named } = Permit.asked(use, path);
    const key = `${right} ${named}`;
    if (this.#answers?.has(key) === false && this.#subject.may(right, named)) {
      this.#answers.set(key, await authorizer.ask(right, named));
    }
  }

  async #asksToShow(kind: Kind, path: ResourcePath): Promise<boolean> {
    for (const use of usesToShow(kind)) {
      await this.ask(use, path);
      if (Permit.of(this, use, path) !== undefined) return true;
    }
    return false;
  }
}

/** Of all requests about which nothing is decided. */
class SharedAdmission extends Admission {
  override get isFree(): boolean {
    return this.subject === ANYBODY;
  }

  override onWithdrawn(): () => void {
    return ignore;
  }

  protected override note(): void {}
}

/** Where there are no rules. */
const FREE = new SharedAdmission(ANYBODY);

/** Until it is decided: what is forgotten then is refused. */
export const UNDECIDED = new SharedAdmission({ ...ANYBODY, may: () => false });

const ADMISSION = Symbol('admission');

type Admitted = FastifyRequest & { [ADMISSION]?: Admission };

/** Who has sent a request. */
export function admissionOf(request: Admitted): Admission {
  return request[ADMISSION] ?? FREE;
}

/** Notes who has sent a request. */
export function admit(request: Admitted, admission: Admission): void {
  request[ADMISSION] = admission;
}

function usesToShow(kind: Kind): readonly Use[] {
  return kind === 'directory' ? ['list'] : ['follow', 'append'];
}

function ignore(): void {}
