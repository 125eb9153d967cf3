import type { FastifyRequest } from 'fastify';
import type { Kind } from '../../core/directories.ts';
import { ANYBODY, Permit, type Use } from '../../core/permit.ts';
import type { Subject } from '../../rights/access.ts';
import type { ResourcePath } from '../../wire/resource-path.ts';

/** Who has sent a request, and what that one may do. */
export class Admission {
  readonly #subject: Subject;

  constructor(subject: Subject) {
    this.#subject = subject;
  }

  /** The permit for what may be done; undefined for what may not. */
  permit<U extends Use>(use: U, path: ResourcePath): Permit<U> | undefined {
    return Permit.of(this.#subject, use, path);
  }

  /** @throws what {@link Permit.require} throws */
  require<U extends Use>(use: U, path: ResourcePath): Permit<U> {
    return Permit.require(this.#subject, use, path);
  }

  /** Whether something is in a listing: a file of which `HEAD` would tell, a directory that may be listed. */
  shows(kind: Kind, path: ResourcePath): boolean {
    const subject = this.#subject;
    if (kind === 'directory') return subject.may('list', path.asDirectory());
    return subject.may('follow', path) || subject.may('append', path);
  }
}

/** Of all requests where there are no rules. */
const FREE = new Admission(ANYBODY);

const ADMISSION = Symbol('admission');

/** Who has sent a request. */
export function admissionOf(request: FastifyRequest & { [ADMISSION]?: Admission }): Admission {
  return request[ADMISSION] ?? FREE;
}
