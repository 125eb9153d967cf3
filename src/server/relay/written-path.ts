import type { FastifyRequest } from 'fastify';
import type { Upstream } from '../../relay/upstream/upstream.ts';
import { LIST_VIEW, RAW_QUERY, VIEW_QUERY } from '../../wire/page.ts';
import { APPEND_VIEW, INDEX_VIEW, SEARCH_VIEW } from '../../wire/page-requests.ts';
import { QueryName, VERB_QUERY } from '../../wire/protocol.ts';
import { RESERVED_SEGMENT, ResourcePath } from '../../wire/resource-path.ts';
import { asksForPage } from '../request/page-request.ts';
import { verbOf } from '../request/request-target.ts';
import { parseTarget } from '../request/target.ts';
import { admissionOf } from '../rights/admission.ts';

/** What stands in front of what a page that is stored here asks for. */
const PAGE_KEY = new RegExp(`^/${RESERVED_SEGMENT.replace('.', '\\.')}/page/[^/]+(?=/)`);

/** What of the query says more of what this server is asked. */
const DETAILS: ReadonlySet<string> = new Set([VERB_QUERY, ...Object.values(QueryName)]);

const VIEWS: ReadonlySet<string> = new Set(['', LIST_VIEW, INDEX_VIEW, SEARCH_VIEW, APPEND_VIEW]);

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

/**
 * The query of a request, with its question mark, without what it asks of this server, if it does; empty if that is all. Of
 * another server the same names may ask something else.
 */
export function othersQuery(request: FastifyRequest): string {
  const { queryString } = parseTarget(request.raw.url);
  if (queryString === '') return '';
  const parameters = queryString
    .slice(1)
    .split('&')
    .map((text) => ({ text, pair: [...new URLSearchParams(text)][0] ?? ['', ''] }) as const);
  const isAskedHere = verbOf(request) !== undefined || parameters.some(({ pair }) => asksForView(pair));
  if (!isAskedHere) return queryString;
  const others = parameters.filter(({ pair }) => !asksForView(pair) && !DETAILS.has(pair[0]));
  const text = others.map((parameter) => parameter.text).join('&');
  return text === '' ? '' : `?${text}`;
}

/** Whether a parameter is one with which pages, and who opens them, ask this server. */
function asksForView([name = '', value = '']: readonly string[]): boolean {
  return name === RAW_QUERY ? value === '' : name === VIEW_QUERY && VIEWS.has(value);
}

function isReadAs(written: string, path: ResourcePath): boolean {
  try {
    return ResourcePath.parseAny(decodeURIComponent(written)).toString() === path.toString();
  } catch {
    return false;
  }
}
