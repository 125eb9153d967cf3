import type { Mark } from './marks.ts';

/** A part of the resource: from the first position up to but not including the second one. */
export interface ByteRange {
  readonly from: number;
  readonly to: number;
}

/** Lines that belong together and can be folded below the first one. */
export interface Group {
  /** Position of the line that is its header. */
  readonly start: number;
  /** Position behind the header. */
  readonly bodyStart: number;
  /** Position behind the last line; undefined while it goes on, or is not known. */
  readonly end: number | undefined;
  readonly title: string;
  /** How many groups it is in. */
  readonly depth: number;
  /** Something in it has failed. */
  readonly isFailed: boolean;
  /** It is folded when it has ended, unless something failed or somebody has decided otherwise. */
  readonly folds: boolean;
  /** How long it took, in milliseconds, if its marks have times. */
  readonly durationMs: number | undefined;
}

type GrowingGroup = { -readonly [K in keyof Group]: Group[K] } & { readonly mark: Mark };

/** So many marks are kept; groups of later ones cannot be folded. */
export const MAX_GROUP_MARKS = 10_000;

/** What is known of marks in one part of the resource. */
interface KnownPart {
  from: number;
  to: number;
  marks: Mark[];
}

/**
 * The groups of a resource, as far as its marks are known, and which of them are folded. Marks come in any
 * order: of what is live, of windows that are looked at, of a search of the whole.
 */
export class GroupOutline {
  /** Disjoint, in order, never next to each other. */
  #parts: KnownPart[] = [];
  #groups: readonly Group[] | undefined;
  #hidden: readonly ByteRange[] | undefined;
  #isEveryFolded: boolean | undefined;
  /** What was decided for single groups, by where they start. */
  readonly #decided = new Map<number, boolean>();
  #markCount = 0;

  /** Whether there were more marks than are kept. */
  get isFull(): boolean {
    return this.#markCount >= MAX_GROUP_MARKS;
  }

  /** Takes in what marks there are in a part of the resource, whole lines: all of them. */
  learn(range: ByteRange, allMarks: readonly Mark[]): void {
    const room = MAX_GROUP_MARKS - this.#markCount;
    const marks = allMarks.slice(0, room);
    const { from } = range;
    const to = allMarks[room]?.start ?? range.to;
    if (from >= to) return;
    const touching = this.#parts.filter((part) => part.from <= to && part.to >= from);
    const others = this.#parts.filter((part) => part.from > to || part.to < from);
    const known = touching.flatMap((part) => part.marks).filter(({ start }) => start < from || start >= to);
    const part = {
      from: Math.min(from, ...touching.map((each) => each.from)),
      to: Math.max(to, ...touching.map((each) => each.to)),
      // A stable order: two marks can share a line.
      marks: [...known, ...marks].sort((a, b) => a.start - b.start),
    };
    this.#parts = [...others, part].sort((a, b) => a.from - b.from);
    this.#markCount = this.#parts.reduce((sum, each) => sum + each.marks.length, 0);
    if (marks.length > 0 || touching.length > 1) this.#forgetGroups();
  }

  /** Whether there is any mark. */
  get hasMarks(): boolean {
    return this.#markCount > 0;
  }

  /** The first part of the resource, before one that is known, in which marks were not looked for. */
  get gap(): ByteRange | undefined {
    const [first, second] = this.#parts;
    if (first === undefined) return undefined;
    if (first.from > 0) return { from: 0, to: first.from };
    return second && { from: first.to, to: second.from };
  }

  /** All groups, by where they start. */
  get groups(): readonly Group[] {
    this.#groups ??= this.#parts
      .flatMap(({ marks }) => groupsOf(withoutDiffs(marks)))
      .sort((a, b) => a.start - b.start);
    return this.#groups;
  }

  /** The group whose header begins at a position. */
  headerAt(start: number): Group | undefined {
    const group = this.groups[lastIndexBefore(this.groups, start + 1, (each) => each.start)];
    return group?.start === start ? group : undefined;
  }

  /** Tells whether only the header of a group is shown. One that goes on is always open. */
  isFolded(group: Group): boolean {
    if (group.end === undefined) return false;
    return this.#decided.get(group.start) ?? this.#isEveryFolded ?? (group.folds && !group.isFailed);
  }

