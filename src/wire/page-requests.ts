/**
 * What pages ask of a resource besides its bytes, by the value of `?view`, and what is answered. Browser-safe.
 */

/** `?view=index`: how many line feeds each block of a file has, as 32-bit numbers, little-endian, from a block on. */
export const INDEX_VIEW = 'index';

/** Query parameters of {@link INDEX_VIEW}. */
export const IndexQueryName = {
  /** Number of the first block. */
  block: 'block',
} as const;

/** Response headers of {@link INDEX_VIEW}. */
export const IndexHeader = {
  /** When this is another one the bytes are others, and so may be all numbers. */
  generation: 'index-generation',
  /** How long a block is, in bytes. */
  blockBytes: 'index-block-bytes',
  /** Up to where in the file the numbers of this answer reach, in bytes: the last block may be known in part. */
  position: 'index-position',
  /** How many bytes of the file count. When it is the position, all is known. */
  size: 'index-size',
} as const;

/**
 * `?view=append`: whether who asks may append, now or when nobody else does. The answer is 204, whose `Allow` names `POST` for
 * who may. Nothing is made by asking.
 */
export const APPEND_VIEW = 'append';

/** `?view=search`: where something is in a file, as {@link SearchLine lines} of JSON. */
export const SEARCH_VIEW = 'search';

/** Query parameters of {@link SEARCH_VIEW}. */
export const SearchQueryName = {
  /** What is searched for. */
  text: 'q',
  /** `literal` (the default), or `regex`: a regular expression as JavaScript has them, in each line by itself. */
  mode: 'mode',
  /** `smart` (the default: sensitive when there is a capital letter), `sensitive`, `insensitive`. */
  case: 'case',
  /** Position where to begin, in bytes. Default: 0. */
  from: 'from',
  /** `both` (the default: what is near comes first), `forward`, `backward`. */
  direction: 'direction',
  /** How many matches at most. */
  limit: 'limit',
  /** `match` (the default), or `line`: only the first match of each line. */
  per: 'per',
} as const;

/** Response headers of {@link SEARCH_VIEW}, besides the one with the generation. */
export const SearchHeader = {
  /** How many bytes the file has, of which no more are searched. */
  size: 'search-size',
} as const;

/** A match, by positions in the file. */
export interface SearchMatch {
  at: number;
  /** In bytes, those of colours inside included. */
  length: number;
  /** Where its line begins, and ends, without the line feed; of one longer than 64 KiB, so much around it. */
  lineStart: number;
  lineEnd: number;
}

/** From the first position up to but not including the second one. */
export type SearchedRange = readonly [number, number];

/** Why a search is over: all was searched, there are more matches than are wanted, it took too long, or the regular expression is none. */
export type SearchEndReason = 'complete' | 'limit' | 'deadline' | 'invalid';

/** A line of the answer: a match; first, and every now and then, how far it is; last, why and where it has ended. */
export type SearchLine =
  | SearchMatch
  | { progress: SearchedRange; count: number }
  | { end: SearchEndReason; searched: SearchedRange; count: number; detail?: string };
