import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Core } from '../../core/core.ts';
import { APPEND_VIEW, INDEX_VIEW, SEARCH_VIEW } from '../../wire/page-requests.ts';
import type { ResourcePath } from '../../wire/resource-path.ts';
import { pageRequestOf } from '../request/page-request.ts';
import { sendWhetherToAppend } from './append-question.ts';
import type { LineIndexResponder } from './line-index-responder.ts';
import type { SearchResponder } from './search-responder.ts';

/** Answers what pages ask of a file besides its bytes. What does that is loaded when it is first asked for. */
export class PageRequests {
  readonly #core: Core;
  #index: Promise<LineIndexResponder> | undefined;
  #search: Promise<SearchResponder> | undefined;
  #isClosed = false;

  constructor(core: Core) {
    this.#core = core;
  }

  /**
   * Answers `?view=append`, `?view=index` and `?view=search`.
   *
   * @returns false for anything else
   * @throws what {@link sendWhetherToAppend}, {@link LineIndexResponder.send} and {@link SearchResponder.send} throw
   */
  async send(request: FastifyRequest, reply: FastifyReply, path: ResourcePath): Promise<boolean> {
    const view = pageRequestOf(request);
    if (view === APPEND_VIEW) await sendWhetherToAppend(this.#core, request, reply, path);
    else if (view === INDEX_VIEW) await (await this.#openIndex()).send(request, reply, path);
    else if (view === SEARCH_VIEW) await (await this.#openSearch()).send(request, reply, path);
    else return false;
    return true;
  }

  /** Ends all searches, and those that come. Idempotent. */
  async close(): Promise<void> {
    this.#isClosed = true;
    // One that could not be loaded has begun none.
    const search = await this.#search?.catch(() => undefined);
    await search?.close();
  }

  #openIndex(): Promise<LineIndexResponder> {
    this.#index ??= import('./line-index-responder.ts')
      .then(({ LineIndexResponder }) => new LineIndexResponder(this.#core))
      .catch((error) => {
        this.#index = undefined;
        throw error;
      });
    return this.#index;
  }

  #openSearch(): Promise<SearchResponder> {
    this.#search ??= import('./search-responder.ts')
      .then(async ({ SearchResponder }) => {
        const responder = new SearchResponder(this.#core);
        if (this.#isClosed) await responder.close();
        return responder;
      })
      .catch((error) => {
        this.#search = undefined;
        throw error;
      });
    return this.#search;
  }
}
