import { ESCAPE, sequenceEnd, sequencesEnd } from './plain-bytes.ts';

/** So many bytes of a text are looked for at first: with more of them a look takes longer, and finds hardly less. */
const MAX_PROBE_BYTES = 8;

/** When more than one of so many bytes begins the text and does not go on as it, it is quicker to take the sequences out. */
const BYTES_PER_FAILURE = 128;

const CASE_BIT = 0x20;

/**
 * A text that is looked for in bytes that have control sequences, which may be inside of it: without taking them out, which
 * takes ten times as long. One expression finds where the text is, or where an escape follows on its beginning; what that is
 * is looked at byte by byte.
 */
export class ColouredText {
  readonly #text: Buffer;
  readonly #ignoresCase: boolean;
  readonly #probe: RegExp;

  /** @param ignoresCase for texts of ASCII only */
  constructor(text: string, ignoresCase: boolean) {
    this.#text = Buffer.from(ignoresCase ? text.toLowerCase() : text);
    this.#ignoresCase = ignoresCase;
    this.#probe = new RegExp(probeFor(this.#text.subarray(0, MAX_PROBE_BYTES)), ignoresCase ? 'gi' : 'g');
  }

  /**
   * Finds it in some bytes: calls `take` with where each match begins and ends, which says from where on more are wanted.
   *
   * @returns false when it was given up, since the beginning of the text is everywhere: that would take long
   */
  findIn(bytes: Buffer, take: (start: number, end: number) => number): boolean {
    const probe = this.#probe;
    const characters = bytes.toString('latin1');
    // Where no control sequence is under way.
    let plain = 0;
    let failures = bytes.length / BYTES_PER_FAILURE;
    probe.lastIndex = 0;
    for (let found = probe.exec(characters); found !== null; found = probe.exec(characters)) {
      const start = found.index;
      const lastEscape = bytes.subarray(plain, start).lastIndexOf(ESCAPE);
      plain = lastEscape === -1 ? start : Math.max(start, sequenceEnd(bytes, plain + lastEscape));
      const end = plain === start ? this.#endAt(bytes, start) : -1;
      if (end === -1 && --failures < 0) return false;
      probe.lastIndex = end === -1 ? Math.max(start + 1, plain) : take(start, end);
    }
    return true;
  }

  /** Where the text ends that begins at `start`; -1 if it is another one. */
  #endAt(bytes: Buffer, start: number): number {
    let at = start;
    for (const byte of this.#text) {
      if (bytes[at] === ESCAPE) at = sequencesEnd(bytes, at);
      if (!this.#isSame(bytes[at], byte)) return -1;
      at++;
    }
    return at;
  }

  #isSame(byte: number | undefined, wanted: number): boolean {
    if (byte === wanted) return true;
    return this.#ignoresCase && byte !== undefined && (byte | CASE_BIT) === wanted && isLetter(wanted);
  }
}

/** Matches a text, or a beginning of it that an escape follows on: of `abc` `a(?:␛|b(?:␛|c))`. */
function probeFor(text: Buffer): string {
  const [last = '', ...before] = [...text]
    .map((byte) => `\\x${byte.toString(16).padStart(2, '0')}`)
    .reverse();
  return before.reduce((rest, byte) => `${byte}(?:\\x1b|${rest})`, last);
}

function isLetter(byte: number): boolean {
  return byte >= 0x61 && byte <= 0x7a;
}
