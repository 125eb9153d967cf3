import type { FastifyReply, FastifyRequest } from 'fastify';
import type { ResourcePath } from '../../wire/resource-path.ts';
import { StreamReads, type StreamReadsOptions } from './stream-reads.ts';
import { StreamWrites, type StreamWritesOptions } from './stream-writes.ts';

/** Answers the requests of the Durable Streams protocol. */
export class StreamResponder {
  readonly #reads: StreamReads;
  readonly #writes: StreamWrites;

  constructor(options: StreamReadsOptions & StreamWritesOptions) {
    this.#reads = new StreamReads(options);
    this.#writes = new StreamWrites(options);
  }

  /** Answers GET and HEAD with `offset` or `live`, PUT, POST and DELETE. */
  async send(request: FastifyRequest, reply: FastifyReply, path: ResourcePath): Promise<FastifyReply> {
    switch (request.method) {
      case 'PUT':
        return this.#writes.create(request, reply, path);
      case 'POST':
        return this.#writes.append(request, reply, path);
      case 'DELETE':
        return this.#writes.delete(request, reply, path);
      default:
        return this.#reads.send(request, reply, path);
    }
  }
}
