import { MAX_COPY_BYTES } from '../../token/copy-limit.ts';

/** What a page shows by an element of its own. */
export type MediaKind = 'image' | 'audio' | 'video';

/** How an element gets at what it shows. */
export type MediaSource =
  /** By itself: what is there, in any order. */
  | 'ranges'
  /** By itself, as it comes: an answer that ends when the append does. */
  | 'live'
  /** From a copy in the page. */
  | 'copy'
  /** Not yet: once it is whole, a copy can be made. */
  | 'wait'
  /** Not at all. */
  | 'none';

/**
 * Decides how an element gets at a resource. Elements send no tokens, so that what needs one is copied into the page,
 * which takes that it is whole and not too large.
 */
export function mediaSource({
  hasToken,
  isLive,
  size,
}: {
  /** Whether it is read with a token. */
  hasToken: boolean;
  isLive: boolean;
  /** Bytes. */
  size: number;
}): MediaSource {
  if (!hasToken) return isLive ? 'live' : 'ranges';
  if (size > MAX_COPY_BYTES) return 'none';
  return isLive ? 'wait' : 'copy';
}
