import type { Access, Right, Subject } from '../../../src/rights/access.ts';
import { UnauthorizedError } from '../../../src/wire/errors.ts';
import type { ResourcePath } from '../../../src/wire/resource-path.ts';

/** Rights by path: `/a/**` is what is below the directory, and the directory; anything else is a path as it stands. */
export type Rules = Readonly<Record<string, readonly Right[]>>;

/** Who has a token. */
export interface TokenRules {
  /** Default: the token. */
  name?: string;
  /** Default: never. */
  expiresMs?: number;
  rules: Rules;
}

/** The rights that a test gives and takes. */
export class RuleAccess implements Access {
  readonly #listeners = new Set<() => void>();
  #anonymous: Subject;
  #tokens: ReadonlyMap<string, Subject>;

  constructor(tokens: Readonly<Record<string, TokenRules>>, anonymous: Rules = {}) {
    this.#anonymous = subjectOf(undefined, { rules: anonymous }, {});
    this.#tokens = subjectsOf(tokens, anonymous);
  }

  /** Replaces all rules. */
  change(tokens: Readonly<Record<string, TokenRules>>, anonymous: Rules = {}): void {
    this.#anonymous = subjectOf(undefined, { rules: anonymous }, {});
    this.#tokens = subjectsOf(tokens, anonymous);
    for (const listener of this.#listeners) listener();
  }

  subjectOf(token: string | undefined): Subject {
    const subject = token === undefined ? this.#anonymous : this.#tokens.get(token);
    if (subject === undefined || subject.expiresMs <= Date.now()) {
      throw new UnauthorizedError('the token is unknown, mistyped or expired');
    }
    return subject;
  }

  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  mayStill(name: string | undefined, right: Right, path: ResourcePath): boolean {
    const subjects = [this.#anonymous, ...this.#tokens.values()];
    return subjects.some((subject) => subject.name === name && subject.may(right, path));
  }

  renewed({ name }: Subject): Subject | undefined {
    if (name === undefined) return this.#anonymous;
    // One that has expired meanwhile is not somebody else's token of that name: the server sees when it expires.
    return [...this.#tokens.values()].find((subject) => subject.name === name);
  }
}

function subjectsOf(tokens: Readonly<Record<string, TokenRules>>, anonymous: Rules) {
  return new Map(
    Object.entries(tokens).map(([token, rules]) => [token, subjectOf(`token:${token}`, rules, anonymous)]),
  );
}

function subjectOf(
  token: string | undefined,
  { name, expiresMs, rules }: TokenRules,
  others: Rules,
): Subject {
  const all = [...Object.entries(rules), ...Object.entries(others)];
  return {
    name: name === undefined ? token : `token:${name}`,
    expiresMs: expiresMs ?? Number.POSITIVE_INFINITY,
    may: (right, path) => all.some(([pattern, rights]) => rights.includes(right) && matches(pattern, path)),
  };
}

function matches(pattern: string, path: ResourcePath): boolean {
  if (!pattern.endsWith('/**')) return pattern === path.toString();
  return path.toString().startsWith(pattern.slice(0, -2));
}
