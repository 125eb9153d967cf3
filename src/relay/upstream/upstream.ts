import { whyUnreachable } from '../../client/connection/cannot-connect.ts';
import { InvalidPathError, UpstreamError, UpstreamTimeoutError } from '../../wire/errors.ts';
import { ResourcePath } from '../../wire/resource-path.ts';
import { Reachability } from './reachability.ts';
import type { UpstreamOption } from './upstream-option.ts';

/** What a server is from which something comes: an httpfstream server, which is followed, or a plain HTTP server. */
export type UpstreamKind = 'httpfstream' | 'http';

/** For so long a server that was an httpfstream server counts as one, whatever answers in its place. */
const MEMORY_MS = 7 * 24 * 3_600_000;

/** How long it is believed that a server is a plain HTTP server: what is in front of it may have answered. */
const PLAIN_MS = 10_000;

/**
 * What may stand in a path for itself, and means something else to some servers when it is escaped (RFC 3986, section
 * 3.3).
 */
const FOR_ITSELF = /%(?:24|26|2B|2C|3A|3B|3D|40)/g;

/** What must not stand in a path for itself. */
const TO_ESCAPE = /[^\w.~!$&'()*+,;=:@%/-]/g;

/** Names that lead elsewhere, be it after an upstream has taken off what follows the semicolon. */
const DOTS = /^\.\.?(?:;.*)?$/;

/** A server from which a part of the tree comes. */
export class Upstream {
  /** The first names of the paths that come from there. */
  readonly #names: readonly string[];
  readonly #base: URL;
  /** Path of the base, without a slash at its end. */
  readonly #basePath: string;
  /** Of all requests to it: they may be secrets. */
  readonly headers: Readonly<Record<string, string>>;
  /** Whether users' own `Authorization` is passed on to it, if it is an httpfstream server. */
  readonly passesAuthorization: boolean;
  readonly reachability = new Reachability();
  /** When it was one last that is none now, in milliseconds since 1970. */
  #httpfstreamMs = Number.NEGATIVE_INFINITY;
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
    const isOld = this.#kind === 'http' && performance.now() - this.#knownAtMs > PLAIN_MS;
    return isOld ? undefined : this.#kind;
  }

  /**
   * One that was found to be an httpfstream server, also before a restart, stays that for a week: what
   * seems to be a plain HTTP server is in front of it.
   */
  set kind(kind: UpstreamKind | undefined) {
    if (this.#kind === 'httpfstream' || (this.wasHttpfstream && kind !== 'httpfstream')) return;
    this.#kind = kind;
    this.#knownAtMs = performance.now();
  }

  /**
   * What is told when something else has answered in the place of an httpfstream server. Until that answers, nobody
   * knows what it is.
   */
  notItself(cause?: unknown): UpstreamError {
    if (this.#kind === 'httpfstream') {
      this.#kind = undefined;
      this.#httpfstreamMs = Date.now();
    }
    return new UpstreamError(`${this.origin} has not answered itself`, { cause });
  }

  /**
   * Whether it is an httpfstream server, or was one within the last week, also before this process began, as far as
   * that was recalled.
   */
  get wasHttpfstream(): boolean {
    return this.#kind === 'httpfstream' || Date.now() - this.#httpfstreamMs < MEMORY_MS;
  }

  /**
   * @param knownMs when it was known to be an httpfstream server before this process began, in milliseconds since 1970
   */
  recallHttpfstream(knownMs: number): void {
    this.#httpfstreamMs = Math.max(this.#httpfstreamMs, knownMs);
  }

  /** The URL below which its paths are, without what must not be told. */
  get href(): string {
    return this.#base.href;
  }

  /** Scheme, host and port, for people. */
  get origin(): string {
    return this.#base.origin;
  }

  /** What is told when it cannot be reached. */
  unreachable(cause: unknown): UpstreamError {
    const why = whyUnreachable(cause, this.#base);
    const message = `${this.origin} cannot be reached${why === undefined ? '' : `: ${why}`}`;
    return new UpstreamError(message, { cause });
  }

  /** What is told when it does not answer. */
  timedOut(): UpstreamTimeoutError {
    return new UpstreamTimeoutError(`${this.origin} does not answer`);
  }

  /** What is told when what it sends breaks off. */
  broken(cause: unknown): UpstreamError | UpstreamTimeoutError {
    if (cause instanceof UpstreamError || cause instanceof UpstreamTimeoutError) return cause;
    return new UpstreamError(`${this.origin} has broken off`, { cause });
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
    return this.urlAt(urlPathOf(path), queryString);
  }

  /**
   * Where that is there which a request names, as it has written it: to plain HTTP servers `/a/b`, `/a%2Fb` and `/a//b` are
   * not the same.
   *
   * @param written a path that comes from there, not decoded
   * @param queryString with its question mark; empty without one
   * @throws {InvalidPathError} when it may lead somewhere else there
   */
  urlAt(written: string, queryString: string): URL {
    const names = escaped(written).split('/').slice(1);
    if (
      names.some((name) =>
        decodeURIComponent(name)
          .split(/[/\\]/)
          .some((part) => DOTS.test(part)),
      )
    ) {
      throw new InvalidPathError(
        'the path has segments with dots only, which the upstream may take for others',
      );
    }
    for (const name of this.#names) {
      while (names[0] === '') names.shift();
      if (decodeURIComponent(names.shift() ?? '') !== name) {
        throw new InvalidPathError(
          `the path must begin with /${this.#names.map(encodeURIComponent).join('/')}`,
        );
      }
    }
    const url = new URL(this.#base);
    url.pathname = `${this.#basePath}/${names.join('/')}`;
    url.search = queryString;
    return url;
  }

  /** Path here of what is there at a URL; undefined when that is none of its paths. */
  localPathOf(location: string): string | undefined {
    const base = this.#base.origin + this.#basePath;
    const rest = location.slice(base.length);
    if (!location.startsWith(base) || !/^(?:[/?#]|$)/.test(rest)) return undefined;
    return this.#names.map((name) => `/${encodeURIComponent(name)}`).join('') + rest || '/';
  }
}

/** Whether a path was written as it is asked for there by everybody. */
export function isCanonical(written: string, path: ResourcePath): boolean {
  return escaped(written) === urlPathOf(path);
}

function urlPathOf(path: ResourcePath): string {
  return path.toUrlPath().replace(FOR_ITSELF, decodeURIComponent);
}

/** Escapes what has to be, byte by byte. */
function escaped(written: string): string {
  return written
    .replace(TO_ESCAPE, (byte) => `%${Buffer.from(byte, 'latin1').toString('hex')}`)
    .replace(/%[\da-f]{2}/gi, (code) => code.toUpperCase());
}
