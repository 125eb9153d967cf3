/**
 * Passes on what comes, as it is taken.
 *
 * @param late called when nobody takes what is next within `timeMs` after the one before
 */
export async function* takenInTime<T>(
  source: AsyncIterable<T>,
  timeMs: number,
  late: () => void,
): AsyncGenerator<T, void, undefined> {
  for await (const item of source) {
    const timer = setTimeout(late, timeMs);
    try {
      yield item;
    } finally {
      clearTimeout(timer);
    }
  }
}
