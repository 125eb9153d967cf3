import type { FastifyReply, FastifyRequest } from 'fastify';
import { VIEW_QUERY } from '../../wire/page.ts';
import type { ResourcePath } from '../../wire/resource-path.ts';
import { parameterOf } from '../request/query-parameters.ts';
import type { FileLook, PageSender } from '../response/page-sender.ts';
import { kindOfFile, sourceKindOf } from './page-kind.ts';
import type { Pages } from './pages.ts';

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

  /** Answers with a script or a style of pages. @throws {ResourceNotFoundError} when there is none of this name */
  async sendAsset(reply: FastifyReply, name: string): Promise<FastifyReply> {
    return (await this.#open()).sendFile(reply, name);
  }

  #open(): Promise<Pages> {
    this.#pages ??= import('./pages.ts').then(({ Pages }) => Pages.open(this.#prefix));
    return this.#pages;
  }
}
