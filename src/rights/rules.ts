import type { ResourcePath } from '../wire/resource-path.ts';
import type { Right } from './access.ts';
import { PatternTree } from './path-pattern.ts';

/** Rights, and for which paths. */
export interface Rule {
  readonly rights: readonly Right[];
  /** Patterns: {@link parsePattern}. Missing of `admin`, which has no path. */
  readonly paths?: readonly string[];
}

/** A bit for each right. */
const BITS: Readonly<Record<Right, number>> = { follow: 1, append: 2, list: 4, delete: 8, admin: 16 };

/** All rights. */
export const RIGHTS = Object.keys(BITS) as Right[];

/** Whether rights that one path has are enough for one of them: made once, since each request asks. */
const GRANTS = Object.fromEntries(
  RIGHTS.map((right) => [right, (bits: number) => (bits & BITS[right]) !== 0]),
) as Record<Right, (bits: number) => boolean>;

/** Rules, which only allow: whatever one of them allows is allowed, in whatever order they are. */
export class Rules {
  readonly #tree = new PatternTree<number>();
  readonly #isAdmin: boolean;

  /** @throws {TypeError} when a pattern is none */
  constructor(rules: readonly Rule[]) {
    for (const { rights, paths = [] } of rules) {
      const bits = rights.reduce((sum, right) => sum | BITS[right], 0);
      for (const path of paths) this.#tree.add(path, bits);
    }
    this.#isAdmin = rules.some(({ rights }) => rights.includes('admin'));
  }

  allow(right: Right, path: ResourcePath): boolean {
    if (right === 'admin') return this.#isAdmin;
    const isDirectory = right === 'list' || path.trailingSlash || path.isRoot;
    return this.#tree.some(path, isDirectory, GRANTS[right]);
  }
}
