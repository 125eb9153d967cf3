import type { SearchStep } from '../../search/file-search.ts';
import { InvalidPatternError } from '../../search/search-query.ts';
import type { SearchLine } from '../../wire/page-requests.ts';

/** How often it is said at least how far a search is, in milliseconds. */
const PROGRESS_MS = 100;

/**
 * What a search finds, as lines of JSON: see {@link SearchLine}.
 *
 * @param from where it begins, in bytes
 * @throws what the steps throw, but for a regular expression that is none: the last line says so
 */
export async function* searchLines(
  steps: AsyncIterable<SearchStep>,
  from: number,
): AsyncGenerator<string, void, undefined> {
  // That it has begun: nothing else may come for long.
  yield textOf([{ progress: [from, from], count: 0 }]);
  let toldMs = performance.now();
  let count = 0;
  try {
    for await (const { matches, searched, end } of steps) {
      count += matches.length;
      const isDue = end === undefined && performance.now() - toldMs > PROGRESS_MS;
      const lines: SearchLine[] = matches.map(({ at, end, lineStart, lineEnd }) => ({
        ...{ at, length: end - at, lineStart, lineEnd },
      }));
      if (isDue) lines.push({ progress: searched, count });
      if (end !== undefined) lines.push({ end, searched, count });
      if (lines.length === 0) continue;
      if (isDue) toldMs = performance.now();
      yield textOf(lines);
    }
  } catch (error) {
    if (!(error instanceof InvalidPatternError)) throw error;
    yield textOf([{ end: 'invalid', searched: [from, from], count: 0, detail: error.message }]);
  }
}

function textOf(lines: readonly SearchLine[]): string {
  return lines.map((line) => `${JSON.stringify(line)}\n`).join('');
}
