import { QueryName } from '../../wire/protocol.ts';
import type { FollowRequestOptions } from './follow-request.ts';

/**
 * The URL for the first connection of a follower, and for those until it is accepted.
 *
 * @param waitMs how long to wait from now for a resource that does not exist yet, in milliseconds
 */
export function initialUrl(
  url: URL,
  { from, lines, generation, hold }: FollowRequestOptions,
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

/** The URL to resume at. Parameters of the given URL that only concern the beginning are dropped. */
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

/**
 * The position that the server must begin at; undefined when that depends on the resource, or on parameters of the
 * given URL.
 */
export function requestedPosition(url: URL, { from, lines }: FollowRequestOptions): number | undefined {
  const isInUrl = url.searchParams.has(QueryName.from) || url.searchParams.has(QueryName.lines);
  if (lines !== undefined || (from === undefined && isInUrl)) return undefined;
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
