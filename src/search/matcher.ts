import { isAscii, isUtf8 } from 'node:buffer';
import { ColouredText } from './coloured-text.ts';
import { type GoOn, MAX_LINE_BYTES, Matches, type SearchedPart, type WantedMatches } from './matches.ts';
import { ESCAPE, type PlainBytes, plainBytes } from './plain-bytes.ts';
import { anyCase, isCaseSensitive, type Pattern, type SearchQuery } from './search-query.ts';

const LINE_FEED = 0x0a;

/** Finds what is searched for in a part of a file; returns {@link NUMBERS_PER_MATCH} numbers for each match. */
export type Matcher = (part: SearchedPart, wanted: WantedMatches) => number[];

/** What takes a match, see {@link Matches.add}. */
type Take = (start: number, end: number) => GoOn;

/** Finds a literal text. It takes as long as there are bytes, times its length where most of it is everywhere. */
export function literalMatcher(query: SearchQuery): Matcher {
  const { text } = query;
  if (isCaseSensitive(query)) {
    const needle = Buffer.from(text);
    const inPlain = matcherOf(({ bytes }, take) => findBytes(bytes, needle, take));
    return throughColours(new ColouredText(text, false), inPlain);
  }
  const pattern = anyCase(text);
  const inPlain = textMatcher(pattern);
  return pattern.isOfAscii ? throughColours(new ColouredText(text, true), inPlain) : inPlain;
}

/** Finds a text in what has control sequences; in what has none as `inPlain` does. */
function throughColours(text: ColouredText, inPlain: Matcher): Matcher {
  return (part, wanted) => {
    const { bytes } = part;
    if (!bytes.includes(ESCAPE)) return inPlain(part, wanted);
    const matches = new Matches(part, { bytes, originOf: (index) => index }, wanted);
    const isSearched = text.findIn(bytes, (start, end) => {
      const next = nextFrom(bytes, start, end, matches.add(start, end));
      return next === -1 ? bytes.length : next;
    });
    return isSearched ? matches.taken() : inPlain(part, wanted);
  };
}

/** Finds what a regular expression matches, in each line by itself. It may take any time. */
export function textMatcher(pattern: Pattern): Matcher {
  return matcherOf(({ bytes }, take) => {
    for (const { start, end } of partsOf(bytes)) {
      const isMoreWanted = findInPart(bytes.subarray(start, end), pattern, from(take, start));
      if (!isMoreWanted) return;
    }
  });
}

function matcherOf(find: (plain: PlainBytes, take: Take) => void): Matcher {
  return (part, wanted) => {
    const plain = plainBytes(part.bytes);
    const matches = new Matches(part, plain, wanted);
    find(plain, (start, end) => matches.add(start, end));
    return matches.taken();
  };
}

function findBytes(bytes: Buffer, needle: Buffer, take: Take): void {
  for (let at = bytes.indexOf(needle); at !== -1; ) {
    const end = at + needle.length;
    const next = nextFrom(bytes, at, end, take(at, end));
    at = next === -1 ? -1 : bytes.indexOf(needle, next);
  }
}

/** Where to look on behind a match; -1: nowhere. */
function nextFrom(bytes: Buffer, start: number, end: number, goOn: GoOn): number {
  if (goOn === 'nowhere') return -1;
  const feed = goOn === 'line' ? bytes.indexOf(LINE_FEED, start) : end;
  return feed === -1 ? -1 : Math.max(feed, end);
}

/** @returns whether more are wanted */
function findText(text: string, expression: RegExp, take: Take): boolean {
  expression.lastIndex = 0;
  for (let match = expression.exec(text); match !== null; match = expression.exec(text)) {
    const [found] = match;
    if (found === '') {
      // With the flag `u` it would step back to the beginning of a surrogate pair.
      expression.lastIndex = match.index + ((text.codePointAt(match.index) ?? 0) > 0xffff ? 2 : 1);
      continue;
    }
    const goOn = take(match.index, match.index + found.length);
    if (goOn === 'nowhere') return false;
    const feed = goOn === 'line' ? text.indexOf('\n', match.index) : 0;
    if (feed === -1) return true;
    expression.lastIndex = Math.max(expression.lastIndex, feed);
  }
  return true;
}

/** Whole lines, {@link MAX_LINE_BYTES} together at most; or so much of a longer one, between two characters. */
function* partsOf(bytes: Buffer): Generator<{ start: number; end: number }, void, undefined> {
  for (let start = 0; start < bytes.length; ) {
    let end = Math.min(bytes.length, start + MAX_LINE_BYTES);
    if (end < bytes.length) {
      const feed = bytes.lastIndexOf(LINE_FEED, end - 1);
      if (feed >= start) end = feed + 1;
      else while (end > start + MAX_LINE_BYTES - 4 && isContinuation(bytes[end])) end--;
    }
    yield { start, end };
    start = end;
  }
}

function isContinuation(byte: number | undefined): boolean {
  return byte !== undefined && byte >> 6 === 0b10;
}

/** @returns whether more are wanted */
function findInPart(bytes: Buffer, pattern: Pattern, take: Take): boolean {
  if (pattern.isOfAscii || isAscii(bytes)) return findInText(bytes.toString('latin1'), pattern, take);
  if (isUtf8(bytes)) {
    const text = bytes.toString();
    return findInText(text, pattern, inBytes(take, text));
  }
  const feed = bytes.indexOf(LINE_FEED);
  // As if it were Latin-1: what is ASCII of it is found.
  if (feed === -1) return findInText(bytes.toString('latin1'), pattern, take);
  // It is the fault of one line only.
  for (let start = 0; start < bytes.length; ) {
    const next = bytes.indexOf(LINE_FEED, start);
    const end = next === -1 ? bytes.length : next;
    if (!findInPart(bytes.subarray(start, end), pattern, from(take, start))) return false;
    start = end + 1;
  }
  return true;
}

/** @returns whether more are wanted */
function findInText(text: string, { expression, isByLine }: Pattern, take: Take): boolean {
  if (!isByLine) return findText(text, expression, take);
  for (let start = 0; start < text.length; ) {
    const feed = text.indexOf('\n', start);
    const end = feed === -1 ? text.length : feed;
    if (!findText(text.slice(start, end), expression, from(take, start))) return false;
    start = end + 1;
  }
  return true;
}

/** Takes matches in a part that begins at `offset`. */
function from(take: Take, offset: number): Take {
  return (start, end) => take(offset + start, offset + end);
}

/** Takes matches by their places in the text, in order, that UTF-8 was decoded to. */
function inBytes(take: Take, text: string): Take {
  let index = 0;
  let bytes = 0;
  const advance = (to: number) => {
    bytes += Buffer.byteLength(text.slice(index, to));
    index = to;
    return bytes;
  };
  return (start, end) => take(advance(start), advance(end));
}
