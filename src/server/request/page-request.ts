import type { FastifyReply, FastifyRequest } from 'fastify';
import { RAW_QUERY, VIEW_QUERY } from '../../wire/page.ts';
import { APPEND_VIEW, INDEX_VIEW, SEARCH_VIEW } from '../../wire/page-requests.ts';
import { VERB_HEADER, VERB_QUERY } from '../../wire/protocol.ts';
import { addVary } from '../response/headers.ts';
import { preferredType } from './headers.ts';
import { hasStreamParameter, parameterOf } from './query-parameters.ts';
import { offersSubprotocol } from './request-target.ts';

/** What a client names that shows pages, but no script, and no program that takes what comes. */
const NAMES_HTML = /(?:^|,)\s*text\/html\s*(?:[;,]|$)/i;

/** What the answer to {@link asksForPage} depends on. */
const NEGOTIATED = ['Accept', 'Sec-Fetch-Dest'] as const;

/**
 * Whether a request is for the page in which people see a resource, and not for the resource itself: with `?view`; with
 * neither that nor `?raw`, when a browser navigates to it. One that does not say what it fetches something for (not over
 * plain HTTP, nor in its older versions) is known by its `Accept`, which names HTML for nothing else.
 */
export function asksForPage(request: FastifyRequest): boolean {
  if (!isPlainRead(request)) return false;
  if (parameterOf(request, RAW_QUERY) !== undefined) return false;
  const view = parameterOf(request, VIEW_QUERY);
  if (view !== undefined) return view === '';
  const { 'sec-fetch-dest': destination, accept = '', range } = request.headers;
  // A download that goes on.
  if (range !== undefined) return false;
  if (destination !== undefined) return destination === 'document';
  return NAMES_HTML.test(accept) && preferredType(request, ['text/html', 'application/json']) === 'text/html';
}

/** Tells caches what it depends on that the answer is not the page. */
export function varyByPage(request: FastifyRequest, reply: FastifyReply): void {
  if (!isPlainRead(request)) return;
  if (parameterOf(request, VIEW_QUERY) !== undefined || parameterOf(request, RAW_QUERY) !== undefined) return;
  for (const header of NEGOTIATED) addVary(reply, header);
}

/** What pages ask of a file besides its bytes. */
const VIEWS = [APPEND_VIEW, INDEX_VIEW, SEARCH_VIEW] as const;

/** What a page asks of a file besides its bytes; undefined for any other request. */
export function pageRequestOf(request: FastifyRequest): (typeof VIEWS)[number] | undefined {
  if (request.method !== 'GET' || !isPlainRead(request)) return undefined;
  const view = parameterOf(request, VIEW_QUERY);
  return VIEWS.find((each) => each === view);
}

function isPlainRead(request: FastifyRequest): boolean {
  const { method, ws, headers } = request;
  if ((method !== 'GET' && method !== 'HEAD') || ws || headers[VERB_HEADER] !== undefined) return false;
  return (
    parameterOf(request, VERB_QUERY) === undefined &&
    !offersSubprotocol(request) &&
    !hasStreamParameter(request)
  );
}
