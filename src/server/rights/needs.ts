import type { FastifyRequest } from 'fastify';
import type { Use } from '../../core/permit.ts';
import type { ResourcePath } from '../../wire/resource-path.ts';
import { forkSourceOf } from '../request/fork-source.ts';
import { verbOf } from '../request/request-target.ts';
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
  /** Whether what is at a path comes from another server. */
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
  if (method !== 'PUT' && method !== 'POST') return [needOfRead(request, path, options)];
  const write: Need = { use: isForm(request) ? 'form' : 'append', path };
  const source = method === 'PUT' ? forkSourceOf(request, options.prefix) : undefined;
  return source === undefined ? [write] : [write, { use: 'follow', path: source }];
}

function needOfRead(
  request: FastifyRequest,
  path: ResourcePath,
  { indexName, isElsewhere }: NeedsOptions,
): Need {
  if (verbOf(request) === 'APPEND') return { use: 'append', path };
  const list: Need = { use: 'list', path };
  // What may append is told how much there is.
  const append: Need | undefined = request.method === 'HEAD' ? { use: 'append', path } : undefined;
  const read: Need = { use: 'follow', path, ...(append && { or: append }) };
  if (isOfStream(request)) return read;
  const isDirectory = path.trailingSlash || path.isRoot;
  // There, nobody knows what may be read here.
  if (isElsewhere(path)) return isDirectory ? list : read;
  // Whether it is a file or a directory is not known yet.
  if (!isDirectory) return { use: 'follow', path, or: append ? { ...append, or: list } : list };
  return indexName === undefined ? list : { ...list, or: { use: 'follow', path: path.child(indexName) } };
}
