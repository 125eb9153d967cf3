import { cutCharacter } from './characters.ts';

const LINE_FEED = 0x0a;

const NOTHING: Buffer = Buffer.alloc(0);

/** Where bytes may be cut for a kind of sink. Compared by identity. */
export interface Cutting {
  /** Longest piece that a sink is given at a time, in bytes. */
  readonly maxBytes: number;
  /**
   * How many bytes at the end of `parts` are behind the last place where they may be cut: all, if there is none.
   * Default: 0, anywhere.
   */
  readonly openBytes?: (parts: readonly Buffer[]) => number;
  /**
   * Whether what never became whole is given out only when the stream has finished: else a client that comes back
   * gets it whole.
   */
  readonly withholdsRest?: boolean;
  /**
   * How many of `bytes`, which end at such a place, are one piece. Default: all.
   *
   * @param isWithin whether they begin between two such places
   */
  readonly fittingBytes?: (bytes: Buffer, isWithin: boolean) => number;
}

/** For sinks to which bytes are bytes. */
export const anywhere: Cutting = { maxBytes: Number.POSITIVE_INFINITY };

/** For sinks that show text as it comes. */
export const betweenCharacters: Cutting = {
  maxBytes: Number.POSITIVE_INFINITY,
  openBytes: openCharacterBytes,
};

/** How many bytes at the end of `parts` are the beginning of a character, as far as it is UTF-8. */
export function openCharacterBytes(parts: readonly Buffer[]): number {
  return cutCharacter(NOTHING, parts).length;
}

/** How many bytes at the end of `parts` are a line that has no end yet. */
export function openLineBytes(parts: readonly Buffer[]): number {
  let open = 0;
  for (let i = parts.length - 1; i >= 0; i--) {
    const part = parts[i] as Buffer;
    const lineEnd = part.lastIndexOf(LINE_FEED);
    open += part.length - lineEnd - 1;
    if (lineEnd !== -1) break;
  }
  return open;
}

/** The beginning of a block. */
export interface Piece {
  bytes: Buffer;
  /** Whether it ends where bytes may be cut. */
  isWhole: boolean;
}

/**
 * What a sink is given next of a block; all of it where it cannot be cut.
 *
 * @param isWhole whether the block ends where bytes may be cut, or nothing comes after it
 * @param isWithin whether the piece before was not whole
 */
export function pieceOf(
  block: Buffer,
  { openBytes, fittingBytes }: Cutting,
  { isWhole, isWithin }: { isWhole: boolean; isWithin: boolean },
): Piece {
  const open = isWhole || openBytes === undefined ? 0 : openBytes([block]);
  if (open === block.length) return { bytes: block, isWhole: false };
  const whole = block.subarray(0, block.length - open);
  const count = fittingBytes?.(whole, isWithin) ?? whole.length;
  return { bytes: whole.subarray(0, count), isWhole: true };
}
