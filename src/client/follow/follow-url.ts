import { QueryName } from '../../wire/protocol.ts';
import type { FollowOptions } from './follow-options.ts';

/**
 * The URL of a follower that begins.
 *
 * @param waitMs how long it still waits for a resource that does not exist yet
 */
export function beginningUrl(
  url: URL,
  { from, lines, generation, hold }: FollowOptions,
  waitMs: number,
): URL {
  const waitSeconds = Math.ceil(waitMs / 1000);
  return withQuery(url, {
    [QueryName.from]: from,
    [QueryName.lines]: lines,
    [QueryName.generation]: generation,
    [QueryName.wait]: waitSeconds > 0 ? waitSeconds : undefined,
    [QueryName.hold]: hold,
  });
}

/** The URL of a follower that goes on. What it was given asks for, too, was for the beginning. */
export function continuationUrl(
  url: URL,
  position: number,
  generation: number | undefined,
  hold: number | undefined,
): URL {
  const bare = new URL(url);
  for (const name of [QueryName.lines, QueryName.generation, QueryName.wait]) bare.searchParams.delete(name);
  return withQuery(bare, {
    [QueryName.from]: position,
    [QueryName.generation]: generation,
    [QueryName.hold]: hold,
  });
}

/** Where a follower asks to begin; undefined when that depends on the resource, or the URL it was given says something, too. */
export function askedPosition(url: URL, { from, lines }: FollowOptions): number | undefined {
  const saysMore = url.searchParams.has(QueryName.from) || url.searchParams.has(QueryName.lines);
  if (lines !== undefined || (from === undefined && saysMore)) return undefined;
  const position = from ?? 0;
  return position >= 0 ? position : undefined;
}

function withQuery(url: URL, query: Record<string, number | undefined>): URL {
  const changed = new URL(url);
  for (const [name, value] of Object.entries(query)) {
    if (value !== undefined) changed.searchParams.set(name, String(value));
  }
  return changed;
}
