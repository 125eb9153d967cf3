/** Lines of the file, counted from 0, both included. */
export type LineRange = readonly [first: number, last: number];

const HASH = /^#L(?<first>[1-9]\d{0,14})(?:-L?(?<last>[1-9]\d{0,14}))?$/;

/** Reads `#L120` or `#L120-L140`, which count from 1; undefined for any other fragment. */
export function linesOfHash(hash: string): LineRange | undefined {
  const groups = HASH.exec(hash)?.groups;
  if (groups === undefined) return undefined;
  const first = Number(groups.first) - 1;
  const last = groups.last === undefined ? first : Number(groups.last) - 1;
  return first <= last ? [first, last] : [last, first];
}

/** The fragment that links these lines. */
export function hashOfLines([first, last]: LineRange): string {
  return first === last ? `#L${first + 1}` : `#L${first + 1}-L${last + 1}`;
}