  /** Folds a group, or opens it. */
  setFolded(group: Group, isFolded: boolean): void {
    this.#decided.set(group.start, isFolded);
    this.#hidden = undefined;
  }

  /** Folds all groups, or opens them: those to come as well. */
  setAllFolded(isFolded: boolean): void {
    this.#decided.clear();
    this.#isEveryFolded = isFolded;
    this.#hidden = undefined;
  }

  /** Opens all groups in whose bodies a part of the resource is. */
  reveal({ from, to }: ByteRange): void {
    for (const group of this.groups) {
      const isTouched = group.end !== undefined && group.bodyStart < to && group.end > from;
      if (isTouched && this.isFolded(group)) this.setFolded(group, false);
    }
  }

  /** What is not shown: the bodies of groups that are folded, disjoint, in order. */
  get hidden(): readonly ByteRange[] {
    this.#hidden ??= this.#hiddenNow();
    return this.#hidden;
  }

  /** The hidden part in which a position is. */
  hiddenAround(position: number): ByteRange | undefined {
    const range = this.hidden[lastIndexBefore(this.hidden, position + 1, (each) => each.from)];
    return range !== undefined && position < range.to ? range : undefined;
  }

  #hiddenNow(): ByteRange[] {
    const hidden: ByteRange[] = [];
    for (const group of this.groups) {
      const { bodyStart, end } = group;
      if (end === undefined || end <= (hidden.at(-1)?.to ?? 0) || end <= bodyStart) continue;
      if (this.isFolded(group)) hidden.push({ from: bodyStart, to: end });
    }
    return hidden;
  }

  #forgetGroups(): void {
    this.#groups = undefined;
    this.#hidden = undefined;
  }
}

/** A unified diff has `--- old` and `+++ new` in two lines next to each other: no groups of Buildkite. */
function withoutDiffs(marks: readonly Mark[]): readonly Mark[] {
  const isSection = (mark: Mark | undefined, folds: boolean) =>
    mark?.system === 'buildkite' && mark.kind === 'open' && mark.folds === folds;
  return marks.filter((mark, index) => {
    const previous = marks[index - 1];
    const next = marks[index + 1];
    const isOld = isSection(mark, true) && isSection(next, false) && next!.start === mark.end;
    const isNew = isSection(mark, false) && isSection(previous, true) && previous!.end === mark.start;
    return !isOld && !isNew;
  });
}

function groupsOf(marks: readonly Mark[]): Group[] {
  const groups: GrowingGroup[] = [];
  const open: GrowingGroup[] = [];
  for (const mark of marks) {
    if (mark.kind === 'failure') {
      for (const group of open) group.isFailed = true;
    } else if (mark.kind === 'close') {
      const end = mark.isFollowed ? mark.start : mark.end;
      endGroups(open, lastMatching(open, mark), end, mark.timeMs);
    } else {
      if (mark.system === 'buildkite') endGroups(open, lastMatching(open, mark), mark.start, mark.timeMs);
      const group = groupOf(mark, open.length);
      groups.push(group);
      open.push(group);
    }
  }
  return groups;
}

function groupOf(mark: Mark, depth: number): GrowingGroup {
  const { start, end, title, folds } = mark;
  return {
    mark,
    start,
    bodyStart: end,
    end: undefined,
    title,
    depth,
    isFailed: false,
    folds,
    durationMs: undefined,
  };
}

/** The innermost open group that a mark ends. */
function lastMatching(open: readonly GrowingGroup[], { system, name }: Mark): number {
  return open.findLastIndex(({ mark }) => mark.system === system && mark.name === name);
}

/** Ends the open group at an index, and those in it. */
function endGroups(open: GrowingGroup[], index: number, end: number, timeMs: number | undefined): void {
  if (index === -1) return;
  for (const group of open.splice(index)) {
    group.end = end;
    const startMs = group.mark.timeMs;
    if (timeMs !== undefined && startMs !== undefined) group.durationMs = Math.max(0, timeMs - startMs);
  }
}

/** Index of the last item whose position is less, in items by their position; -1 if there is none. */
function lastIndexBefore<T>(items: readonly T[], position: number, positionOf: (item: T) => number): number {
  let low = 0;
  let high = items.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (positionOf(items[middle]!) < position) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}
