import { ForbiddenPathError, InvalidPathError } from './errors.ts';

/** First segment of the server's own files below the root; no URL can name it. */
export const RESERVED_SEGMENT = '.httpfstream';

const MAX_SEGMENT_BYTES = 255;
const MAX_PATH_BYTES = 4000;

// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is refused
const CONTROL_CHARACTER = /[\u0000-\u001f\u007f]/;

/**
 * The path of a URL below the root: normalised, so that joining the segments to a
 * directory cannot leave it. A pure value; whether anything is there, and whether a
 * symlink leads out, is up to the storage.
 */
export class ResourcePath {
  /** The names from the root down, none of them empty, `.` or `..`; no names for the root itself. */
  readonly segments: readonly string[];
  /** Whether the path ended in a slash, which asks for a directory. */
  readonly trailingSlash: boolean;

  private constructor(segments: readonly string[], trailingSlash: boolean) {
    this.segments = segments;
    this.trailingSlash = trailingSlash;
  }

  /**
   * Normalises a path: `.` and empty segments are dropped, `..` drops the segment before
   * it and stops at the root. Everything else is literal.
   *
   * @param decoded the path with its percent-escapes decoded exactly once
   * @throws {InvalidPathError} for control characters and over-long names
   * @throws {ForbiddenPathError} for the server's own directory
   */
  static parse(decoded: string): ResourcePath {
    const path = ResourcePath.parseAny(decoded);
    path.assertNamesFit();
    return path;
  }

  /**
   * As {@link parse}, with names of any length: what is on an upstream may have them.
   *
   * @throws {InvalidPathError} {@link ForbiddenPathError}
   */
  static parseAny(decoded: string): ResourcePath {
    if (CONTROL_CHARACTER.test(decoded)) throw new InvalidPathError('the path has a control character');

    const segments: string[] = [];
    for (const segment of decoded.split('/')) {
      if (segment === '..') segments.pop();
      else if (segment !== '' && segment !== '.') segments.push(segment);
    }
    if (Buffer.byteLength(decoded) > MAX_PATH_BYTES) {
      throw new InvalidPathError(`the path is longer than ${MAX_PATH_BYTES} bytes`);
    }
    if (segments[0]?.toLowerCase() === RESERVED_SEGMENT) {
      throw new ForbiddenPathError('the path is reserved for the server');
    }
    return new ResourcePath(segments, segments.length > 0 && decoded.endsWith('/'));
  }

  /**
   * Checks that its names can be those of files.
   *
   * @throws {InvalidPathError} when one of them is too long
   */
  assertNamesFit(): void {
    if (this.segments.some((segment) => Buffer.byteLength(segment) > MAX_SEGMENT_BYTES)) {
      throw new InvalidPathError(`a name in the path is longer than ${MAX_SEGMENT_BYTES} bytes`);
    }
  }

  get isRoot(): boolean {
    return this.segments.length === 0;
  }

  /** The ancestor with the first `depth` names; the root at 0. */
  upTo(depth: number): ResourcePath {
    return new ResourcePath(this.segments.slice(0, depth), false);
  }

  /** Something in the directory. @param name one that a directory has: without a slash */
  child(name: string): ResourcePath {
    return new ResourcePath([...this.segments, name], false);
  }

  /** As the name of a file: without a slash at its end. */
  asFile(): ResourcePath {
    return this.trailingSlash ? new ResourcePath(this.segments, false) : this;
  }

  /** As the name of a directory: with a slash at its end, unless it is the root. */
  asDirectory(): ResourcePath {
    return this.trailingSlash || this.isRoot ? this : new ResourcePath(this.segments, true);
  }

  /** The same for all paths that name the same file. */
  get key(): string {
    return this.segments.join('/');
  }

  /** The normalised path as people write it: `/a/b`, `/a/b/`, `/`. Not percent-encoded. */
  toString(): string {
    return `/${this.segments.join('/')}${this.trailingSlash ? '/' : ''}`;
  }

  /** The normalised path, percent-encoded for a URL. */
  toUrlPath(): string {
    return this.toString().split('/').map(encodeURIComponent).join('/');
  }
}
