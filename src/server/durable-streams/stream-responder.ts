import type { FastifyBaseLogger, FastifyReply, FastifyRequest } from 'fastify';
import type { Core } from '../../core/core.ts';
import type { ResourcePath } from '../../wire/resource-path.ts';
import type { ActiveConnections } from '../active-connections.ts';
import { hasStreamParameter } from '../request/query-parameters.ts';
import { StreamReads } from './stream-reads.ts';
import { StreamWrites, type StreamWritesOptions } from './stream-writes.ts';

/** Answers the requests of the Durable Streams protocol. */
export class StreamResponder {
  readonly #reads: StreamReads;
  readonly #writes: StreamWrites;

  /** @param options.longPollMs how long a long-poll waits, in milliseconds */
  constructor(
    core: Core,
    follows: ActiveConnections,
    log: FastifyBaseLogger,
    options: StreamWritesOptions & { longPollMs: number },
  ) {
    this.#reads = new StreamReads(core, follows, log, options);
    this.#writes = new StreamWrites(core, options);
  }

  /**
   * Answers PUT, POST and DELETE, and GET and HEAD with one of the protocol's parameters.
   *
   * @returns false for other reads
   * @throws what the methods of {@link StreamReads} and {@link StreamWrites} throw
   */
  async send(request: FastifyRequest, reply: FastifyReply, path: ResourcePath): Promise<boolean> {
    switch (request.method) {
      case 'PUT':
        await this.#writes.create(request, reply, path);
        return true;
      case 'POST':
        await this.#writes.append(request, reply, path);
        return true;
      case 'DELETE':
        await this.#writes.delete(request, reply, path);
        return true;
      default:
        if (!hasStreamParameter(request)) return false;
        await this.#reads.send(request, reply, path);
        return true;
    }
  }
}
