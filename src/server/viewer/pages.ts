import { randomBytes } from 'node:crypto';
import accepts from 'accepts';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { ResourceNotFoundError } from '../../wire/errors.ts';
import { ASSETS_PATH, type PageAssets, type PageData, type PageKind } from '../../wire/page.ts';
import type { ResourcePath } from '../../wire/resource-path.ts';
import { hasKey } from '../access/page-paths.ts';
import { parseTarget } from '../request/target.ts';
import { addVary } from '../response/headers.ts';
import { relativeLocation } from '../response/relative-location.ts';
import { documentOf, policyOf } from './page-document.ts';
import { PageFiles, type PageParts } from './page-files.ts';

const NONCE_BYTES = 16;

/** What a page is to show. */
export interface PageSubject {
  kind: PageKind;
  path: ResourcePath;
  /** Default 200. */
  status?: number;
}

/** Makes pages, and has their scripts and styles. */
export class Pages {
  readonly #files: PageFiles;
  readonly #prefix: string;

  private constructor(files: PageFiles, prefix: string) {
    this.#files = files;
    this.#prefix = prefix;
  }

  /** @param prefix what stands before every resource's path in URLs; empty or `/…` */
  static async open(prefix: string): Promise<Pages> {
    return new Pages(await PageFiles.open(), prefix);
  }

  /** Whether there is a page of this kind. */
  has(kind: PageKind): boolean {
    return this.#files.kinds[kind] !== undefined;
  }

  /**
   * Answers with a page. Where a browser shows what users have stored, which is good for plain reads only, it is led to the
   * resource itself.
   *
   * @returns false when there is no page of this kind
   */
  send(request: FastifyRequest, reply: FastifyReply, { kind, path, status = 200 }: PageSubject): boolean {
    const parts = this.#files.kinds[kind];
    if (parts === undefined) return false;
    if (hasKey(request)) {
      const { path: asked, queryString } = parseTarget(request.url);
      const location = relativeLocation(asked, `${this.#prefix}${path.toUrlPath()}`) + queryString;
      reply.header('cache-control', 'no-store').redirect(location, 302);
      return true;
    }
    const nonce = randomBytes(NONCE_BYTES).toString('base64');
    const locate = this.#locatorFor(request);
    const data: PageData = { kind, path: path.toString(), status, kinds: this.#assets(locate) };
    reply
      .code(status)
      .headers({
        'cache-control': 'no-store',
        'content-security-policy': policyOf(nonce),
        'cross-origin-resource-policy': 'same-origin',
        'referrer-policy': 'no-referrer',
        'x-content-type-options': 'nosniff',
      })
      .type('text/html; charset=utf-8')
      .send(documentOf(data, located(parts, locate), nonce));
    return true;
  }

  /**
   * Answers with a script or a style. Whoever asks may have it: it is the same for all.
   *
   * @throws {ResourceNotFoundError} when there is none of this name
   */
  async sendFile(request: FastifyRequest, reply: FastifyReply, name: string): Promise<FastifyReply> {
    const file = await this.#files.get(name);
    if (file === undefined) throw new ResourceNotFoundError('the viewer has no such file');
    reply.headers({
      'cache-control': 'public, max-age=31536000, immutable',
      'cross-origin-resource-policy': 'same-origin',
      'x-content-type-options': 'nosniff',
    });
    addVary(reply, 'Accept-Encoding');
    const isGzipped = accepts(request.raw).encoding(['gzip', 'identity']) === 'gzip';
    if (isGzipped) reply.header('content-encoding', 'gzip');
    return reply.type(file.contentType).send(isGzipped ? file.gzipped : file.bytes);
  }

  /** Relative, since a proxy may have stripped a prefix from the path. */
  #locatorFor({ url }: FastifyRequest): Locator {
    const { path } = parseTarget(url);
    return (name) => relativeLocation(path, `${this.#prefix}${ASSETS_PATH}/${name}`);
  }

  #assets(locate: Locator): PageData['kinds'] {
    const entries = Object.entries(this.#files.kinds).map(([kind, parts]): [string, PageAssets] => {
      const { imports: _, ...assets } = located(parts, locate);
      return [kind, assets];
    });
    return Object.fromEntries(entries);
  }
}

/** Says where a script or a style is, by its name. */
type Locator = (name: string) => string;

function located({ script, style, imports }: PageParts, locate: Locator): PageParts {
  return {
    script: locate(script),
    imports: imports.map(locate),
    ...(style !== undefined && { style: locate(style) }),
  };
}
