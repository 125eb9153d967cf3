import type { GroupOutline } from '../groups/group-outline.ts';
import { marksIn } from '../groups/marks.ts';

const LF = 0x0a;

/** Tells an outline which groups begin and end in these bytes. `at` is the position of the first. */
export function learnMarks(outline: GroupOutline, bytes: Uint8Array, at: number): void {
  // A row may begin within a line: only whole lines tell all.
  const first = at === 0 ? 0 : bytes.indexOf(LF) + 1;
  const end = bytes.lastIndexOf(LF) + 1;
  if (first >= end) return;
  const lines = bytes.subarray(first, end);
  outline.learn({ from: at + first, to: at + end }, marksIn(lines, at + first));
}
