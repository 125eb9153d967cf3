import { isIPv4 } from 'node:net';
import { hostname } from 'node:os';

/**
 * Below these nobody can have a name of their own that leads wherever they like: they are kept for
 * this machine (RFC 6761), its network (RFC 6762, RFC 8375, ICANN for `.internal`), and tests (RFC 6761).
 */
const RESERVED = ['.localhost', '.local', '.home.arpa', '.internal', '.test'];

/**
 * The names under which a server is reached. Whoever has a domain can make it
 * lead to any address, so that for a browser the server there is of the same
 * origin as their pages (DNS rebinding); it still says which name it asked for.
 */
export class AllowedHosts {
  readonly #names: ReadonlySet<string>;
  readonly #suffixes: readonly string[];
  readonly #isForAll: boolean;

  /**
   * @param names served beside addresses, names of one label, names that nobody can register, and this machine's own;
   *   `*.example.com` stands for all below it, `*` for all
   */
  constructor(names: readonly string[]) {
    const lowered = names.map((name) => name.toLowerCase().replace(/\.$/, ''));
    this.#names = new Set([hostname().toLowerCase(), ...lowered]);
    this.#suffixes = [
      ...RESERVED,
      ...lowered.filter((name) => name.startsWith('*.')).map((name) => name.slice(1)),
    ];
    this.#isForAll = names.includes('*');
  }

  /** @param name in lower case, without a dot at its end */
  has(name: string): boolean {
    const isAddress = isIPv4(name) || name.startsWith('[');
    return (
      this.#isForAll ||
      isAddress ||
      !name.includes('.') ||
      this.#names.has(name) ||
      this.#suffixes.some((suffix) => name.endsWith(suffix))
    );
  }
}
