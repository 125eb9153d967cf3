import type { FastifyRequest } from 'fastify';
import { RESERVED_SEGMENT, ResourcePath } from '../../wire/resource-path.ts';
import { parseTarget } from '../request/target.ts';

/** What stands in front of what a page that is stored here asks for. */
const PAGE_KEY = new RegExp(`^/${RESERVED_SEGMENT.replace('.', '\\.')}/page/[^/]+(?=/)`);

/**
 * How the path of a request was written in its URL, below the prefix of this server.
 *
 * @param path what it was read as
 */
export function writtenPath({ raw }: FastifyRequest, prefix: string, path: ResourcePath): string {
  const below = parseTarget(raw.url).path.slice(prefix.length);
  const written = [below, below.replace(PAGE_KEY, '')].find((text) => isReadAs(text, path));
  return written ?? path.toUrlPath();
}

function isReadAs(written: string, path: ResourcePath): boolean {
  try {
    return ResourcePath.parseAny(decodeURIComponent(written)).toString() === path.toString();
  } catch {
    return false;
  }
}
