import type { Right, Subject } from '../rights/access.ts';
import { ForbiddenRightError, UnauthorizedError } from '../wire/errors.ts';
import type { ResourcePath } from '../wire/resource-path.ts';

/**
 * What a permit is for: a right; or something with a directory:
 * `form`, to append to files of it, each of which needs its own;
 * `index`, to read what an upstream shows for it;
 * `append-any` and `follow-any`, to do that with whatever file of it, by names that are not known here.
 */
export type Use = Right | 'form' | 'index' | 'append-any' | 'follow-any';

/** As the name of a file in a path it is matched by what means all names, and by nothing else: no pattern can name it. */
const ANY_NAME = '*';

/** In place of what a permit is for: anything. */
const OWN = 'own';

/** May do everything: who asks where there are no rules. */
export const ANYBODY: Subject = { name: undefined, expiresMs: Number.POSITIVE_INFINITY, may: () => true };

/**
 * That somebody may do something with a path. Every look-up takes one, in place of the path, and nobody else can make
 * one: what was not decided does not compile.
 */
export class Permit<U extends Use = Use> {
  /** Of a directory, with a slash at its end, for `list`, `form` and `index`; else of a file, without one. */
  readonly path: ResourcePath;
  readonly use: U;
  /** Private, so that nothing else has the shape of a permit. */
  readonly #subject: Subject;

  private constructor(path: ResourcePath, use: U, subject: Subject) {
    this.path = path;
    this.use = use;
    this.#subject = subject;
  }

  /** Who has asked. */
  get subject(): Subject {
    return this.#subject;
  }

  /** Whether it is enough to read what is in a file. */
  get isToRead(): boolean {
    return this.use === 'follow' || (this.use as string) === OWN;
  }

  /** What has to be allowed: a right, and the name of a file or a directory. */
  static asked(use: Use, path: ResourcePath): { right: Right; named: ResourcePath } {
    return { right: rightFor(use), named: namedBy(use, path) };
  }

  /** The permit for what a subject may do; undefined if it may not. */
  static of<U extends Use>(subject: Subject, use: U, path: ResourcePath): Permit<U> | undefined {
    const { right, named } = Permit.asked(use, path);
    return subject.may(right, named) ? new Permit(named, use, subject) : undefined;
  }

  /**
   * As {@link of}.
   *
   * @throws {UnauthorizedError} when it may not, and has brought no credential
   * @throws {ForbiddenRightError} when it may not
   */
  static require<U extends Use>(subject: Subject, use: U, path: ResourcePath): Permit<U> {
    const permit = Permit.of(subject, use, path);
    if (permit === undefined) throw refusalOf(subject, use);
    return permit;
  }

  /** For what the server does by itself: recovery, sessions whose appenders may come back, sweeps, copies. */
  static own(path: ResourcePath): Permit<never> {
    return new Permit(path, OWN as never, ANYBODY);
  }
}

/** The right that something needs. */
export function rightFor(use: Use): Right {
  if (use === 'form' || use === 'append-any') return 'append';
  return use === 'index' || use === 'follow-any' ? 'follow' : use;
}

function namedBy(use: Use, path: ResourcePath): ResourcePath {
  if (isForAny(use)) return path.child(ANY_NAME);
  return use === 'list' || use === 'form' || use === 'index' ? path.asDirectory() : path.asFile();
}

/** Whether something may be done with whatever file of a directory. */
export function isForAny(use: Use): boolean {
  return use === 'append-any' || use === 'follow-any';
}

/**
 * What a subject is told that may not do something: the same whether or not anything is there. */
export function refusalOf({ name }: Subject, use: Use): UnauthorizedError | ForbiddenRightError {
  const right = rightFor(use);
  return name === undefined
    ? new UnauthorizedError(`the right to ${right} here needs a token`)
    : new ForbiddenRightError(`the token does not give the right to ${right} here`);
}
