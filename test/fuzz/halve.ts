/**
 * Makes a list that fails shorter, by leaving out half of it, then quarters and
 * so on, as long as what is left still fails.
 *
 * @returns a list that failed, of which no single item could be left out when `fails` is reliable
 */
export async function halve<T>(
  list: readonly T[],
  fails: (part: readonly T[]) => Promise<boolean>,
): Promise<readonly T[]> {
  let rest = list;
  let parts = 2;
  while (rest.length > 1) {
    const size = Math.ceil(rest.length / parts);
    const shorter = await firstThatFails(rest, size, fails);
    if (shorter !== undefined) {
      rest = shorter;
      parts = Math.max(2, parts - 1);
    } else if (size === 1) {
      break;
    } else {
      parts = Math.min(rest.length, parts * 2);
    }
  }
  return rest;
}

async function firstThatFails<T>(
  list: readonly T[],
  size: number,
  fails: (part: readonly T[]) => Promise<boolean>,
): Promise<readonly T[] | undefined> {
  for (let start = 0; start < list.length; start += size) {
    const part = [...list.slice(0, start), ...list.slice(start + size)];
    if (part.length > 0 && (await fails(part))) return part;
  }
  return undefined;
}
