import type { FastifyRequest } from 'fastify';
import { type Permit, refusalOf, type Use } from '../../core/permit.ts';
import { APPEND_VIEW } from '../../wire/page-requests.ts';
import type { ResourcePath } from '../../wire/resource-path.ts';
import { forkSourceOf } from '../request/fork-source.ts';
import { pageRequestOf } from '../request/page-request.ts';
import { isWatch } from '../request/query-parameters.ts';
import { verbOf } from '../request/request-target.ts';
import { type Admission, admissionOf } from './admission.ts';
import { isForm, isOfStream } from './permits.ts';

/** What somebody must be allowed to do: this, or something else. */
export interface Need {
  use: Use;
  path: ResourcePath;
  or?: Need;
}

/** What needs depend on besides. */
export interface NeedsOptions {
  /** What stands before every resource's path in URLs; empty or `/…`. */
  prefix: string;
  /** The name of the page that is shown in the place of a listing, if there is one. */
  indexName: string | undefined;
  /** Whether what is at a path comes from an upstream. */
  isElsewhere: (path: ResourcePath) => boolean;
}

/**
 * What a request needs, by its head alone: all of these, before anything is looked at for it. What is known
 * only later asks for itself: the files of a form, the entries of a listing.
 *
 * @throws what {@link verbOf} and {@link forkSourceOf} throw
 */
export function needsOf(request: FastifyRequest, path: ResourcePath, options: NeedsOptions): readonly Need[] {
  const { method } = request;
  if (method === 'DELETE') return [{ use: 'delete', path }];
  if (method !== 'PUT' && method !== 'POST') return needsOfRead(request, path, options);
  const source = method === 'PUT' ? forkSourceOf(request, options.prefix) : undefined;
  return [
    { use: isForm(request) ? 'form' : 'append', path },
    // Its parts are not read here.
    ...(isForm(request) && options.isElsewhere(path) ? [{ use: 'append-any', path } as const] : []),
    ...(source === undefined ? [] : [{ use: 'follow', path: source } as const]),
  ];
}

/**
 * The permit for what is passed on to an upstream, which looks at it: all that it needs is permitted.
 *
 * @param prefix what stands before every resource's path in URLs; empty or `/…`
 * @throws what {@link needsOf} and {@link Permit.require} throw
 */
export function permitToPass(request: FastifyRequest, path: ResourcePath, prefix: string): Permit {
  const options: NeedsOptions = { prefix, indexName: undefined, isElsewhere: () => true };
  const [permit] = needsOf(request, path, options).map((need) => permitFor(need, admissionOf(request)));
  return permit as Permit;
}

function permitFor(need: Need, admission: Admission): Permit {
  for (let next: Need | undefined = need; next !== undefined; next = next.or) {
    const permit = admission.permit(next.use, next.path);
    if (permit !== undefined) return permit;
  }
  throw refusalOf(admission, need.use);
}

/** Whether something may be appended to, asks whoever sees the page of it, or of the directory where it would be. */
function needOfQuestion(path: ResourcePath): Need {
  const list: Need = { use: 'list', path: path.isRoot ? path : path.upTo(path.segments.length - 1) };
  return { use: 'follow', path, or: { use: 'append', path, or: list } };
}

function needsOfRead(
  request: FastifyRequest,
  path: ResourcePath,
  { indexName, isElsewhere }: NeedsOptions,
): readonly Need[] {
  if (verbOf(request) === 'APPEND') return [{ use: 'append', path }];
  const list: Need = { use: 'list', path };
  // What may append is told how much there is.
  const append: Need | undefined = request.method === 'HEAD' ? { use: 'append', path } : undefined;
  const read: Need = { use: 'follow', path, ...(append && { or: append }) };
  if (pageRequestOf(request) === APPEND_VIEW) return [needOfQuestion(path)];
  if (isWatch(request)) return [list];
  if (isOfStream(request)) return [read];
  const isDirectory = path.trailingSlash || path.isRoot;
  // There, nobody knows what may be read here; and what stands for a directory may be a page with anything in it.
  if (isElsewhere(path)) return isDirectory ? [list, { use: 'index', path }] : [read];
  // Whether it is a file or a directory is not known yet.
  if (!isDirectory) return [{ use: 'follow', path, or: append ? { ...append, or: list } : list }];
  return [indexName === undefined ? list : { ...list, or: { use: 'follow', path: path.child(indexName) } }];
}
