import type { FastifyRequest } from 'fastify';
import type { Upstream } from '../../relay/upstream/upstream.ts';
import { RAW_QUERY, VIEW_QUERY } from '../../wire/page.ts';
import { QueryName, VERB_QUERY } from '../../wire/protocol.ts';
import { RESERVED_SEGMENT, ResourcePath } from '../../wire/resource-path.ts';
import { asksForPage } from '../request/page-request.ts';
import { parseTarget } from '../request/target.ts';
import { admissionOf } from '../rights/admission.ts';

/** What stands in front of what a page that is stored here asks for. */
const PAGE_KEY = new RegExp(`^/${RESERVED_SEGMENT.replace('.', '\\.')}/page/[^/]+(?=/)`);

/** What this server is asked, and means nothing, or something else, to a plain HTTP server. */
const OWN_PARAMETERS: ReadonlySet<string> = new Set([
  RAW_QUERY,
  VIEW_QUERY,
  VERB_QUERY,
  ...Object.values(QueryName),
]);

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

/**
 * The query of a request, for the upstream: of a browser that navigates there it asks for what is there, since what people
 * see of it is up to this server. Of who comes back (`hold`) that looks for a file that was renamed, by the
 * rights of this one, which is for those who may read it by whatever name it has: for others it is not to look.
 */
export function passedQuery(
  request: FastifyRequest,
  path: ResourcePath,
  { kind }: Pick<Upstream, 'kind'>,
): string {
  const { queryString } = parseTarget(request.raw.url);
  // It says by a header what it asks for, which is not passed on.
  if (kind === 'httpfstream' && asksForPage(request))
    return queryString === '' ? `?${RAW_QUERY}` : `${queryString}&${RAW_QUERY}`;
  if (kind === 'http') return othersQuery(request);
  if (!(QueryName.hold in (request.query as object))) return queryString;
  const directory = path.upTo(path.segments.length - 1);
  if (admissionOf(request).permit('follow-any', directory) !== undefined) return queryString;
  const query = new URLSearchParams(queryString);
  query.delete(QueryName.hold);
  return query.toString();
}

/** The query of a request, with its question mark, without what it asks of this server; empty if that is all. */
export function othersQuery({ raw }: FastifyRequest): string {
  const { queryString } = parseTarget(raw.url);
  if (queryString === '') return '';
  const others = queryString
    .slice(1)
    .split('&')
    .filter((pair) => ![...new URLSearchParams(pair).keys()].some((name) => OWN_PARAMETERS.has(name)));
  return others.join('') === '' ? '' : `?${others.join('&')}`;
}

function isReadAs(written: string, path: ResourcePath): boolean {
  try {
    return ResourcePath.parseAny(decodeURIComponent(written)).toString() === path.toString();
  } catch {
    return false;
  }
}
