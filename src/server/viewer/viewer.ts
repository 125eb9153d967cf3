import type { FastifyReply, FastifyRequest } from 'fastify';
import { HttpfstreamError } from '../../wire/errors.ts';
import { type PageKind, VIEW_QUERY } from '../../wire/page.ts';
import type { ResourcePath } from '../../wire/resource-path.ts';
import { beginFailure, sendFailure } from '../failure.ts';
import { asksForPage } from '../request/page-request.ts';
import { parameterOf } from '../request/query-parameters.ts';
import { resourceOf } from '../request/request-target.ts';
import type { FileLook, PageSender } from '../response/page-sender.ts';
import { kindOfFile, kindOfName, sourceKindOf } from './page-kind.ts';
import type { Pages } from './pages.ts';

/** What a page has more to say about than that it is so. */
const SHOWN_FAILURES: readonly string[] = [
  'HFS_UNAUTHORIZED',
  'HFS_FORBIDDEN_RIGHT',
  'HFS_RESOURCE_NOT_FOUND',
  'HFS_RESOURCE_GONE',
  'HFS_STREAM_GONE',
];

/** Shows resources in pages. Nothing of these is loaded before somebody asks for one. */
export class Viewer implements PageSender {
  readonly #prefix: string;
  #pages: Promise<Pages> | undefined;

  /** @param prefix what stands before every resource's path in URLs; empty or `/…` */
  constructor(prefix: string) {
    this.#prefix = prefix;
  }

  async sendFile(
    request: FastifyRequest,
    reply: FastifyReply,
    path: ResourcePath,
    look: FileLook,
  ): Promise<boolean> {
    // With `?view` it is wanted whatever a browser would do.
    const kind =
      kindOfFile(look) ?? (parameterOf(request, VIEW_QUERY) === undefined ? undefined : sourceKindOf(look));
    return kind !== undefined && (await this.#open()).send(request, reply, { kind, path });
  }

  async sendDirectory(request: FastifyRequest, reply: FastifyReply, path: ResourcePath): Promise<boolean> {
    return (await this.#open()).send(request, reply, { kind: 'directory', path: path.asDirectory() });
  }

  /**
   * Answers with the page of what is elsewhere. Its script finds out what there is.
   *
   * @returns false when there is none, since a browser shows by itself what has such a name
   */
  async sendElsewhere(request: FastifyRequest, reply: FastifyReply, path: ResourcePath): Promise<boolean> {
    const kind = kindAt(path) ?? (parameterOf(request, VIEW_QUERY) === undefined ? undefined : 'text');
    return kind !== undefined && (await this.#open()).send(request, reply, { kind, path });
  }

  /** Whether a failure is shown in a page, which may wait for what is missing, or ask for a token. */
  concerns(error: Error, request: FastifyRequest): boolean {
    const isShown = error instanceof HttpfstreamError && SHOWN_FAILURES.includes(error.code);
    return isShown && asksForPage(request) && pathOf(request) !== undefined;
  }

  /** Answers a request that failed with the page of what it names. */
  async sendFailure(error: Error, request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
    const path = pathOf(request) as ResourcePath;
    const kind = kindAt(path) ?? 'text';
    const pages = await this.#open();
    if (!pages.has(kind)) return sendFailure(error, request, reply);
    const { status } = beginFailure(error, request, reply);
    // Else the browser would ask by itself, before the page does.
    if (status === 401) reply.header('www-authenticate', 'Bearer realm="httpfstream"');
    pages.send(request, reply, { kind, path, status });
    return reply;
  }

  /** Answers with a script or a style of pages. @throws {ResourceNotFoundError} when there is none of this name */
  async sendAsset(request: FastifyRequest, reply: FastifyReply, name: string): Promise<FastifyReply> {
    return (await this.#open()).sendFile(request, reply, name);
  }

  #open(): Promise<Pages> {
    this.#pages ??= import('./pages.ts')
      .then(({ Pages }) => Pages.open(this.#prefix))
      .catch((error) => {
        this.#pages = undefined;
        throw error;
      });
    return this.#pages;
  }
}

/** The kind of page by the path alone; undefined for what a browser shows by itself. */
function kindAt(path: ResourcePath): PageKind | undefined {
  return path.trailingSlash || path.isRoot ? 'directory' : kindOfName(path.segments.at(-1) ?? '');
}

/** Undefined for what is no resource, and for what cannot be the path of one. */
function pathOf(request: FastifyRequest): ResourcePath | undefined {
  if ((request.params as { '*'?: string })['*'] === undefined) return undefined;
  try {
    return resourceOf(request);
  } catch {
    return undefined;
  }
}
