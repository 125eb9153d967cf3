import type { ResourcePath } from '../wire/resource-path.ts';

/**
 * What may be done with a path: every read is `follow`; whatever only adds is `append` (sessions, POST, forms, PUT, the
 * close of a stream); `list` is for directories; `admin` is for the server's own pages, and has no path.
 */
export type Right = 'follow' | 'append' | 'list' | 'delete' | 'admin';

/** Who asks, as far as that is known. */
export interface Subject {
  /** Names it in logs and records: kind and name, as `token:ci`. Undefined of whoever brings no credential. */
  readonly name: string | undefined;
  /** When its credential expires, in milliseconds since 1970. Infinity: never. */
  readonly expiresMs: number;
  /** Whether it has a right, as the rules are now. */
  may(right: Right, path: ResourcePath): boolean;
}

/** Decides who is who. */
export interface Access {
  /**
   * Whose credential this is.
   *
   * @param token undefined of whoever brings none
   * @throws {UnauthorizedError} when it is malformed, unknown or expired
   */
  subjectOf(token: string | undefined): Subject;
  /**
   * Calls `listener` after the rules have changed: subjects are as they were made, see {@link renewed}.
   *
   * @returns to be called when it is to be called no more
   */
  onChange(listener: () => void): () => void;
  /** The same subject by the rules of now; undefined when its credential does not count any more. */
  renewed(subject: Subject): Subject | undefined;
  /**
   * Whether who has a name, of which there may be several credentials, expired ones among them, has a right by the rules
   * of now: what is kept for somebody who comes back is kept for a name.
   *
   * @param name undefined of whoever brings no credential
   */
  mayStill(name: string | undefined, right: Right, path: ResourcePath): boolean;
}
