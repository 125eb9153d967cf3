import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Core } from '../../core/core.ts';
import type { OpenFile } from '../../core/open-file.ts';
import { ignoreMissing } from '../../core/preconditions.ts';
import { givenType, isJsonType } from '../../core/streams/stream-type.ts';
import type { StreamState } from '../../core/streams/stream-view.ts';
import { InvalidRequestError, ResourceNotFoundError } from '../../wire/errors.ts';
import { VIEW_QUERY } from '../../wire/page.ts';
import type { ResourcePath } from '../../wire/resource-path.ts';
import { type PagePaths, withoutKey } from '../access/page-paths.ts';
import { asksForPage, varyByPage } from '../request/page-request.ts';
import { parameterOf } from '../request/query-parameters.ts';
import { resourceOf } from '../request/request-target.ts';
import { parseTarget } from '../request/target.ts';
import { contentTypeOf, headOf, knownContentType } from '../response/content-type.ts';
import { addVary } from '../response/headers.ts';
import type { FileLook, PageSender } from '../response/page-sender.ts';
import { relativeLocation } from '../response/relative-location.ts';
import { admissionOf } from '../rights/admission.ts';
import { permitIfToRead } from '../rights/permits.ts';
import { DirectoryResponder, wantsJson, wantsList } from './directory-response.ts';
import { sendFile } from './file-response.ts';

/** The page that takes the place of a listing, if that is wanted. */
export const INDEX_NAME = 'index.html';

/** Options of {@link ResourceResponder}. */
export interface ResourceResponderOptions {
  /** What stands before every resource's path in URLs; empty or `/…`. */
  prefix: string;
  /** Whether `index.html` takes the place of a directory's listing. */
  index: boolean;
  /** Where browsers are to show pages. */
  pages: PagePaths;
  /** Shows resources to people. Undefined: everybody gets the bytes. */
  viewer: PageSender | undefined;
  /** Paths of directories that come from upstreams, without a slash at the end. */
  relayed: readonly string[];
}

/** Answers plain reads: files and directories as they are now. */
export class ResourceResponder {
  readonly #directories: DirectoryResponder;
  readonly #core: Core;
  readonly #prefix: string;
  readonly #hasIndex: boolean;
  readonly #pages: PagePaths;
  readonly #viewer: PageSender | undefined;

  constructor(core: Core, { prefix, index, pages, viewer, relayed }: ResourceResponderOptions) {
    this.#directories = new DirectoryResponder(core.directories, relayed);
    this.#core = core;
    this.#prefix = prefix;
    this.#hasIndex = index;
    this.#pages = pages;
    this.#viewer = viewer;
  }

  /**
   * Sends a file, a directory's listing or its index page, or a redirect to
   * the one URL that a resource has.
   *
   * @returns true: it is the last one to be asked
   * @throws {ResourceNotFoundError} when there is nothing at the path
   * @throws what {@link Resources.assertWhole} throws
   */
  async send(request: FastifyRequest, reply: FastifyReply, path: ResourcePath): Promise<boolean> {
    if (this.#viewer !== undefined) varyByPage(request, reply);
    await this.#send(request, reply, path);
    return true;
  }

  async #send(request: FastifyRequest, reply: FastifyReply, path: ResourcePath): Promise<FastifyReply> {
    const clean = path.toString();
    if (clean !== `/${withoutKey(request)}` && !request.ws) {
      return this.#redirect(request, reply, path.toUrlPath());
    }
    const admission = admissionOf(request);
    const reading = permitIfToRead(request, path);
    const permit = reading ?? admission.permit('list', path);
    // It may be that nothing of a directory may be seen but its index page.
    if (permit === undefined) return this.#sendDirectory(request, reply, path);
    const file = await this.#core.resources.openAny(permit);
    const isDirectory = file.stat.kind === 'directory';
    if (!isDirectory && reading !== undefined && !path.trailingSlash) {
      return this.#sendFile(request, reply, path, file);
    }
    await file.close();
    // Who may only list is not told of files.
    if (!isDirectory && reading === undefined)
      throw new ResourceNotFoundError('there is nothing at this path');
    if (!isDirectory) return this.#redirect(request, reply, path.toUrlPath().slice(0, -1));
    if (!path.trailingSlash && !path.isRoot) {
      admission.require('list', path);
      return this.#redirect(request, reply, `${path.toUrlPath()}/`);
    }
    return this.#sendDirectory(request, reply, path);
  }

  async #sendDirectory(
    request: FastifyRequest,
    reply: FastifyReply,
    path: ResourcePath,
  ): Promise<FastifyReply> {
    const admission = admissionOf(request);
    addVary(reply, 'Accept');
    const isWanted = !wantsJson(request) && parameterOf(request, VIEW_QUERY) === undefined;
    const hasIndex = this.#hasIndex && (path.trailingSlash || path.isRoot) && isWanted;
    const index = hasIndex ? admission.permit('follow', path.child(INDEX_NAME)) : undefined;
    const file = index && (await this.#core.resources.openAny(index).catch(ignoreMissing));
    if (index !== undefined && file?.stat.kind === 'file') {
      return this.#sendFile(request, reply, index.path, file);
    }
    await file?.close();
    const permit = admission.require('list', path);
    if (asksForPage(request) && (await this.#viewer?.sendDirectory(request, reply, path))) return reply;
    return this.#directories.send(request, reply, permit);
  }

  async #sendFile(
    request: FastifyRequest,
    reply: FastifyReply,
    path: ResourcePath,
    file: OpenFile,
  ): Promise<FastifyReply> {
    try {
      if (wantsList(request)) throw new InvalidRequestError('only a directory has a list of what is in it');
      const { resources } = this.#core;
      const view = await resources.viewOrBytes(file);
      const name = path.segments.at(-1) ?? '';
      if (
        asksForPage(request) &&
        (await this.#viewer?.sendFile(request, reply, path, lookAt(file, view.state, name)))
      ) {
        await file.close();
        return reply;
      }
      const type = knownContentType(givenType(view.state), name) ?? '';
      if (this.#pages.isToMove(request, type)) {
        await file.close();
        // The directory's, where it is an index page.
        return this.#redirect(request, reply, this.#pages.move(resourceOf(request)));
      }
      if (request.method === 'GET') void resources.touch(file.stat.fingerprint, view.state);
      const status = await this.#core.followers.status(file.stat, view.state.size);
      return await sendFile(request, reply, file, name, { view, status });
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  #redirect(request: FastifyRequest, reply: FastifyReply, urlPath: string): FastifyReply {
    // What is a file now may be a directory later.
    reply.header('cache-control', 'no-cache');
    const { path, queryString } = parseTarget(request.url);
    return reply.redirect(relativeLocation(path, `${this.#prefix}${urlPath}`) + queryString, 301);
  }
}

/** What the page of a file is chosen by. */
function lookAt(file: OpenFile, state: StreamState, name: string): FileLook {
  return {
    name,
    contentType: contentTypeOf(givenType(state), name, file, state.size),
    head: headOf(file, state.size),
    isJsonStream: isJsonType(state.contentType),
  };
}
