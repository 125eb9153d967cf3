/** Whose way of writing groups a mark is of. */
export type BuildSystem = 'github' | 'gitlab' | 'buildkite';

/** A line by which a build system says that a group begins, ends, or that something in it has failed. */
export interface Mark {
  readonly kind: 'open' | 'close' | 'failure';
  readonly system: BuildSystem;
  /** Byte position at which its line begins. */
  readonly start: number;
  /** Position behind its line, the line feed included. */
  readonly end: number;
  /** Behind it its line shows something, which is in no group that it closes. */
  readonly isFollowed: boolean;
  /** What the group is closed by, where groups are named. */
  readonly name: string | undefined;
  readonly title: string;
  /** When it was written, in milliseconds since 1970, if the line says so. */
  readonly timeMs: number | undefined;
  /** The group is folded once it has ended, as the build system would do. */
  readonly folds: boolean;
}

/** GitHub and GitLab can have each line begin with its time. */
const TIME = `[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]+Z (?:[0-9a-f]{2}[OE][+ ])?`;

/**
 * Finds the marks in a whole resource, as a regular expression of a search (`?view=search&mode=regex`), which looks at
 * text without control sequences. It matches in each line that has one.
 */
export const MARK_EXPRESSION = String.raw`^(?:${TIME})?(?:::(?:group|endgroup|error)|##\[(?:group|endgroup|error)\]|section_(?:start|end):[0-9]|(?:---|\+\+\+|~~~) |\^\^\^ \+\+\+|ERROR: Job failed)`;

/** Colours, erasure and Buildkite's times, before the mark or around the time of the line. */
const LEAD = String.raw`(?:\x1b\[[0-9;]*[A-Za-z]|\x1b_bk;t=[0-9]+\x07)*`;

/**
 * The same in bytes as they are, one character each. The second lead is there only behind a time: of two that follow each other
 * every way is tried to share out a long one.
 */
const RAW_MARK = new RegExp(MARK_EXPRESSION.replace(`^(?:${TIME})?`, `^${LEAD}(?:${TIME}${LEAD})?`), 'gm');

// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is taken out
const SEQUENCES = /\x1b(?:\[[0-?]*[ -/]*[@-~]|[\]P^_X][^\x07\x1b\n]*(?:\x07|\x1b\\)?|[ -/]*[0-~])/g;

// biome-ignore lint/suspicious/noControlCharactersInRegex: Buildkite writes times so
const BUILDKITE_TIME = /\x1b_bk;t=(\d+)\x07/;

const LINE_TIME = new RegExp(`^${TIME}`);

/** What `diff -u` and `go test` write looks like Buildkite's headers. */
const GO_TEST = /^(?:PASS|FAIL|SKIP|BENCH): /;

/** Longest title, in characters. */
const MAX_TITLE = 200;

const latin1Decoder = new TextDecoder('latin1');
const utf8Decoder = new TextDecoder();

/**
 * The marks in whole lines, in order.
 *
 * @param at position of the first byte, at which a line begins
 */
export function marksIn(bytes: Uint8Array, at: number): Mark[] {
  const text = latin1Decoder.decode(bytes);
  const marks: Mark[] = [];
  RAW_MARK.lastIndex = 0;
  for (let match = RAW_MARK.exec(text); match !== null; match = RAW_MARK.exec(text)) {
    const start = text.lastIndexOf('\n', match.index - 1) + 1;
    const feed = text.indexOf('\n', match.index);
    const end = feed === -1 ? text.length : feed + 1;
    marks.push(...marksOfLine(utf8Decoder.decode(bytes.subarray(start, end)), at + start, at + end));
    RAW_MARK.lastIndex = end;
  }
  return marks;
}

/**
 * The marks in one line, as it stands in the file. GitLab ends a group and goes on in the same line: with the next one,
 * or with text.
 *
 * @param start position at which the line begins
 * @param end position behind it
 */
export function marksOfLine(line: string, start: number, end: number): Mark[] {
  const buildkiteTime = BUILDKITE_TIME.exec(line)?.[1];
  const parts = line.replace(SEQUENCES, '').trimEnd().split('\r');
  const lineTime = LINE_TIME.exec(parts[0]!)?.[0];
  const timeMs = buildkiteTime === undefined ? timeOf(lineTime) : Number(buildkiteTime);
  if (lineTime !== undefined) parts[0] = parts[0]!.slice(lineTime.length);
  const place = { start, end, timeMs };
  return parts.flatMap((part, index) => markOf(part, parts.slice(index + 1), place) ?? []);
}

function timeOf(lineTime: string | undefined): number | undefined {
  return lineTime === undefined ? undefined : Date.parse(lineTime.slice(0, lineTime.indexOf(' ')));
}

type Place = Pick<Mark, 'start' | 'end' | 'timeMs'>;

/** The mark that one part of a line is, if it is one; `rest` are the parts behind it. */
function markOf(text: string, rest: readonly string[], place: Place): Mark | undefined {
  return githubMark(text, place) ?? gitlabMark(text, rest, place) ?? buildkiteMark(text, place);
}

function githubMark(text: string, place: Place): Mark | undefined {
  const match = /^(?:::|##\[)(group|endgroup|error)(?:::|\]|[ ,])(.*)/.exec(text);
  if (match === null) return undefined;
  const kind = match[1] === 'group' ? 'open' : match[1] === 'endgroup' ? 'close' : 'failure';
  return mark(kind, 'github', place, match[2]!, true);
}

function gitlabMark(text: string, rest: readonly string[], place: Place): Mark | undefined {
  if (text.startsWith('ERROR: Job failed')) return mark('failure', 'gitlab', place, text, false);
  const match = /^section_(start|end):(\d+):([\w.-]+)(?:\[(.*)\])?/.exec(text);
  if (match === null) return undefined;
  const [, word, seconds, name, options = ''] = match;
  return {
    ...mark(
      word === 'start' ? 'open' : 'close',
      'gitlab',
      place,
      rest[0] || name!,
      /\bcollapsed=true\b/.test(options),
    ),
    isFollowed: rest.some((part) => part.trim() !== '' && !part.startsWith('section_end:')),
    name,
    timeMs: Number(seconds) * 1000,
  };
}

function buildkiteMark(text: string, place: Place): Mark | undefined {
  if (text.startsWith('^^^ +++')) return mark('failure', 'buildkite', place, '', false);
  const sign = /^(?:---|\+\+\+|~~~) /.exec(text)?.[0];
  const title = text.slice(4);
  if (sign === undefined || GO_TEST.test(title)) return undefined;
  return mark('open', 'buildkite', place, title, sign !== '+++ ');
}

function mark(kind: Mark['kind'], system: BuildSystem, place: Place, title: string, folds: boolean): Mark {
  const shownTitle = title.trim().slice(0, MAX_TITLE);
  return { kind, system, ...place, isFollowed: false, name: undefined, title: shownTitle, folds };
}
