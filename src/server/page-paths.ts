import { randomBytes } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import type { FastifyRequest } from 'fastify';
import { RESERVED_SEGMENT } from '../storage/resource-path.ts';

const BELOW_A_KEY = new RegExp(`^${RESERVED_SEGMENT.replace('.', '\\.')}/page/[^/]+/`);

/** Types of which a browser makes a page that may load more: HTML, and what is XML. */
const PAGE = /html|xml/i;

/** Where in a browser pages are: in its window, or in a frame. */
const FRAMES: readonly unknown[] = ['document', 'iframe', 'frame'];

/**
 * The paths under which a browser shows what users have stored as pages: with a key in front that
 * nobody else knows. In its sandbox such a page is of no origin, so that the browser says of its
 * pictures and styles what it says of those of strangers' pages, and names no referrer. What lies
 * beside the page is below the key, too, and so is known to be for the page.
 */
export class PagePaths {
  readonly #key = `/${RESERVED_SEGMENT}/page/${randomBytes(18).toString('base64url')}`;
  readonly #start: string;

  /** @param prefix what stands before every resource's path in URLs; empty or `/…` */
  constructor(prefix: string) {
    this.#start = `${prefix}${this.#key}/`;
  }

  /** Whether a page that was shown by this server asks for something to show. */
  isForPage({ method, url = '', headers }: IncomingMessage): boolean {
    return method === 'GET' && headers.origin === undefined && url.startsWith(this.#start);
  }

  /** Whether a browser that is to show something of a type should ask for it below the key. */
  isToMove({ method, url, headers }: FastifyRequest, contentType: string): boolean {
    const isShown =
      method === 'GET' &&
      headers['sec-fetch-mode'] === 'navigate' &&
      FRAMES.includes(headers['sec-fetch-dest']);
    return isShown && PAGE.test(contentType) && !url.startsWith(this.#start);
  }

  /** The path below the key, without the prefix. */
  move(urlPath: string): string {
    return this.#key + urlPath;
  }
}

/** A path without a key in front, be it one of this server, or of one before it. */
export function withoutKey(path: string): string {
  return path.replace(BELOW_A_KEY, '');
}
