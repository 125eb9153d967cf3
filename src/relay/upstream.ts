import { ResourcePath } from '../wire/resource-path.ts';
import { Reachability } from './reachability.ts';
import type { UpstreamOption } from './upstream-option.ts';

/** What a server is from which something comes: one of ours, which is followed, or any other. */
export type UpstreamKind = 'ours' | 'foreign';

/** How long it is believed that a server is none of ours: what is in front of it may have answered. */
const FOREIGN_MS = 10_000;

/** A server from which a part of the tree comes. */
export class Upstream {
  /** The first names of the paths that come from there. */
  readonly #names: readonly string[];
  readonly #base: URL;
  /** Path of the base, without a slash at its end. */
  readonly #basePath: string;
  /** Of all requests to it: they may be secrets. */
  readonly headers: Readonly<Record<string, string>>;
  /** Whether users' own `Authorization` is passed on to it, if it is one of ours. */
  readonly passesAuthorization: boolean;
  readonly reachability = new Reachability();
  #kind: UpstreamKind | undefined;
  #knownAtMs = 0;

  constructor({ prefix, url, headers, passesAuthorization }: UpstreamOption) {
    this.#names = ResourcePath.parse(prefix).segments;
    this.#base = url;
    this.headers = headers;
    this.passesAuthorization = passesAuthorization;
    this.#basePath = url.pathname.replace(/\/+$/, '');
  }

  /** What it is, as far as that is known. */
  get kind(): UpstreamKind | undefined {
    const isOld = this.#kind === 'foreign' && performance.now() - this.#knownAtMs > FOREIGN_MS;
    return isOld ? undefined : this.#kind;
  }

  /** One that was found to be one of ours stays that: what seems to be another one is in front of it. */
  set kind(kind: UpstreamKind | undefined) {
    if (this.#kind === 'ours') return;
    this.#kind = kind;
    this.#knownAtMs = performance.now();
  }

  /** Scheme, host and port, for people. */
  get origin(): string {
    return this.#base.origin;
  }

  /** How many names its paths have in common. */
  get depth(): number {
    return this.#names.length;
  }

  /** Whether a path comes from there. */
  covers({ segments }: ResourcePath): boolean {
    return this.#names.every((name, i) => segments[i] === name);
  }

  /**
   * Where a path is there.
   *
   * @param queryString with its question mark; empty without one
   */
  urlOf(path: ResourcePath, queryString = ''): URL {
    const url = new URL(this.#base);
    const rest = path
      .toUrlPath()
      .split('/')
      .slice(1 + this.#names.length);
    url.pathname = `${this.#basePath}/${rest.join('/')}`;
    url.search = queryString;
    return url;
  }

  /** Path here of what is there at a URL; undefined when that is none of its paths. */
  localPathOf(location: string): string | undefined {
    const base = this.#base.origin + this.#basePath;
    if (!location.startsWith(`${base}/`)) return undefined;
    return this.#names.map((name) => `/${encodeURIComponent(name)}`).join('') + location.slice(base.length);
  }
}
