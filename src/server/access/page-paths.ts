import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import type { FastifyRequest } from 'fastify';
import { StreamQuery } from '../../wire/durable-streams.ts';
import { QueryName, VERB_HEADER, VERB_QUERY } from '../../wire/protocol.ts';
import { RESERVED_SEGMENT, ResourcePath } from '../../wire/resource-path.ts';
import { hasParameter } from '../request/target.ts';

const BELOW_A_KEY = new RegExp(`^${RESERVED_SEGMENT.replace('.', '\\.')}/page/(?<key>[^/]+)/`);

const SECRET_BYTES = 32;
const KEY_BYTES = 18;

/** Types of which a browser makes a page that may load more: HTML, and what is XML. */
const PAGE = /html|xml/i;

/** Where in a browser pages are: in its window, or in a frame. */
const FRAMES: readonly unknown[] = ['document', 'iframe', 'frame'];

/** What a page loads to show it. Not among them: other pages in frames, and what scripts fetch. */
const PARTS: readonly unknown[] = ['image', 'style', 'script', 'font', 'audio', 'video', 'track'];

/** What makes more of a read than a read. */
const OWN_PARAMETERS: ReadonlySet<string> = new Set([
  VERB_QUERY,
  ...Object.values(QueryName),
  ...Object.values(StreamQuery),
]);

/**
 * The paths under which a browser shows what users have stored as pages: with a key in front. In its
 * sandbox such a page is of no origin, so that the browser says of its pictures and styles what it
 * says of those of strangers' pages, and names no referrer. What lies beside the page is below the
 * key, too, and so is known to be for the page.
 *
 * A page may run scripts and so give away its key. Therefore each directory has a key of its own,
 * which holds for what is below that and is good for loading parts of a page: not for pages in
 * frames, following, or writing. What remains: a stored page can make the files of its directory (or
 * of one above, if a page there has led to it) loadable by strangers. Those see how large a picture
 * is, and what a script does, and read nothing.
 */
export class PagePaths {
  readonly #secret = randomBytes(SECRET_BYTES);

  /** Whether a page that was shown by this server asks for something to show. */
  isForPage(request: FastifyRequest): boolean {
    const { headers } = request;
    if (headers.origin !== undefined || !PARTS.includes(headers['sec-fetch-dest'])) return false;
    return this.#isBelowItsKey(request);
  }

  /** Whether a browser that is to show something of a type should ask for it below the key. */
  isToMove(request: FastifyRequest, contentType: string): boolean {
    return isShown(request) && PAGE.test(contentType) && !this.#isBelowItsKey(request);
  }

  /** The path of a page below the key of its directory, without the prefix. */
  move(page: ResourcePath): string {
    const depth = page.trailingSlash || page.isRoot ? page.segments.length : page.segments.length - 1;
    return `/${RESERVED_SEGMENT}/page/${this.#keyOf(page.upTo(depth))}${page.toUrlPath()}`;
  }

  /**
   * Whether the key in front of the path is that of a directory into which the path leads, and all that is wanted is
   * to read.
   */
  #isBelowItsKey(request: FastifyRequest): boolean {
    const key = BELOW_A_KEY.exec(wildcardOf(request))?.groups?.key;
    if (key === undefined || !isPlainRead(request)) return false;
    const path = parsed(wildcardOf(request).replace(BELOW_A_KEY, ''));
    return path !== undefined && isEqual(key, this.#keyOf(path.upTo(Number.parseInt(key, 10))));
  }

  /** How deep the directory is, so that it is known which one, and what nobody else can make. */
  #keyOf({ segments, key }: ResourcePath): string {
    const code = createHmac('sha256', this.#secret).update(key).digest();
    return `${segments.length}.${code.toString('base64url', 0, KEY_BYTES)}`;
  }
}

/**
 * The path below the prefix as the client sent it, with its escapes decoded once; of a plain read
 * without a key in front, be it one of this server, or of one before it.
 */
export function withoutKey(request: FastifyRequest): string {
  const path = wildcardOf(request);
  return isPlainRead(request) ? path.replace(BELOW_A_KEY, '') : path;
}

/** Whether there is a key in front of the path of a plain read. */
export function hasKey(request: FastifyRequest): boolean {
  return withoutKey(request) !== wildcardOf(request);
}

function wildcardOf({ params }: FastifyRequest): string {
  return (params as { '*': string })['*'];
}

function isPlainRead(request: FastifyRequest): boolean {
  const { method, ws, headers } = request;
  if ((method !== 'GET' && method !== 'HEAD') || ws || headers[VERB_HEADER] !== undefined) return false;
  return !hasParameter(request, OWN_PARAMETERS);
}

/** Whether a browser asks for what is to be in its window, or in a frame. */
function isShown({ method, headers }: FastifyRequest): boolean {
  return (
    method === 'GET' && headers['sec-fetch-mode'] === 'navigate' && FRAMES.includes(headers['sec-fetch-dest'])
  );
}

/** Undefined for what is no path. */
function parsed(path: string): ResourcePath | undefined {
  try {
    return ResourcePath.parse(path);
  } catch {
    return undefined;
  }
}

function isEqual(text: string, expected: string): boolean {
  const bytes = Buffer.from(text);
  const wanted = Buffer.from(expected);
  return bytes.length === wanted.length && timingSafeEqual(bytes, wanted);
}
