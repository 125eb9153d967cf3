import type { FastifyRequest } from 'fastify';
import type { Asker } from '../../relay/pull/asker.ts';
import { isCaughtUp, isServed } from '../../relay/readiness.ts';
import type { Relay } from '../../relay/relay.ts';
import type { Upstream } from '../../relay/upstream/upstream.ts';
import { StreamHeader } from '../../wire/durable-streams.ts';
import { InvalidRequestError, StorageBusyError } from '../../wire/errors.ts';
import { forkSourceOf } from '../request/fork-source.ts';
import { admissionOf } from '../rights/admission.ts';

/** Streams that are forked from what comes from upstreams. */
export class ForkedFrom {
  readonly #relay: Relay;
  readonly #prefix: string;

  /** @param prefix what stands before every resource's path in URLs; empty or `/…` */
  constructor(relay: Relay, prefix: string) {
    this.#relay = relay;
    this.#prefix = prefix;
  }

  /**
   * Has that fetched from which a stream is to be forked here, if it comes from elsewhere.
   *
   * @throws {StorageBusyError} when a part of it is still missing
   * @throws what {@link Permit.require}, {@link Relay.ready} and {@link forkSourceOf} throw
   */
  async ready(request: FastifyRequest, asker: Asker): Promise<void> {
    const source = forkSourceOf(request, this.#prefix);
    if (source === undefined || this.#relay.upstreamOf(source) === undefined) return;
    admissionOf(request).require('follow', source);
    const readiness = await this.#relay.ready(source, asker);
    // What is passed on may be here in part.
    const isWhole = isServed(readiness)
      ? isCaughtUp(readiness)
      : !(await this.#relay.mayBeIncomplete(source));
    if (!isWhole) {
      throw new StorageBusyError('what is to be forked is still being fetched');
    }
  }

  /**
   * What is said to the server at which a stream is to be forked.
   *
   * @throws {InvalidRequestError} when it does not have what is to be forked
   * @throws what {@link Permit.require} and {@link forkSourceOf} throw
   */
  headersAt(upstream: Upstream, request: FastifyRequest): Readonly<Record<string, string>> {
    const source = forkSourceOf(request, this.#prefix);
    if (source === undefined) return {};
    admissionOf(request).require('follow', source);
    if (this.#relay.upstreamOf(source) !== upstream) {
      throw new InvalidRequestError('a stream can be forked only at the server from which it comes');
    }
    return { [StreamHeader.forkedFrom]: upstream.urlOf(source).pathname };
  }
}
