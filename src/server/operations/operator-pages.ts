import { Readable } from 'node:stream';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { shortageOf } from '../../core/limits/quotas.ts';
import { InvalidRequestError, MethodNotAllowedError } from '../../wire/errors.ts';
import { ResourcePath } from '../../wire/resource-path.ts';
import { admissionOf } from '../rights/admission.ts';
import { listingOf } from './live-listing.ts';
import type { MetricSources, Metrics } from './metrics.ts';

/** What stands before the pages' names. */
const PREFIX = '/-';

/** The right to them has no path. */
const ROOT = ResourcePath.parse('/');

/** What the pages are about. */
export interface OperatorSources extends MetricSources {
  /** Whether the server takes requests, … */
  isListening: () => boolean;
  /** … and whether it is about to close. */
  isClosing: () => boolean;
}

/**
 * The server's own pages, for whoever runs and watches it. Files at exactly these paths are not served; all others are
 * users'.
 */
export class OperatorPages {
  readonly #sources: OperatorSources;
  #metrics: Metrics | undefined;

  constructor(sources: OperatorSources) {
    this.#sources = sources;
  }

  /** Answers how the server is: everybody may know. */
  serveHealth(app: FastifyInstance): void {
    // A look at the disk may take long without that, and a restart would not help.
    const { isListening, isClosing } = this.#sources;
    const ok = async (_: FastifyRequest, reply: FastifyReply) => sendText(reply, 'ok\n');
    serve(app, '/health', async (request, reply) => (isClosing() ? sendClosing(reply) : ok(request, reply)));
    serve(app, '/health/live', ok);
    serve(app, '/health/ready', async (_request, reply) => {
      if (isClosing() || !isListening()) return sendClosing(reply);
      return sendText(reply, `ready\n${await this.#troubleWithDisk()}${this.#troubleWithQuotas()}`);
    });
  }

  /**
   * Answers what the server does.
   *
   * @param right the right that is needed. Default: none, since nobody else comes to where this is served
   */
  serveInternals(app: FastifyInstance, right?: 'admin'): void {
    serve(
      app,
      '/metrics',
      async (_request, reply) => {
        this.#metrics ??= await this.#loadMetrics();
        const text = await this.#metrics.text();
        return sendText(reply, text, this.#metrics.contentType);
      },
      right,
    );
    serve(
      app,
      '/resources',
      async (_request, reply) => {
        const pieces = Readable.from(listingOf(this.#sources.core.overview));
        return reply.type('application/json; charset=utf-8').header('cache-control', 'no-store').send(pieces);
      },
      right,
    );
  }

  /** Watches nothing any more. */
  close(): void {
    this.#sources.loop.stop();
  }

  /** Loaded when somebody asks: a server whose numbers nobody reads has nothing of it. */
  async #loadMetrics(): Promise<Metrics> {
    const { Metrics } = await import('./metrics.ts');
    return new Metrics(this.#sources);
  }

  /** A full disk is no reason to send nobody here: readers are served. */
  async #troubleWithDisk(): Promise<string> {
    const { disk, core } = this.#sources;
    const free = await disk.take();
    const shortage = free && core.limits.space.shortageIn(free);
    return shortage === undefined ? '' : `${shortage.message}\n`;
  }

  #troubleWithQuotas(): string {
    const shortage = shortageOf(this.#sources.core.limits.quotas.all);
    return shortage === undefined ? '' : `${shortage.message}\n`;
  }
}

function sendClosing(reply: FastifyReply): FastifyReply {
  return sendText(reply.code(503), 'closing\n');
}

function sendText(reply: FastifyReply, text: string, type = 'text/plain; charset=utf-8'): FastifyReply {
  return reply.type(type).header('cache-control', 'no-store').send(text);
}

/** Serves a page, and refuses to do anything else with it. */
function serve(
  app: FastifyInstance,
  name: string,
  handler: (request: FastifyRequest, reply: FastifyReply) => Promise<FastifyReply>,
  right?: 'admin',
): void {
  const url = `${PREFIX}${name}`;
  const config = { ...(right !== undefined && { right }) };
  const isRead = (method: string) => method === 'GET' || method === 'HEAD';
  const permitted = async (request: FastifyRequest, reply: FastifyReply) => {
    // As for every look-up: what was not decided is refused.
    if (right !== undefined) admissionOf(request).require(right, ROOT);
    return handler(request, reply);
  };
  app.route({ method: ['GET', 'HEAD'], url, config, preHandler: refuseHandshake, handler: permitted });
  app.route({
    method: app.supportedMethods.filter((method) => !isRead(method)),
    url,
    handler: ({ method }) => {
      throw new MethodNotAllowedError(`${method} is not supported here`);
    },
  });
}

async function refuseHandshake(request: FastifyRequest): Promise<void> {
  if (request.ws) throw new InvalidRequestError('there is nothing to append to or to follow here');
}
